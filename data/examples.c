#include "data/examples.h"

#include "core/log.h"
#include "data/inputs.h"
#include "data/seen_rows.h"
#include "data/token_set.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is held while the sets are made. */
typedef struct {
    const ae_examples_options *o;
    ae_examples_report *report;
    ae_example_rules rules;
    int64_t rows, first_held;
    ae_seen_rows seen; /* while rows are counted */
    bool has_margins, has_meta;
    json_t *sources;
    ae_token_writer *train, *held;
    ae_progress bar;
} work;

typedef ae_status (*visitor)(work *w, const ae_example *e, int64_t row);

static ae_status look(work *w, const ae_example *e, int64_t row);

/* Every sound row; faults are noted in `bad`, which may be NULL. */
static ae_status visit_rows(work *w, visitor visit, ae_bad_lines *bad, int64_t *rows) {
    ae_lines lines = {.paths = w->o->inputs, .n = w->o->n_inputs};
    char *line = NULL;
    size_t n = 0;
    ae_status st;
    ae_example_rules rules = w->rules;
    *rows = 0;
    if (visit == look) rules.told_key = &lines.told_key;
    for (;;) {
        ae_example e;
        if (w->o->check) AE_TRY(w->o->check());
        AE_TRY(ae_lines_next(&lines, &line, &n));
        if (!line) break;
        st = ae_example_read(&e, &rules, line, n, lines.where);
        if (st == AE_ERR_INPUT && w->o->skip_bad) {
            ae_bad_lines_note(bad);
            continue;
        }
        if (st == AE_OK) st = visit(w, &e, *rows);
        ae_example_free(&e);
        AE_TRY(st);
        ++*rows;
    }
out:
    ae_lines_close(&lines);
    return st;
}

/* ---- what there is ---- */

static ae_status look(work *w, const ae_example *e, int64_t row) {
    const ae_seen_row *first;
    w->has_margins |= e->has_margin;
    w->has_meta |= e->meta != NULL;
    w->report->unused_turns += e->unused_turns;
    w->report->untrained += w->rules.kind == AE_KIND_CHAT && ae_example_targets(e) == 0;
    const ae_status st = ae_seen_rows_find(&w->seen, e, 0, row, &first);
    w->report->duplicates += first != NULL;
    return st;
}

static ae_status count_rows(work *w) {
    const ae_examples_options *o = w->o;
    const ae_status st = visit_rows(w, look, &w->report->bad, &w->rows);
    ae_seen_rows_free(&w->seen);
    if (st != AE_OK) return st;
    if (w->rows == 0)
        return AE_FAIL(AE_ERR_INPUT, "%s: expected rows of %s, found none that is sound", o->inputs[0],
                       ae_data_kind_name(w->rules.kind));
    w->first_held = w->rows;
    if (!o->held_path) return AE_OK;
    if (w->rows == 1)
        return AE_FAIL(AE_ERR_INPUT,
                       "%s: expected two rows or more to hold one out, found one; give more or --heldout 0",
                       o->inputs[0]);
    const int64_t held = (int64_t)floor((double)w->rows * o->heldout + 1e-9);
    w->first_held -= held > 0 ? held : 1;
    return AE_OK;
}

/* ---- writing ---- */

static ae_status open_writer(work *w, ae_token_writer **writer, const char *path) {
    const ae_example_rules *r = &w->rules;
    ae_token_set_info info = {.vocab_size = r->vocab_size,
                              .has_mask = r->kind != AE_KIND_PROMPTS,
                              .kind = r->kind,
                              .has_margins = w->has_margins,
                              .has_meta = w->has_meta,
                              .no_text_bytes = !r->tokenizer};
    if (r->tokenizer) info.tokenizer = ae_tokenizer_bytes(r->tokenizer, &info.tokenizer_bytes);
    return ae_token_writer_open(writer, path, &info);
}

static int64_t text_bytes(const ae_tokenizer *t, const ae_ids *ids) {
    int64_t bytes = 0;
    for (ptrdiff_t i = 0; t && i < ids->n; i++)
        if (ids->ids[i] < ae_tokenizer_size(t)) bytes += ae_tokenizer_token_bytes(t, ids->ids[i]);
    return bytes;
}

static void count_document(ae_examples_count *c, int64_t tokens) {
    c->documents++;
    c->tokens += tokens;
    if (tokens > c->longest) c->longest = tokens;
}

/* The prompt and one answer, as a document. */
static ae_status write_answer(work *w, ae_token_writer *to, ae_examples_count *c, const ae_ids *prompt,
                              const ae_ids *answer) {
    const ae_tokenizer *t = w->rules.tokenizer;
    uint8_t *mask = calloc((size_t)(prompt->n + answer->n), 1);
    ae_status st;
    if (!mask) return AE_FAIL(AE_ERR_RESOURCE, "pair: out of memory");
    memset(mask + prompt->n, 1, (size_t)answer->n);
    AE_TRY(ae_token_writer_part(to, prompt->ids, mask, prompt->n));
    AE_TRY(ae_token_writer_part(to, answer->ids, mask + prompt->n, answer->n));
    AE_TRY(ae_token_writer_end_document(to, text_bytes(t, prompt) + text_bytes(t, answer)));
    count_document(c, prompt->n + answer->n);
out:
    free(mask);
    return st;
}

