#include "benchmark/run_parts.h"
#include "core/dims.h"
#include "core/file.h"
#include "data/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static ae_status out_of_memory(void) {
    return AE_FAIL(AE_ERR_RESOURCE, "evaluation: out of memory");
}

static ae_status check(const ae_evaluation *e) {
    return e->options.check ? e->options.check(e->options.context) : AE_OK;
}

/* ---- requests ---- */

static ae_status add_pair(ae_evaluation *e, const ae_encoded *at) {
    if (e->n_pairs == e->pairs_room) {
        const ptrdiff_t room = 2 * e->pairs_room + 1024;
        ae_run_pair *grown = realloc(e->pairs, (size_t)room * sizeof *grown);
        if (!grown) return out_of_memory();
        e->pairs = grown;
        e->pairs_room = room;
    }
    e->counts.cut += at->cut;
    e->pairs[e->n_pairs++] = (ae_run_pair){.at = *at};
    return AE_OK;
}

static ae_status add_prompt(ae_evaluation *e, const ae_run_prompt *p) {
    if (e->n_prompts == e->prompts_room) {
        const ptrdiff_t room = 2 * e->prompts_room + 256;
        ae_run_prompt *grown = realloc(e->prompts, (size_t)room * sizeof *grown);
        if (!grown) return out_of_memory();
        e->prompts = grown;
        e->prompts_room = room;
    }
    e->counts.cut += p->at.cut;
    e->prompts[e->n_prompts++] = *p;
    return AE_OK;
}

static ae_status encode_choices(ae_evaluation *e, const ae_run_leaf *l, const ae_request *r,
                                const char *where, bool alone) {
    ae_encoded before = {0}, at;
    ae_status st = AE_OK;
    for (ptrdiff_t c = 0; st == AE_OK && c < r->n_choices; c++) {
        st = ae_encode_choice(&at, &e->ids, &e->options.encoding, l->task, r, c, c > 0 ? &before : NULL,
                              alone, where);
        if (st == AE_OK) st = add_pair(e, &at);
        before = at;
    }
    return st;
}

static ae_status encode_rolling(ae_evaluation *e, const ae_request *r, const char *where) {
    ae_encoded *windows = NULL;
    ptrdiff_t n = 0;
    ae_status st = ae_encode_rolling(&windows, &n, &e->ids, &e->options.encoding, r->text, where);
    for (ptrdiff_t w = 0; st == AE_OK && w < n; w++) st = add_pair(e, &windows[w]);
    free(windows);
    return st;
}

static ae_status encode_prompt(ae_evaluation *e, const ae_run_leaf *l, ptrdiff_t d, const ae_request *r,
                               const char *where) {
    const ae_task *t = l->task;
    ae_run_prompt p = {.leaf = (size_t)(l - e->leaves), .document = d, .answers = e->n_answers};
    ae_status st = t->prompt_tokens > 0
                       ? ae_encode_recall(&p.at, &e->ids, &e->options.encoding, r->contexts[0],
                                          t->prompt_tokens, t->max_new, where)
                       : ae_encode_prompt(&p.at, &e->ids, &e->options.encoding, r, t->max_new, where);
    p.repeats = t->prompt_tokens > 0 && p.at.n_continuation == 0 ? 0 : t->repeats;
    if (st == AE_OK) st = add_prompt(e, &p);
    e->n_answers += p.repeats;
    return st;
}

static ae_status encode_document(ae_evaluation *e, ae_run_leaf *l, ptrdiff_t d) {
    char where[AE_WHERE_BYTES];
    ae_request r;
    ae_task_documents_where(where, sizeof where, l->documents, d);
    ae_status st = ae_request_make(&r, l->documents, d);
    if (st != AE_OK) return st;
    l->first[d] = l->task->kind == AE_TASK_GENERATE ? e->n_prompts : e->n_pairs;
    switch (l->task->kind) {
    case AE_TASK_CHOICE:
        l->choices[d] = r.n_choices;
        st = encode_choices(e, l, &r, where, false);
        if (st == AE_OK && ae_task_wants_alone(l->task)) st = encode_choices(e, l, &r, where, true);
        break;
    case AE_TASK_ROLLING:
        st = encode_rolling(e, &r, where);
        break;
    case AE_TASK_GENERATE:
        st = encode_prompt(e, l, d, &r, where);
        break;
    }
    ae_request_free(&r);
    return st;
}

