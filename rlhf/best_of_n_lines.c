#include "rlhf/best_of_n_lines.h"

#include "core/file.h"
#include "core/json.h"
#include "data/utf8.h"
#include "rlhf/rewards.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the row of an answer ---- */

static ptrdiff_t next_of(const int32_t *tokens, ptrdiff_t from, ptrdiff_t n, int32_t id) {
    while (from < n && tokens[from] != id) from++;
    return from;
}

/* A turn of tokens [first, end), "user\nTEXT" or "model\nTEXT", into the list. *is_turn: whether it is one. */
static ae_status add_turn(json_t *messages, const ae_tokenizer *t, const int32_t *tokens, ptrdiff_t first,
                          ptrdiff_t end, bool *is_turn) {
    static const struct {
        const char *begin, *role;
    } turns[] = {{"user\n", "user"}, {"model\n", "assistant"}};
    char *text = NULL;
    size_t n = 0;
    const ae_status st = ae_tokenizer_decode(t, tokens + first, end - first, &text, &n);
    *is_turn = false;
    for (int i = 0; i < 2 && st == AE_OK; i++) {
        const size_t begin = strlen(turns[i].begin);
        if (n < begin || memcmp(text, turns[i].begin, begin) != 0) continue;
        json_array_append_new(messages, json_pack("{s:s, s:o}", "role", turns[i].role, "content",
                                                  json_stringn(text + begin, n - begin)));
        *is_turn = true;
    }
    free(text);
    return st;
}

/* The turns of the prompt but for the opening of the model's last one; *messages is NULL where it has none. */
static ae_status prompt_messages(json_t **messages, const ae_tokenizer *t, const int32_t *tokens,
                                 ptrdiff_t n) {
    const ae_special_ids ids = ae_tokenizer_special(t);
    json_t *list = json_array();
    bool good = ids.start_of_turn >= 0 && ids.end_of_turn >= 0;
    ae_status st = AE_OK;
    for (ptrdiff_t first = next_of(tokens, 0, n, ids.start_of_turn); good && st == AE_OK;) {
        const ptrdiff_t end = next_of(tokens, first, n, ids.end_of_turn);
        if (end >= n) break;
        st = add_turn(list, t, tokens, first + 1, end, &good);
        first = next_of(tokens, end, n, ids.start_of_turn);
    }
    if (st == AE_OK && good && json_array_size(list) % 2 == 1)
        *messages = json_incref(list);
    else
        *messages = NULL;
    json_decref(list);
    return st;
}

static json_t *row_of_tokens(const ae_written *w) {
    json_t *tokens = json_array(), *mask = json_array();
    for (ptrdiff_t i = 0; i < w->n_prompt + w->seen.n; i++) {
        json_array_append_new(tokens, json_integer(w->tokens[i]));
        json_array_append_new(mask, json_integer(i >= w->n_prompt));
    }
    return json_pack("{s:o, s:o}", "tokens", tokens, "loss_mask", mask);
}

static ae_status make_row(json_t **row, const ae_tokenizer *t, const ae_written *w) {
    json_t *messages = NULL;
    *row = json_null();
    if (w->seen.truncated) return AE_OK;
    const ae_status st = t ? prompt_messages(&messages, t, w->tokens, w->n_prompt) : AE_OK;
    if (st != AE_OK) return st;
    if (!messages) {
        *row = row_of_tokens(w);
        return AE_OK;
    }
    if (!ae_text_is_blank(w->text, w->text_bytes)) {
        json_array_append_new(messages, json_pack("{s:s, s:o}", "role", "assistant", "content",
                                                  json_stringn(w->text, w->text_bytes)));
        *row = json_pack("{s:O}", "messages", messages);
    }
    json_decref(messages);
    return AE_OK;
}

/* ---- the line ---- */

/* Best first, equals as they were drawn; those without a reward last. */
static void sort_places(ptrdiff_t *places, const double *rewards, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++) {
        ptrdiff_t at = i;
        for (; at > 0; at--) {
            const double x = rewards[i], before = rewards[places[at - 1]];
            if (isnan(x) || (!isnan(before) && before >= x)) break;
            places[at] = places[at - 1];
        }
        places[at] = i;
    }
}

static json_t *text_of(const ae_tokenizer *t, const ae_written *w) {
    return t && w->text ? json_stringn(w->text, w->text_bytes) : json_null();
}

static ae_status fill_line(json_t *line, const ae_tokenizer *t, const ae_written *answers,
                           const double *rewards, const ptrdiff_t *places, ptrdiff_t n) {
    json_t *all = json_array(), *texts = json_array(), *tokens = json_array(), *cut = json_array(), *row;
    const ae_written *best = &answers[places[0]];
    for (ptrdiff_t i = 0; i < n; i++) {
        const ae_written *w = &answers[places[i]];
        json_array_append_new(all, ae_json_number(rewards[places[i]]));
        json_array_append_new(texts, text_of(t, w));
        json_array_append_new(tokens, json_integer(w->seen.n));
        json_array_append_new(cut, json_boolean(w->seen.truncated));
    }
    json_object_set_new(line, "answer", text_of(t, best));
    json_object_set_new(line, "reward", ae_json_number(rewards[places[0]]));
    json_object_set_new(line, "all", all);
    json_object_set_new(line, "answers", texts);
    json_object_set_new(line, "tokens", tokens);
    json_object_set_new(line, "truncated", cut);
    const ae_status st = make_row(&row, t, best);
    json_object_set_new(line, "row", row);
    return st;
}

