#include "cli/inspect.h"

#include "core/file.h"

#include <stdio.h>
#include <stdlib.h>

ae_status ae_inspect_note(ae_inspection *i, ae_status st) {
    if (st != AE_ERR_INPUT && st != AE_ERR_USAGE) return st;
    json_t *line = json_string(ae_error_message());
    json_array_append_new(i->faults, line ? line : json_string("(a message with a name that is not UTF-8)"));
    return AE_OK;
}

static json_t *files_of(ae_inspection *i) {
    json_t *files = json_object_get(i->facts, "files");
    if (files) return files;
    json_object_set_new(i->facts, "files", json_array());
    return json_object_get(i->facts, "files");
}

void ae_inspect_add_file(ae_inspection *i, const char *name, int64_t bytes, bool read, uint32_t crc,
                         const bool *whole) {
    char text[16];
    snprintf(text, sizeof text, "%08lx", (unsigned long)crc);
    json_t *row = json_pack("{s:s, s:o, s:s?}", "file", name, "bytes",
                            bytes >= 0 ? json_integer(bytes) : json_null(), "crc32", read ? text : NULL);
    if (whole) json_object_set_new(row, "whole", json_boolean(*whole));
    json_array_append_new(files_of(i), row);
}

ae_status ae_inspect_file(ae_inspection *i, const char *folder, const char *name) {
    uint32_t crc = 0;
    char *path = ae_path_join(folder ? folder : "", name);
    int64_t bytes = ae_file_size(path);
    const bool read = !i->quick && bytes >= 0;
    const ae_status st = read ? ae_inspect_note(i, ae_file_crc32(path, &crc, &bytes)) : AE_OK;
    ae_inspect_add_file(i, name, bytes, read, crc, NULL);
    free(path);
    return st;
}
