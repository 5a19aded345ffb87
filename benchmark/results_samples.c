#include "benchmark/results_parts.h"
#include "benchmark/words.h"
#include "core/file.h"

#include <nettle/sha2.h>
#include <stdlib.h>
#include <string.h>

static ae_status out_of_memory(void) {
    return AE_FAIL(AE_ERR_RESOURCE, "samples: out of memory");
}

/* ---- hashes ---- */

static void hash_end(char out[65], struct sha256_ctx *c) {
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_digest(c, sizeof digest, digest);
    for (size_t i = 0; i < sizeof digest; i++) snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

void ae_sha256(char out[65], const char *text) {
    struct sha256_ctx c;
    sha256_init(&c);
    sha256_update(&c, strlen(text), (const uint8_t *)text);
    hash_end(out, &c);
}

/* ---- values ---- */

static json_t *likelihood_texts(const ae_likelihood *l) {
    char number[AE_NUMBER_BYTES];
    ae_words_number(number, l->logprob);
    return json_pack("[s, s]", number, l->greedy ? "True" : "False");
}

/* What a metric keeps of one document: a number, or the numbers that are put together over all. */
static json_t *value_of(const ae_column *c, ptrdiff_t d) {
    const double *v = c->values[d].v;
    switch (c->over) {
    case AE_OVER_MEAN:
        return json_real(v[0]);
    case AE_OVER_WORD_PERPLEXITY:
    case AE_OVER_BYTE_PERPLEXITY:
    case AE_OVER_BITS_PER_BYTE:
        return json_pack("[f, I]", v[0], (json_int_t)v[1]);
    case AE_OVER_COUNTED:
    case AE_OVER_AMBIGUOUS:
    case AE_OVER_DISAMBIGUATED:
        return json_pack("[f, b]", v[0], v[3] > 0.5);
    default:
        return json_pack("[f, f, f, b]", v[0], v[1], v[2], v[3] > 0.5);
    }
}

/* ---- one line ---- */

static json_t *target_of(const ae_task *t, const ae_request *q) {
    json_t *list = json_array();
    if (t->kind == AE_TASK_ROLLING) {
        json_decref(list);
        return json_string(q->text);
    }
    for (ptrdiff_t c = 0; t->kind == AE_TASK_CHOICE && c < q->n_choices; c++)
        if (q->gold[c]) json_array_append_new(list, json_integer(c));
    for (size_t i = 0; t->kind == AE_TASK_GENERATE && i < q->n_references; i++)
        json_array_append_new(list, json_string(q->references[i]));
    if (json_array_size(list) != 1) return list;
    json_t *one = json_incref(json_array_get(list, 0));
    json_decref(list);
    return one;
}

/* The target as text; a list as JSON. */
static json_t *target_text(const json_t *target) {
    if (json_is_string(target)) return json_string(json_string_value(target));
    char *text = json_dumps(target, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
    json_t *s = json_string(text ? text : "");
    free(text);
    return s;
}

static json_t *arguments_of(const ae_task *t, const ae_request *q) {
    json_t *all = json_object();
    if (t->kind == AE_TASK_GENERATE)
        json_object_set_new(
            all, "gen_args_0",
            json_pack("{s:s, s:o}", "arg_0", q->contexts[0], "arg_1", ae_result_generation(t)));
    if (t->kind == AE_TASK_ROLLING)
        json_object_set_new(all, "gen_args_0", json_pack("{s:s}", "arg_0", q->text));
    const ptrdiff_t n = t->kind == AE_TASK_CHOICE ? q->n_choices : 0;
    for (ptrdiff_t c = 0; c < (ae_task_wants_alone(t) ? 2 * n : n); c++) {
        char name[32];
        snprintf(name, sizeof name, "gen_args_%td", c);
        json_object_set_new(
            all, name,
            json_pack("{s:s, s:s}", "arg_0", c < n ? q->contexts[c] : "", "arg_1", q->continuations[c % n]));
    }
    return all;
}

static json_t *texts(const char *const *items, size_t n) {
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) json_array_append_new(list, json_string(items[i]));
    return list;
}

/* What the model said: one entry for each argument, with its repeats where they are not filtered. */
static json_t *said(const ae_task *t, const ae_request *q, const ae_outcome *o, bool filtered) {
    json_t *all = json_array();
    const ptrdiff_t n = q->n_choices;
    for (ptrdiff_t c = 0; t->kind == AE_TASK_CHOICE && c < (o->alone ? 2 * n : n); c++) {
        json_t *one = likelihood_texts(c < n ? &o->choices[c] : &o->alone[c - n]);
        json_array_append_new(all, filtered ? one : json_pack("[o]", one));
    }
    if (t->kind == AE_TASK_ROLLING) {
        char number[AE_NUMBER_BYTES];
        ae_words_number(number, o->rolling);
        json_array_append_new(all, filtered ? json_string(number) : json_pack("[s]", number));
    }
    if (t->kind == AE_TASK_GENERATE) json_array_append_new(all, texts(o->answers, o->n_answers));
    return all;
}

static ae_status filtered(json_t **out, const ae_scoring *s, const ae_task *t, size_t f, const ae_request *q,
                          const ae_outcome *o) {
    ae_texts kept = {0};
    *out = NULL;
    if (t->kind != AE_TASK_GENERATE) {
        *out = said(t, q, o, true);
        return AE_OK;
    }
    const ae_status st = ae_scoring_filter(&kept, s, f, o);
    if (st != AE_OK) return st;
    json_t *list = texts((const char *const *)kept.items, kept.n);
    *out = kept.n == 1 ? list : json_pack("[o]", list);
    ae_texts_free(&kept);
    return AE_OK;
}

/* The hashes of a line, of which those of the task are made. */
static void add_hashes(json_t *line, const ae_task *t, const ae_request *q, struct sha256_ctx *task) {
    static const char *const names[] = {"doc_hash", "prompt_hash", "target_hash"};
    char *doc = json_dumps(q->row, JSON_INDENT(2));
    const char *of[] = {doc ? doc : "", t->kind == AE_TASK_ROLLING ? q->text : q->contexts[0],
                        json_string_value(json_object_get(line, "target"))};
    for (size_t i = 0; i < 3; i++) {
        char hash[65];
        ae_sha256(hash, of[i]);
        json_object_set_new(line, names[i], json_string(hash));
        sha256_update(task, 64, (const uint8_t *)hash);
    }
    free(doc);
}

static void add_metrics(json_t *line, const ae_scoring *s, const char *filter, ptrdiff_t d) {
    json_t *names = json_object_get(line, "metrics");
    for (size_t i = 0; i < ae_scoring_n_columns(s); i++) {
        const ae_column *c = ae_scoring_column(s, i);
        if (strcmp(c->filter, filter) != 0) continue;
        json_array_append_new(names, json_string(c->name));
        json_object_set_new(line, c->name, value_of(c, d));
    }
}

/* ---- the file ---- */

typedef struct {
    const ae_eval_results *r;
    size_t leaf;
    const ae_task *task;
    FILE *file;
    const char *path;
    struct sha256_ctx hash;
} writing;

static ae_status write_line(writing *w, size_t f, ptrdiff_t d) {
    const ae_scoring *s = w->r->scorings[w->leaf];
    const char *filter = w->task->kind == AE_TASK_GENERATE ? w->task->filters[f].name : "none";
    json_t *kept = NULL;
    ae_request q;
    ae_outcome o;
    ae_status st = ae_request_make(&q, ae_evaluation_documents(w->r->evaluation, w->leaf), d);
    if (st != AE_OK) return st;
    ae_evaluation_outcome(&o, w->r->evaluation, w->leaf, d);
    st = filtered(&kept, s, w->task, f, &q, &o);
    if (st == AE_OK) {
        json_t *target = target_of(w->task, &q);
        json_t *line =
            json_pack("{s:I, s:O, s:o, s:o, s:o, s:o, s:s, s:[]}", "doc_id", (json_int_t)d, "doc", q.row,
                      "target", target_text(target), "arguments", arguments_of(w->task, &q), "resps",
                      said(w->task, &q, &o, false), "filtered_resps", kept, "filter", filter, "metrics");
        json_decref(target);
        if (line) {
            add_hashes(line, w->task, &q, &w->hash);
            add_metrics(line, s, filter, d);
        }
        char *text = line ? json_dumps(line, JSON_REAL_PRECISION(17)) : NULL;
        json_decref(line);
        st = text ? AE_OK : out_of_memory();
        if (text && (fputs(text, w->file) == EOF || fputc('\n', w->file) == EOF))
            st = ae_output_failed(w->path);
        free(text);
    }
    ae_request_free(&q);
    return st;
}

static ae_status write_all(writing *w) {
    const size_t filters = w->task->kind == AE_TASK_GENERATE ? w->task->n_filters : 1;
    const ptrdiff_t n = ae_task_documents_count(ae_evaluation_documents(w->r->evaluation, w->leaf));
    ae_status st = AE_OK;
    for (size_t f = 0; st == AE_OK && f < filters; f++)
        for (ptrdiff_t d = 0; st == AE_OK && d < n; d++) st = write_line(w, f, d);
    if (st == AE_OK && fflush(w->file) != 0) st = ae_output_failed(w->path);
    return st;
}

ae_status ae_result_samples(const ae_eval_results *r, size_t leaf, const char *folder, char hash[65]) {
    const ae_task *task = ae_evaluation_leaf(r->evaluation, leaf);
    char name[NAME_MAX + 1];
    snprintf(name, sizeof name, "samples_%.200s.jsonl", task->name);
    char *path = ae_path_join(folder, name), *aside = ae_path_beside(path, ".part");
    if (!aside) return out_of_memory();
    writing w = {.r = r, .leaf = leaf, .task = task, .file = fopen(aside, "we"), .path = path};
    sha256_init(&w.hash);
    ae_status st = w.file ? write_all(&w) : ae_output_failed(path);
    if (w.file && fclose(w.file) != 0 && st == AE_OK) st = ae_output_failed(path);
    if (st == AE_OK) st = ae_path_sync(aside);
    if (st == AE_OK) st = ae_path_rename(aside, path);
    hash_end(hash, &w.hash);
    free(path);
    free(aside);
    return st;
}
