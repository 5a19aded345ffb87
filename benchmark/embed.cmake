# Writes the table of benchmark/task_parts.h from FILES into OUTPUT, in the order of their names.
list(SORT FILES)
set(arrays "")
set(table "")
foreach(file ${FILES})
  get_filename_component(name ${file} NAME_WE)
  file(READ ${file} bytes HEX)
  string(LENGTH "${bytes}" digits)
  math(EXPR n "${digits} / 2")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
  string(APPEND arrays "static const unsigned char task_${name}[] = {\n${bytes}0};\n")
  string(APPEND table "    {\"${name}\", (const char *)task_${name}, ${n}},\n")
endforeach()
file(WRITE ${OUTPUT} "#include \"benchmark/task_parts.h\"\n\n${arrays}
const ae_builtin_task ae_builtin_tasks[] = {\n${table}};
const size_t ae_n_builtin_tasks = sizeof ae_builtin_tasks / sizeof ae_builtin_tasks[0];\n")