static ae_status open_leaf(ae_evaluation *e, const ae_task *task) {
    ae_run_leaf *l = &e->leaves[e->n_leaves++];
    l->task = task;
    ae_status st = ae_task_documents_open(&l->documents, task, e->options.data, &e->options.documents);
    if (st != AE_OK) return st;
    l->n = ae_task_documents_count(l->documents);
    l->first = calloc((size_t)l->n + 1, sizeof *l->first);
    l->choices = calloc((size_t)l->n + 1, sizeof *l->choices);
    if (!l->first || !l->choices) return out_of_memory();
    for (ptrdiff_t d = 0; st == AE_OK && d < l->n; d++) {
        st = encode_document(e, l, d);
        if (st == AE_OK) st = check(e);
    }
    l->first[l->n] = task->kind == AE_TASK_GENERATE ? e->n_prompts : e->n_pairs;
    return st;
}

static bool is_open(const ae_evaluation *e, const ae_task *leaf) {
    for (size_t i = 0; i < e->n_leaves; i++)
        if (strcmp(e->leaves[i].task->name, leaf->name) == 0) return true;
    return false;
}

static ae_status open_leaves(ae_evaluation *e, const ae_task *const *tasks, size_t n) {
    size_t all = 0;
    for (size_t i = 0; i < n; i++) all += ae_task_n_leaves(tasks[i]);
    const ae_task **leaves = calloc(all + 1, sizeof *leaves);
    e->leaves = calloc(all + 1, sizeof *e->leaves);
    ae_status st = leaves && e->leaves ? AE_OK : out_of_memory();
    for (size_t i = 0; st == AE_OK && i < n; i++) {
        ae_task_leaves(tasks[i], leaves);
        for (size_t k = 0; st == AE_OK && k < ae_task_n_leaves(tasks[i]); k++)
            if (!is_open(e, leaves[k])) st = open_leaf(e, leaves[k]);
    }
    free(leaves);
    return st;
}

static ae_status check_rows(const ae_task *leaf, const ae_evaluation_options *o) {
    ae_task_documents *documents = NULL;
    ae_status st = ae_task_documents_open(&documents, leaf, o->data, &o->documents);
    for (ptrdiff_t d = 0; st == AE_OK && d < ae_task_documents_count(documents); d++) {
        ae_request r;
        st = ae_request_make(&r, documents, d);
        if (st != AE_OK) break;
        ae_request_free(&r);
        if (o->check) st = o->check(o->context);
    }
    ae_task_documents_close(documents);
    return st;
}

ae_status ae_evaluation_check_rows(const ae_task *const *tasks, size_t n, const ae_evaluation_options *o) {
    ae_status st = AE_OK;
    for (size_t i = 0; st == AE_OK && i < n; i++) {
        const size_t n_leaves = ae_task_n_leaves(tasks[i]);
        const ae_task **leaves = calloc(n_leaves + 1, sizeof *leaves);
        if (!leaves) return out_of_memory();
        ae_task_leaves(tasks[i], leaves);
        for (size_t k = 0; st == AE_OK && k < n_leaves; k++) st = check_rows(leaves[k], o);
        free(leaves);
    }
    return st;
}

/* ---- the journal ---- */

static uint64_t mix_encoded(uint64_t h, const ae_evaluation *e, const ae_encoded *at) {
    h = ae_hash_mix(h, (uint64_t)at->n_context);
    h = ae_hash_mix(h, (uint64_t)at->n_continuation);
    for (ptrdiff_t i = 0; i < at->n_context; i++) h = ae_hash_mix(h, (uint64_t)e->ids.ids[at->context + i]);
    for (ptrdiff_t i = 0; i < at->n_continuation; i++)
        h = ae_hash_mix(h, (uint64_t)e->ids.ids[at->continuation + i]);
    return h;
}

static uint64_t mix_leaf(uint64_t h, const ae_task *t) {
    const double numbers[] = {t->temperature, t->top_p};
    h = ae_fnv(h, t->name, strlen(t->name));
    h = ae_fnv(h, t->version, strlen(t->version));
    if (t->kind != AE_TASK_GENERATE) return h;
    h = ae_hash_mix(ae_hash_mix(h, (uint64_t)t->max_new), (uint64_t)t->repeats);
    for (size_t i = 0; i < t->n_stops; i++) h = ae_fnv(h, t->stops[i], strlen(t->stops[i]) + 1);
    return ae_fnv(h, numbers, sizeof numbers);
}

static void hash_requests(const ae_evaluation *e, char out[17]) {
    uint64_t h = AE_FNV_START;
    for (size_t i = 0; i < e->n_leaves; i++) h = mix_leaf(h, e->leaves[i].task);
    for (ptrdiff_t i = 0; i < e->n_pairs; i++) h = mix_encoded(h, e, &e->pairs[i].at);
    for (ptrdiff_t i = 0; i < e->n_prompts; i++) h = mix_encoded(h, e, &e->prompts[i].at);
    snprintf(out, 17, "%016llx", (unsigned long long)h);
}