ae_status ae_best_of_n_line(json_t **line, const ae_tokenizer *t, const ae_written *answers,
                            const double *rewards, ptrdiff_t n) {
    ptrdiff_t *places = calloc((size_t)n, sizeof *places);
    char *prompt = NULL;
    size_t bytes = 0;
    ae_status st = AE_OK;
    *line = json_object();
    if (!places || !*line) AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "answers: out of memory"));
    if (t) AE_TRY(ae_rewarded_text(t, answers->tokens, answers->n_prompt, &prompt, &bytes));
    json_object_set_new(*line, "prompt", prompt ? json_stringn(prompt, bytes) : json_null());
    sort_places(places, rewards, n);
    AE_TRY(fill_line(*line, t, answers, rewards, places, n));
out:
    free(places);
    free(prompt);
    return st;
}

/* ---- reading back ---- */

ae_status ae_best_of_n_count_lines(const char *path, int64_t *lines, int64_t *end) {
    enum { PIECE = 1 << 16 };
    char *piece = malloc(PIECE);
    FILE *f = fopen(path, "rb");
    int64_t at = 0;
    *lines = *end = 0;
    for (size_t n; f && piece && (n = fread(piece, 1, PIECE, f)) > 0; at += (int64_t)n)
        for (size_t i = 0; i < n; i++) {
            if (piece[i] != '\n') continue;
            ++*lines;
            *end = at + (int64_t)i + 1;
        }
    const ae_status st = piece ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
    if (f) fclose(f);
    free(piece);
    return st;
}

static ae_status read_rewards(double *rewards, const json_t *line, int64_t N, const char *where, bool *all) {
    const json_t *list = json_object_get(line, "all");
    *all = true;
    if (json_array_size(list) != (size_t)N)
        return AE_FAIL(AE_ERR_INPUT, "%s: all: expected %lld rewards, found %zu; choose another run.dir",
                       where, (long long)N, json_array_size(list));
    for (int64_t i = 0; i < N; i++) {
        const json_t *x = json_array_get(list, (size_t)i);
        *all = *all && json_is_number(x);
        rewards[N - 1 - i] = json_number_value(x);
    }
    return AE_OK;
}

static ae_status write_row(const json_t *line, FILE *rows, const char *path, int64_t *count) {
    const json_t *row = json_object_get(line, "row");
    if (!json_is_object(row)) return AE_OK;
    ++*count;
    return ae_json_write_line(row, rows, path);
}

static ae_status take_line(ae_best_of_n_rewards *r, const char *text, size_t n, const char *where, int64_t N,
                           FILE *rows, const char *path) {
    json_t *line = NULL;
    bool all = false;
    ae_status st;
    double *sorted = realloc(r->sorted, (size_t)(r->prompts + 1) * (size_t)N * sizeof *sorted);
    if (!sorted) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", where);
    r->sorted = sorted;
    AE_TRY(ae_json_parse_answer(&line, text, n, where));
    AE_TRY(read_rewards(sorted + r->prompts * N, line, N, where, &all));
    r->prompts += all;
    r->left_out += !all;
    AE_TRY(write_row(line, rows, path, &r->rows));
out:
    json_decref(line);
    return st;
}

static ae_status read_lines(ae_best_of_n_rewards *r, ae_reader *in, int64_t N, FILE *rows, const char *path) {
    char *line, where[AE_WHERE_BYTES];
    size_t n;
    for (;;) {
        ae_status st = ae_reader_line(in, &line, &n);
        if (st != AE_OK || !line) return st;
        snprintf(where, sizeof where, "%s:%lld", ae_reader_name(in), (long long)ae_reader_line_number(in));
        st = take_line(r, line, n, where, N, rows, path);
        if (st != AE_OK) return st;
    }
}

ae_status ae_best_of_n_read(ae_best_of_n_rewards *r, const char *path, int64_t N, const char *rows) {
    ae_reader *in = NULL;
    char *text = NULL;
    size_t n = 0;
    ae_status st;
    *r = (ae_best_of_n_rewards){0};
    FILE *out = open_memstream(&text, &n);
    if (!out) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", rows);
    AE_TRY(ae_reader_open(&in, path));
    AE_TRY(read_lines(r, in, N, out, rows));
out:
    ae_reader_close(in);
    if (fclose(out) != 0 && st == AE_OK) st = AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", rows);
    if (st == AE_OK) st = ae_file_write(rows, text, n);
    free(text);
    return st;
}
