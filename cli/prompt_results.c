#include "cli/prompt_results.h"

#include "core/file.h"
#include "core/json.h"

#include <math.h>
#include <stdlib.h>

static ae_status read_line(ae_prompt_result *p, const char *text, size_t n, const char *where) {
    json_t *line = NULL;
    *p = (ae_prompt_result){.reward = (double)NAN, .kl = (double)NAN};
    ae_status st = ae_json_parse_answer(&line, text, n, where);
    if (st == AE_OK) st = ae_json_opt_real(line, "reward", where, &p->reward);
    if (st == AE_OK) st = ae_json_opt_real(line, "kl", where, &p->kl);
    if (st == AE_OK) st = ae_json_real(line, "tokens", where, &p->tokens);
    p->truncated = json_is_true(json_object_get(line, "truncated"));
    json_decref(line);
    return st;
}

static ae_status add(ae_prompt_results *r, const ae_prompt_result *p) {
    if (r->n == r->capacity) {
        const size_t capacity = r->capacity ? 2 * r->capacity : 64;
        ae_prompt_result *grown = realloc(r->items, capacity * sizeof *grown);
        if (!grown) return AE_FAIL(AE_ERR_RESOURCE, "plot: out of memory");
        r->items = grown;
        r->capacity = capacity;
    }
    r->items[r->n++] = *p;
    return AE_OK;
}

static ae_status read_lines(ae_prompt_results *r, ae_reader *in) {
    for (;;) {
        char *line = NULL, where[AE_WHERE_BYTES];
        size_t n = 0;
        ae_prompt_result p;
        ae_status st = ae_reader_line(in, &line, &n);
        if (st != AE_OK || !line) return st;
        snprintf(where, sizeof where, "%s:%lld", ae_reader_name(in), (long long)ae_reader_line_number(in));
        st = read_line(&p, line, n, where);
        if (st == AE_OK) st = add(r, &p);
        if (st != AE_OK) return st;
    }
}

ae_status ae_prompt_results_read(ae_prompt_results *r, const char *run, int64_t step) {
    char name[64];
    ae_reader *in = NULL;
    snprintf(name, sizeof name, "evaluations/step-%06lld.jsonl", (long long)step);
    char *path = ae_path_join(run, name);
    *r = (ae_prompt_results){0};
    ae_status st = AE_OK;
    if (ae_path_exists(path)) {
        st = ae_reader_open(&in, path);
        if (st == AE_OK) st = read_lines(r, in);
    }
    if (st != AE_OK) ae_prompt_results_free(r);
    ae_reader_close(in);
    free(path);
    return st;
}

void ae_prompt_results_free(ae_prompt_results *r) {
    free(r->items);
    *r = (ae_prompt_results){0};
}