static ae_status bad_line(const char *where) {
    return AE_FAIL(AE_ERR_INPUT, "%s: expected a request of this evaluation, found another line", where);
}

static ae_status take_pair(ae_evaluation *e, const json_t *line, const char *where) {
    const json_t *logprob = json_object_get(line, "logprob"), *greedy = json_object_get(line, "greedy");
    const ptrdiff_t i = (ptrdiff_t)json_integer_value(json_object_get(line, "likelihood"));
    if (i < 0 || i >= e->n_pairs || !json_is_real(logprob) || !json_is_boolean(greedy))
        return bad_line(where);
    if (!e->pairs[i].done) e->done++;
    e->pairs[i].done = true;
    e->found[i] =
        (ae_likelihood){json_real_value(logprob), json_is_true(greedy), e->pairs[i].at.n_continuation};
    return AE_OK;
}

static ae_status take_answer(ae_evaluation *e, const json_t *line, const char *where) {
    const json_t *text = json_object_get(line, "text");
    const ptrdiff_t i = (ptrdiff_t)json_integer_value(json_object_get(line, "answer"));
    if (i < 0 || i >= e->n_answers || !json_is_string(text)) return bad_line(where);
    if (!e->answers[i]) e->done++;
    free(e->answers[i]);
    e->answers[i] = strdup(json_string_value(text));
    return e->answers[i] ? AE_OK : out_of_memory();
}

static ae_status take_line(void *context, const json_t *line, const char *where) {
    const bool pair = json_is_integer(json_object_get(line, "likelihood")),
               answer = json_is_integer(json_object_get(line, "answer"));
    if (pair == answer) return bad_line(where);
    return pair ? take_pair(context, line, where) : take_answer(context, line, where);
}

static ae_status open_journal(ae_evaluation *e) {
    char hash[17];
    if (!e->options.folder) return AE_OK;
    json_t *settings = json_deep_copy(e->options.settings);
    hash_requests(e, hash);
    if (!settings || json_object_set_new(settings, "requests", json_string(hash)) != 0) {
        json_decref(settings);
        return out_of_memory();
    }
    const ae_status st = ae_journal_open(&e->journal, e->options.folder, settings, take_line, e);
    json_decref(settings);
    return st;
}

/* ---- how far it is ---- */

static int64_t pair_tokens(const ae_run_pair *p) {
    return (int64_t)(p->at.n_context + p->at.n_continuation);
}

/* Answers that are missing, of which some have begun. */
static int64_t unwritten(const ae_evaluation *e) {
    double tokens = 0;
    for (size_t i = 0; i < e->n_leaves; i++) {
        const ae_run_leaf *l = &e->leaves[i];
        const double each = l->ended > 0 ? (double)l->written / (double)l->ended : (double)l->task->max_new;
        tokens += (double)l->unanswered * each;
    }
    return ae_max((int64_t)tokens - e->growing_tokens, 0);
}

void ae_run_tell(const ae_evaluation *e) {
    if (!e->options.progress) return;
    const int64_t new_tokens = e->counts.new_tokens + e->growing_tokens;
    const ae_evaluation_progress p = {.done = e->done,
                                      .first = e->done_before,
                                      .all = e->n_pairs + e->n_answers,
                                      .worked = e->worked + new_tokens,
                                      .left = e->unread + unwritten(e),
                                      .growing = e->growing,
                                      .new_tokens = new_tokens};
    e->options.progress(e->options.context, &p);
}

/* What the journal does not have. */
static void count_work(ae_evaluation *e) {
    for (ptrdiff_t i = 0; i < e->n_pairs; i++)
        if (!e->pairs[i].done) e->unread += pair_tokens(&e->pairs[i]);
    for (ptrdiff_t i = 0; i < e->n_prompts; i++) {
        const ae_run_prompt *p = &e->prompts[i];
        int64_t missing = 0;
        for (ptrdiff_t k = 0; k < p->repeats; k++) missing += !e->answers[p->answers + k];
        e->leaves[p->leaf].unanswered += missing;
        if (missing > 0) e->unread += (int64_t)p->at.n_context;
    }
}

