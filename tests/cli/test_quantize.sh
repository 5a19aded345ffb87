#!/bin/sh
. "$(dirname "$0")/common.sh"
tiny=$fixtures/tiny

# What a folder of integers holds scores as the same integers made while loading.
for type in bf16 int8 int4; do
    run 0 "$aerie" quantize --model "$tiny" --output "q-$type" --dtype $type
    grep -qE "^q-$type: $type, [0-9]+ kB, before 321 kB$" err || fail "the last line tells no sizes: $(cat err)"
    grep -qE '^quantize 100%  0/0' err && fail "a bar of nothing"
    run 0 "$aerie" score --model "q-$type" --input "$here/tiny_lines.jsonl" --dtype $type --output stored
    run 0 "$aerie" score --model "$tiny" --input "$here/tiny_lines.jsonl" --dtype $type --output loaded
    cmp -s stored loaded || fail "$type: the folder scores otherwise than quantising while loading"
    rm stored loaded
done

# What was asked for; beside integers the rest is float32.
for type in bf16:bfloat16 int8:float32 int4:float32; do
    grep -q "\"torch_dtype\": \"${type#*:}\"" "q-${type%:*}/config.json" || fail "q-${type%:*}/config.json tells another type"
done

# Nothing is replaced unasked, and never what somebody else wrote, nor the model that is read.
run 2 "$aerie" quantize --model "$tiny" --output q-int8
says "exists already"
run 0 "$aerie" quantize --model "$tiny" --output q-int8 --dtype int4 --force
run 2 "$aerie" quantize --model q-int8 --output ./q-int8 --force
says "holds what is read"
mkdir keep
echo precious >keep/notes.txt
run 2 "$aerie" quantize --model "$tiny" --output keep --force
says "notes.txt"
[ "$(cat keep/notes.txt)" = precious ] || fail "a file of somebody else is gone"
mkdir new.part
echo precious >new.part/notes.txt
run 2 "$aerie" quantize --model "$tiny" --output new
[ "$(cat new.part/notes.txt)" = precious ] || fail "a file of somebody else is gone"
rm -r new.part
mkdir new.part
echo half >new.part/model.safetensors.part
run 0 "$aerie" quantize --model "$tiny" --output new
absent new.part
echo text >file
run 2 "$aerie" quantize --model "$tiny" --output file --force
run 2 "$aerie" quantize --output new2
run 2 "$aerie" quantize --model "$tiny" --output new2 --dtype f16
run 3 "$aerie" quantize --model missing --output new2

run 0 "$aerie" plan model.preset=small-1m --dtype int8
finish
