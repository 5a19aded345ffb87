#include "rlhf/program_lines.h"

#include "data/json_line.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- out ---- */

static json_t *ids_list(const int32_t *ids, ptrdiff_t n) {
    json_t *list = json_array();
    for (ptrdiff_t i = 0; i < n; i++) json_array_append_new(list, json_integer(ids[i]));
    return list;
}

/* A text, where U+FFFD stands for NUL, which a model may write and many readers of JSON refuse. */
static json_t *text_value(const char *text, size_t n) {
    static const char mark[] = "\xef\xbf\xbd";
    size_t nuls = 0, m = 0;
    for (size_t i = 0; i < n; i++) nuls += text[i] == '\0';
    if (nuls == 0) return json_stringn(text, n);
    char *copy = malloc(n + 2 * nuls);
    for (size_t i = 0; copy && i < n; i++) {
        const size_t k = text[i] == '\0' ? sizeof mark - 1 : 1;
        memcpy(copy + m, text[i] == '\0' ? mark : text + i, k);
        m += k;
    }
    json_t *value = copy ? json_stringn(copy, m) : NULL;
    free(copy);
    return value;
}

/* The line but for its meta and its end; NULL: no memory. */
static char *line_text(const ae_reward_input *in, int64_t id, bool text) {
    json_t *o = json_pack("{s:I, s:o, s:o, s:b}", "id", (json_int_t)id, "prompt",
                          text ? text_value(in->prompt, in->prompt_bytes) : json_null(), "answer",
                          text ? text_value(in->answer, in->answer_bytes) : json_null(), "truncated",
                          in->given->truncated);
    if (o && !text) {
        const ae_rewarded_answer *a = in->given;
        json_object_set_new(o, "prompt_tokens", ids_list(a->tokens, a->n_prompt));
        json_object_set_new(o, "answer_tokens", ids_list(a->tokens + a->n_prompt, a->n));
    }
    char *line = o ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    return line;
}

/* Meta goes as it was given, so that no number in it changes; line ends in JSON are white space. */
static ae_status send_meta(ae_worker *w, const ae_rewarded_answer *a) {
    static const char key[] = ",\"meta\":";
    ae_status st = ae_worker_send(w, key, sizeof key - 1);
    if (st != AE_OK || !a->meta || a->meta_bytes == 0) return st == AE_OK ? ae_worker_send(w, "null", 4) : st;
    for (size_t i = 0, n; i < a->meta_bytes && st == AE_OK; i += n + 1) {
        n = 0;
        while (i + n < a->meta_bytes && a->meta[i + n] != '\n' && a->meta[i + n] != '\r') n++;
        st = ae_worker_send(w, a->meta + i, n);
    }
    return st;
}

ae_status ae_program_line_send(ae_worker *w, const ae_reward_input *in, int64_t id, const char *where) {
    char *line = line_text(in, id, in->prompt && in->answer);
    if (!line) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", where);
    ae_status st = ae_worker_send(w, line, strlen(line) - 1);
    if (st == AE_OK) st = send_meta(w, in->given);
    if (st == AE_OK) st = ae_worker_send(w, "}\n", 2);
    free(line);
    return st;
}

/* ---- in ---- */

ae_status ae_program_line_id(const char *line, size_t n, const char *where, int64_t *id) {
    static const char *const keys[] = {"id"};
    json_t *o = NULL;
    const ae_status st = ae_json_line(&o, line, n, keys, 1, where);
    if (st != AE_OK) return st;
    const json_t *v = json_object_get(o, "id");
    const bool whole = json_is_integer(v);
    *id = json_integer_value(v);
    const char *found = ae_json_type_name(v);
    json_decref(o);
    return whole ? AE_OK
                 : AE_FAIL(AE_ERR_INPUT, "%s: id: expected that of an answer, found %s", where, found);
}

ae_status ae_program_line_reward(const char *line, size_t n, const char *where, double *reward) {
    static const char *const keys[] = {"reward"};
    json_t *o = NULL;
    ae_status st = ae_json_line(&o, line, n, keys, 1, where);
    if (st != AE_OK) return st;
    const json_t *v = json_object_get(o, "reward");
    *reward = json_number_value(v);
    if (!json_is_number(v) || !isfinite(*reward))
        st = AE_FAIL(AE_ERR_INPUT, "%s: reward: expected a finite number, found %s", where,
                     ae_json_type_name(v));
    json_decref(o);
    return st;
}
