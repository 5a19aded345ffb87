#include "corpus/grade.h"

#include "core/file.h"
#include "core/json.h"
#include "corpus/writing.h"

#include <string.h>

/* As in requests, U+FFFD stands for NUL, which a model may write and text in C cannot hold. */
static void replace_nul(char *line, size_t n) {
    for (size_t i = 0; i + 6 <= n; i++) {
        if (line[i] != '\\') continue;
        if (memcmp(line + i, "\\u0000", 6) == 0) memcpy(line + i, "\\ufffd", 6);
        i++; /* what it escapes, as in \\u0000, begins no escape */
    }
}

/* The next row of a file; *row is NULL at the end. */
static ae_status next_row(ae_reader *r, json_t **row, char where[AE_WHERE_BYTES]) {
    char *line;
    size_t n;
    *row = NULL;
    const ae_status st = ae_reader_line(r, &line, &n);
    if (st != AE_OK || !line) return st;
    snprintf(where, AE_WHERE_BYTES, "%s:%lld", ae_reader_name(r), (long long)ae_reader_line_number(r));
    replace_nul(line, n);
    return ae_json_parse(row, line, n, where);
}

static ae_status text_of(const json_t *row, const char *key, const char *where, const char **text) {
    const json_t *value = json_object_get(row, key);
    *text = json_string_value(value);
    return *text ? AE_OK
                 : AE_FAIL(AE_ERR_INPUT, "%s: %s: expected text, found %s", where, key,
                           ae_json_type_name(value));
}

/* The next row and its text under `key`. */
static ae_status next(ae_reader *r, const char *key, json_t **row, const char **text,
                      char where[AE_WHERE_BYTES]) {
    const ae_status st = next_row(r, row, where);
    return st == AE_OK && *row ? text_of(*row, key, where, text) : st;
}

static ae_status task_of(const char *prompt, const char *where, ae_task *task) {
    if (ae_task_parse(prompt, task)) return AE_OK;
    return AE_FAIL(
        AE_ERR_INPUT,
        "%s: prompt: expected \"Write a story about NAME, a THING and the PLACE.\", found \"%.60s\"", where,
        prompt);
}

static ae_status print(const ae_grade *g) {
    json_t *line = json_pack("{s:f, s:f, s:f, s:f, s:f}", "reward", g->reward, "asked", g->asked, "length",
                             g->length, "variety", g->variety, "end", g->end);
    if (!line) return AE_FAIL(AE_ERR_RESOURCE, "grades: out of memory");
    const ae_status st = ae_json_write_line(line, stdout, "standard output");
    json_decref(line);
    return st;
}

static ae_status grade_row(ae_reader *const readers[2], bool *end, double *reward) {
    json_t *rows[2] = {NULL, NULL};
    const char *texts[2] = {NULL, NULL};
    char where[2][AE_WHERE_BYTES];
    ae_task task;
    ae_grade g;
    ae_status st = AE_OK;
    AE_TRY(next(readers[0], "prompt", &rows[0], &texts[0], where[0]));
    AE_TRY(next(readers[1], "text", &rows[1], &texts[1], where[1]));
    *end = !rows[0] && !rows[1];
    if (*end) goto out;
    if (!rows[0] || !rows[1]) {
        const int more = rows[1] != NULL;
        st = AE_FAIL(AE_ERR_INPUT, "%s: expected as many rows as %s has, found more; give both files whole",
                     where[more], ae_reader_name(readers[1 - more]));
        goto out;
    }
    AE_TRY(task_of(texts[0], where[0], &task));
    ae_grade_text(&task, texts[1], &g);
    *reward = g.reward;
    st = print(&g);
out:
    json_decref(rows[0]);
    json_decref(rows[1]);
    return st;
}

ae_status ae_grade_files(const char *prompts, const char *answers) {
    ae_reader *readers[2] = {NULL, NULL};
    ae_status st = AE_OK;
    double sum = 0, reward = 0;
    long rows = 0;
    bool end = false;
    AE_TRY(ae_reader_open(&readers[0], prompts));
    AE_TRY(ae_reader_open(&readers[1], answers));
    for (;;) {
        AE_TRY(grade_row(readers, &end, &reward));
        if (end) break;
        sum += reward;
        rows++;
    }
    if (fflush(stdout) != 0) st = ae_output_failed("standard output");
    if (st == AE_OK && rows > 0) fprintf(stderr, "%ld answers, mean reward %.4f\n", rows, sum / (double)rows);
out:
    ae_reader_close(readers[0]);
    ae_reader_close(readers[1]);
    return st;
}

/* ---- requests ---- */

static ae_status print_reward(const json_t *id, double reward) {
    json_t *line = json_pack("{s:O, s:f}", "id", id, "reward", reward);
    if (!line) return AE_FAIL(AE_ERR_RESOURCE, "grades: out of memory");
    ae_status st = ae_json_write_line(line, stdout, "standard output");
    if (st == AE_OK && fflush(stdout) != 0) st = ae_output_failed("standard output");
    json_decref(line);
    return st;
}

static ae_status grade_request(ae_reader *r, bool *end) {
    json_t *row = NULL;
    const char *prompt, *answer;
    char where[AE_WHERE_BYTES];
    ae_task task;
    ae_grade g;
    ae_status st = AE_OK;
    AE_TRY(next_row(r, &row, where));
    *end = !row;
    if (*end) goto out;
    const json_t *id = json_object_get(row, "id");
    if (!id) AE_TRY(AE_FAIL(AE_ERR_INPUT, "%s: id: expected that of an answer, found no such key", where));
    AE_TRY(text_of(row, "prompt", where, &prompt));
    AE_TRY(text_of(row, "answer", where, &answer));
    AE_TRY(task_of(prompt, where, &task));
    ae_grade_text(&task, answer, &g);
    AE_TRY(print_reward(id, g.reward));
out:
    json_decref(row);
    return st;
}

ae_status ae_grade_requests(void) {
    ae_reader *r = NULL;
    bool end = false;
    ae_status st = ae_reader_open(&r, "-");
    while (st == AE_OK && !end) st = grade_request(r, &end);
    ae_reader_close(r);
    return st;
}
