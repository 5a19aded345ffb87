#include "data/inputs.h"

#include "data/utf8.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static bool is_read_once(const char *path) {
    struct stat s;
    if (strcmp(path, "-") == 0) return true;
    return stat(path, &s) == 0 && !S_ISREG(s.st_mode) && !S_ISDIR(s.st_mode);
}

ae_status ae_inputs_check(const char *const *paths, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (is_read_once(paths[i]))
            return AE_FAIL(AE_ERR_USAGE, "%s: the input is read more than once; save it to a file first",
                           paths[i]);
    return AE_OK;
}

ae_status ae_inputs_describe(json_t **list, const char *const *paths, size_t n) {
    *list = json_array();
    for (size_t i = 0; i < n; i++) {
        uint32_t crc = 0;
        int64_t bytes = 0;
        char text[16];
        const ae_status st = ae_file_crc32(paths[i], &crc, &bytes);
        if (st != AE_OK) return st;
        snprintf(text, sizeof text, "%08x", crc);
        json_t *source =
            json_pack("{s:s, s:I, s:s}", "path", paths[i], "bytes", (json_int_t)bytes, "crc32", text);
        if (!source)
            return AE_FAIL(AE_ERR_USAGE, "input %zu: expected a path in UTF-8, found other bytes", i + 1);
        json_array_append_new(*list, source);
    }
    return AE_OK;
}

/* ---- lines ---- */

void ae_lines_close(ae_lines *l) {
    ae_reader_close(l->reader);
    l->reader = NULL;
}

/* A row, or NULL where the file ends. */
static ae_status next_of_file(ae_lines *l, char **line, size_t *n) {
    do {
        const ae_status st = ae_reader_line(l->reader, line, n);
        if (st != AE_OK || !*line) return st;
    } while (ae_text_is_blank(*line, *n));
    snprintf(l->where, sizeof l->where, "%s:%lld", ae_reader_name(l->reader),
             (long long)ae_reader_line_number(l->reader));
    const char *first = *line;
    while (ae_text_is_blank(first, 1)) first++;
    if (l->rows++ == 0 && *first == '[')
        return AE_FAIL(
            AE_ERR_INPUT,
            "%s: expected an object a line, found a JSON list; write each of its entries on a line of "
            "its own (jq -c '.[]')",
            l->where);
    return AE_OK;
}

ae_status ae_lines_next(ae_lines *l, char **line, size_t *n) {
    *line = NULL;
    while (l->reader || l->next < l->n) {
        ae_status st = AE_OK;
        if (!l->reader) {
            l->rows = 0;
            l->told_key = false;
            st = ae_reader_open(&l->reader, l->paths[l->next++]);
        }
        if (st == AE_OK) st = next_of_file(l, line, n);
        if (st == AE_OK && !*line && l->rows == 0)
            st = AE_FAIL(AE_ERR_INPUT, "%s: expected JSON lines, found an empty file",
                         ae_reader_name(l->reader));
        if (st != AE_OK || *line) return st;
        ae_lines_close(l);
    }
    return AE_OK;
}