ae_status ae_run_keep_pair(ae_evaluation *e, ptrdiff_t i, const ae_likelihood *l) {
    e->found[i] = *l;
    e->pairs[i].done = true;
    e->done++;
    e->worked += pair_tokens(&e->pairs[i]);
    e->unread -= pair_tokens(&e->pairs[i]);
    ae_run_tell(e);
    if (!e->journal) return AE_OK;
    return ae_journal_add(e->journal, json_pack("{s:I, s:f, s:b}", "likelihood", (json_int_t)i, "logprob",
                                                l->logprob, "greedy", (int)l->greedy));
}

/* An answer that the journal had stays; it is the same. */
ae_status ae_run_keep_answer(ae_evaluation *e, ptrdiff_t i, const char *text, size_t n) {
    if (e->answers[i]) return AE_OK;
    e->answers[i] = strndup(text, n);
    if (!e->answers[i]) return out_of_memory();
    e->done++;
    ae_run_tell(e);
    if (!e->journal) return AE_OK;
    return ae_journal_add(e->journal,
                          json_pack("{s:I, s:s}", "answer", (json_int_t)i, "text", e->answers[i]));
}

/* ---- the caller's side ---- */

static ae_status init(ae_evaluation *e, const ae_task *const *tasks, size_t n) {
    ae_status st = open_leaves(e, tasks, n);
    if (st != AE_OK) return st;
    e->found = calloc((size_t)e->n_pairs + 1, sizeof *e->found);
    e->answers = calloc((size_t)e->n_answers + 1, sizeof *e->answers);
    if (!e->found || !e->answers) return out_of_memory();
    st = open_journal(e);
    e->done_before = e->done;
    count_work(e);
    return st;
}

ae_status ae_evaluation_new(ae_evaluation **out, const ae_task *const *tasks, size_t n,
                            const ae_evaluation_options *o) {
    ae_evaluation *e = *out = calloc(1, sizeof *e);
    if (!e) return out_of_memory();
    e->options = *o;
    const ae_status st = init(e, tasks, n);
    if (st == AE_OK) return AE_OK;
    ae_evaluation_delete(e);
    *out = NULL;
    return st;
}

void ae_evaluation_delete(ae_evaluation *e) {
    if (!e) return;
    ae_journal_close(e->journal);
    for (size_t i = 0; i < e->n_leaves; i++) {
        ae_task_documents_close(e->leaves[i].documents);
        free(e->leaves[i].first);
        free(e->leaves[i].choices);
    }
    for (ptrdiff_t i = 0; e->answers && i < e->n_answers; i++) free(e->answers[i]);
    ae_ids_free(&e->ids);
    free(e->leaves);
    free(e->pairs);
    free(e->found);
    free(e->prompts);
    free(e->answers);
    free(e);
}

ae_status ae_evaluation_run(ae_evaluation *e) {
    ae_run_tell(e);
    ae_status st = ae_run_pairs(e);
    if (st == AE_OK) st = ae_run_prompts(e);
    /* what is done is kept, also of a run that ends early */
    const ae_status kept = e->journal ? ae_journal_sync(e->journal) : AE_OK;
    return st == AE_OK ? kept : st;
}

size_t ae_evaluation_n_leaves(const ae_evaluation *e) {
    return e->n_leaves;
}

const ae_task *ae_evaluation_leaf(const ae_evaluation *e, size_t leaf) {
    return e->leaves[leaf].task;
}

const ae_task_documents *ae_evaluation_documents(const ae_evaluation *e, size_t leaf) {
    return e->leaves[leaf].documents;
}

void ae_evaluation_outcome(ae_outcome *o, const ae_evaluation *e, size_t leaf, ptrdiff_t d) {
    const ae_run_leaf *l = &e->leaves[leaf];
    const ptrdiff_t first = l->first[d], n = l->first[d + 1] - first;
    *o = (ae_outcome){0};
    switch (l->task->kind) {
    case AE_TASK_CHOICE:
        o->choices = e->found + first;
        o->alone = n > l->choices[d] ? e->found + first + l->choices[d] : NULL;
        break;
    case AE_TASK_ROLLING:
        for (ptrdiff_t i = 0; i < n; i++) o->rolling += e->found[first + i].logprob;
        break;
    case AE_TASK_GENERATE:
        o->answers = (const char *const *)e->answers + e->prompts[first].answers;
        o->n_answers = (size_t)e->prompts[first].repeats;
        o->recalled = e->ids.ids + e->prompts[first].at.continuation;
        o->n_recalled = e->prompts[first].at.n_continuation;
        break;
    }
}

ae_evaluation_counts ae_evaluation_count(const ae_evaluation *e) {
    ae_evaluation_counts c = e->counts;
    c.requests = e->n_pairs + e->n_answers;
    return c;
}