static ae_status write_example(work *w, const ae_example *e, int64_t row) {
    const bool is_held = row >= w->first_held;
    ae_token_writer *to = is_held ? w->held : w->train;
    ae_examples_count *c = is_held ? &w->report->held : &w->report->train;
    ae_status st;
    c->rows++;
    c->targets += ae_example_targets(e);
    if (w->rules.kind == AE_KIND_PAIRS) {
        AE_TRY(write_answer(w, to, c, &e->tokens, &e->chosen));
        AE_TRY(write_answer(w, to, c, &e->tokens, &e->rejected));
        if (w->has_margins) AE_TRY(ae_token_writer_margin(to, (float)e->margin));
    } else {
        AE_TRY(ae_token_writer_add(to, e->tokens.ids, e->mask, e->tokens.n,
                                   text_bytes(w->rules.tokenizer, &e->tokens)));
        count_document(c, e->tokens.n);
        if (w->has_meta) AE_TRY(ae_token_writer_meta(to, e->meta));
    }
    ae_progress_show(&w->bar, row + 1, "");
out:
    return st;
}

static char *manifest(const work *w, const char *part, const ae_examples_count *c) {
    char hash[32] = "";
    const ae_examples_options *o = w->o;
    const ae_tokenizer *t = w->rules.tokenizer;
    if (t) snprintf(hash, sizeof hash, "%016llx", (unsigned long long)ae_tokenizer_hash(t));
    json_t *root = json_pack(
        "{s:s, s:s, s:O, s:{s:s, s:s?, s:f}, s:{s:s?, s:I}, s:{s:I, s:I, s:I, s:I}, s:{s:I, s:I}}", "made_by",
        "aerie " AERIE_VERSION, "part", part, "sources", w->sources, "options", "kind",
        ae_data_kind_name(w->rules.kind), "map", o->mapping, "heldout", o->held_path ? o->heldout : 0.0,
        "tokenizer", "hash", t ? hash : NULL, "vocab_size", (json_int_t)w->rules.vocab_size, "counts", "rows",
        (json_int_t)c->rows, "documents", (json_int_t)c->documents, "tokens", (json_int_t)c->tokens,
        "targets", (json_int_t)c->targets, "input", "rows", (json_int_t)w->rows, "bad_lines",
        (json_int_t)w->report->bad.n);
    char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    return text;
}

static ae_status finish(work *w, const char *part, const ae_examples_count *c, ae_token_writer **writer) {
    if (!*writer) return AE_OK;
    char *text = manifest(w, part, c);
    if (!text) return AE_FAIL(AE_ERR_USAGE, "%s: expected names in UTF-8, found other bytes", part);
    const ae_status st = ae_token_writer_finish(*writer, text);
    *writer = NULL;
    free(text);
    return st;
}

static ae_status check_targets(const work *w, const char *part, const ae_examples_count *c) {
    if (w->rules.kind != AE_KIND_CHAT || c->rows == 0 || c->targets > 0) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT,
                   "%s: expected answers to learn from in the %s part, found none that counts (weight 0, or "
                   "a loss_mask of 0)",
                   w->o->inputs[0], part);
}

static ae_status write_rows(work *w) {
    int64_t rows = 0;
    ae_status st;
    ae_progress_init(&w->bar, "render", 0, w->rows);
    w->bar.unit = "row";
    st = visit_rows(w, write_example, NULL, &rows);
    ae_progress_end(&w->bar);
    if (st == AE_OK && rows != w->rows)
        st = AE_FAIL(AE_ERR_INPUT,
                     "input: expected the %lld rows that were counted, found %lld: a file changed while it "
                     "was read; run "
                     "it again",
                     (long long)w->rows, (long long)rows);
    if (st == AE_OK) st = check_targets(w, "training", &w->report->train);
    return st == AE_OK ? check_targets(w, "held-out", &w->report->held) : st;
}

ae_status ae_examples_prepare(const ae_examples_options *o, ae_examples_report *report) {
    work w = {.o = o, .report = report, .rules = o->rules};
    ae_status st;
    *report = (ae_examples_report){0};
    if (o->n_inputs == 0) return AE_FAIL(AE_ERR_USAGE, "input: expected at least one file, found none");
    if (o->held_path && !(o->heldout > 0 && o->heldout <= 0.5))
        return AE_FAIL(AE_ERR_USAGE, "heldout: expected a share from 0 to 0.5, found %g", o->heldout);
    AE_TRY(ae_inputs_check(o->inputs, o->n_inputs));
    AE_TRY(count_rows(&w));
    AE_TRY(ae_inputs_describe(&w.sources, o->inputs, o->n_inputs));
    AE_TRY(open_writer(&w, &w.train, o->output));
    if (o->held_path) AE_TRY(open_writer(&w, &w.held, o->held_path));
    AE_TRY(write_rows(&w));
    AE_TRY(finish(&w, "train", &report->train, &w.train));
    AE_TRY(finish(&w, "heldout", &report->held, &w.held));
out:
    ae_token_writer_abandon(w.train);
    ae_token_writer_abandon(w.held);
    json_decref(w.sources);
    return st;
}
