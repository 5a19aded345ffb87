#include "cli/data_check.h"

#include "cli/interrupt.h"
#include "cli/results.h"
#include "core/log.h"
#include "data/inputs.h"
#include "data/seen_rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- equal faults ---- */

enum { FAULT_TEXTS = 64, FAULT_LINES = 10 };

/* Faults without their place. The text report names the first lines of each, then how many more there are. */
typedef struct {
    char *texts[FAULT_TEXTS];
    int64_t lines[FAULT_TEXTS];
    size_t n; /* texts beyond the last are not counted, and so always told */
} fault_counts;

/* How often the fault came, with this time. */
static int64_t count_fault(fault_counts *f, const char *text) {
    size_t i = 0;
    while (i < f->n && strcmp(f->texts[i], text) != 0) i++;
    if (i == FAULT_TEXTS) return 1;
    if (i == f->n && !(f->texts[f->n++] = strdup(text))) {
        f->n--;
        return 1;
    }
    return ++f->lines[i];
}

static void tell_more_faults(const fault_counts *f) {
    for (size_t i = 0; i < f->n; i++)
        if (f->lines[i] > FAULT_LINES)
            printf("%lld more line%s: %s\n", (long long)(f->lines[i] - FAULT_LINES),
                   ae_plural(f->lines[i] - FAULT_LINES), f->texts[i]);
}

static void free_faults(fault_counts *f) {
    for (size_t i = 0; i < f->n; i++) free(f->texts[i]);
}

/* ---- the check ---- */

typedef struct {
    const ae_check_options *o;
    ae_lines lines;
    ae_results out; /* of --fix */
    ae_seen_rows seen;
    fault_counts equal;
    json_t *faults, *duplicates, *too_long; /* lists of lines, with --json */
    int64_t rows, good, untrained, unused_turns, tokens, targets, longest;
    int64_t n_faults, n_duplicates, n_too_long;
} check;

static ae_status tell(const check *c, json_t *list, const char *line) {
    if (!c->o->json) {
        puts(line);
        return AE_OK;
    }
    json_t *text = json_string(line); /* a file's name may be no UTF-8 */
    if (json_array_append_new(list, text ? text : json_string("?")) == 0) return AE_OK;
    return AE_FAIL(AE_ERR_RESOURCE, "report: out of memory");
}

/* Tokens that a row of training has to hold: of a pair both answers, each with the prompt. */
static int64_t tokens_of(const ae_example *e, ae_data_kind kind) {
    return kind == AE_KIND_PAIRS ? 2 * e->tokens.n + e->chosen.n + e->rejected.n : e->tokens.n;
}

static ae_status tell_too_long(check *c, const ae_example *e, int64_t tokens) {
    const int64_t most = c->o->row_tokens;
    char line[AE_WHERE_BYTES + 160];
    int64_t learnt = 0;
    for (int64_t i = most; e->mask && i < tokens; i++) learnt += e->mask[i];
    c->n_too_long++;
    if (e->mask)
        snprintf(line, sizeof line,
                 "%s: expected at most %lld tokens, found %lld; a cut loses %lld, %lld of them learnt",
                 c->lines.where, (long long)most, (long long)tokens, (long long)(tokens - most),
                 (long long)learnt);
    else
        snprintf(line, sizeof line, "%s: expected at most %lld tokens%s, found %lld", c->lines.where,
                 (long long)most,
                 c->o->rules.kind == AE_KIND_PAIRS ? " for both answers with their prompt" : "",
                 (long long)tokens);
    return tell(c, c->too_long, line);
}

static ae_status tell_duplicate(check *c, const ae_seen_row *first) {
    char line[2 * AE_WHERE_BYTES + 32];
    c->n_duplicates++;
    snprintf(line, sizeof line, "%s: the same row as %s:%lld", c->lines.where, c->o->inputs[first->file],
             (long long)first->line);
    return tell(c, c->duplicates, line);
}

static void count_example(check *c, const ae_example *e) {
    const int64_t tokens = tokens_of(e, c->o->rules.kind), targets = ae_example_targets(e);
    c->tokens += tokens;
    c->targets += targets;
    c->longest = tokens > c->longest ? tokens : c->longest;
    c->untrained += c->o->rules.kind == AE_KIND_CHAT && targets == 0;
    c->unused_turns += e->unused_turns;
}

/* A sound row; *good: nothing is to be said of it. */
static ae_status check_example(check *c, const ae_example *e, bool *good) {
    const int64_t tokens = tokens_of(e, c->o->rules.kind);
    const ae_seen_row *first = NULL;
    ae_status st;
    AE_TRY(ae_seen_rows_find(&c->seen, e, c->lines.next - 1, ae_reader_line_number(c->lines.reader), &first));
    const bool too_long = c->o->row_tokens && tokens > c->o->row_tokens;
    if (first) AE_TRY(tell_duplicate(c, first));
    if (too_long) AE_TRY(tell_too_long(c, e, tokens));
    count_example(c, e);
    *good = !first && !too_long;
out:
    return st;
}

static ae_status keep_row(check *c, const char *line, size_t n) {
    c->good++;
    if (!c->out.file) return AE_OK;
    if (fwrite(line, 1, n, c->out.file) == n && fputc('\n', c->out.file) != EOF) return AE_OK;
    return ae_output_failed(c->out.name);
}

static ae_status tell_fault(check *c, const char *message) {
    const size_t place = strlen(c->lines.where);
    const bool placed =
        strncmp(message, c->lines.where, place) == 0 && strncmp(message + place, ": ", 2) == 0;
    const bool often = placed && count_fault(&c->equal, message + place + 2) > FAULT_LINES;
    return often && !c->o->json ? AE_OK : tell(c, c->faults, message);
}

static ae_status check_row(check *c, const char *line, size_t n) {
    ae_example e;
    bool good = false;
    ae_example_rules rules = c->o->rules;
    c->rows++;
    rules.told_key = &c->lines.told_key;
    ae_status st = ae_example_read(&e, &rules, line, n, c->lines.where);
    if (st == AE_ERR_INPUT) {
        c->n_faults++;
        return tell_fault(c, ae_error_message());
    }
    if (st != AE_OK) return st;
    st = check_example(c, &e, &good);
    if (st == AE_OK && good) st = keep_row(c, line, n);
    ae_example_free(&e);
    return st;
}

static ae_status check_rows(check *c) {
    for (;;) {
        char *line = NULL;
        size_t n = 0;
        ae_status st = ae_lines_next(&c->lines, &line, &n);
        if (st == AE_OK && ae_interrupt_check() != AE_OK) st = AE_ERR_INTERRUPTED;
        if (st != AE_OK || !line) return st;
        st = check_row(c, line, n);
        if (st != AE_OK) return st;
    }
}

/* ---- the report ---- */

static void report_text(const check *c) {
    const bool learns = c->o->rules.kind != AE_KIND_PROMPTS;
    tell_more_faults(&c->equal);
    printf("%lld row%s of %s, %lld good: %lld with faults, %lld that came before", (long long)c->rows,
           ae_plural(c->rows), ae_data_kind_name(c->o->rules.kind), (long long)c->good,
           (long long)c->n_faults, (long long)c->n_duplicates);
    if (c->o->row_tokens) printf(", %lld too long", (long long)c->n_too_long);
    printf("\n%lld tokens in rows without faults", (long long)c->tokens);
    if (learns) printf(", %lld of them learnt", (long long)c->targets);
    printf("; the longest row has %lld\n", (long long)c->longest);
    if (c->untrained)
        printf("%lld row%s without an answer that is learnt (weight 0)\n", (long long)c->untrained,
               ae_plural(c->untrained));
    if (c->unused_turns)
        printf("%lld turn%s of the user after the last answer, which nothing uses\n",
               (long long)c->unused_turns, ae_plural(c->unused_turns));
}

static ae_status report_json(check *c) {
    json_t *o = json_pack("{s:s, s:I, s:I, s:O, s:O, s:O, s:I, s:I, s:I, s:I, s:I}", "kind",
                          ae_data_kind_name(c->o->rules.kind), "rows", (json_int_t)c->rows, "good",
                          (json_int_t)c->good, "faults", c->faults, "duplicates", c->duplicates, "too_long",
                          c->too_long, "tokens", (json_int_t)c->tokens, "targets", (json_int_t)c->targets,
                          "longest", (json_int_t)c->longest, "untrained_rows", (json_int_t)c->untrained,
                          "unused_turns", (json_int_t)c->unused_turns);
    const ae_status st = o ? ae_json_write_line(o, stdout, "standard output")
                           : AE_FAIL(AE_ERR_RESOURCE, "report: out of memory");
    json_decref(o);
    return st;
}

/* Of all rows together, after the report. */
static ae_status judge(const check *c) {
    const int64_t bad = c->rows - c->good;
    if (bad > 0)
        return AE_FAIL(AE_ERR_INPUT,
                       "data validate: expected sound rows, found %lld of %lld with something wrong%s%s",
                       (long long)bad, (long long)c->rows,
                       c->o->fix ? "; the others are in " : "; --fix OUT.jsonl writes the others",
                       c->o->fix ? c->o->fix : "");
    if (c->o->rules.kind == AE_KIND_CHAT && c->targets == 0)
        return AE_FAIL(
            AE_ERR_INPUT,
            "data validate: expected answers to learn from, found none that counts (weight 0, or a "
            "loss_mask of 0)");
    return AE_OK;
}

ae_status ae_data_check(const ae_check_options *o) {
    check c = {.o = o, .lines = {.paths = o->inputs, .n = o->n_inputs}};
    ae_status st;
    c.faults = json_array();
    c.duplicates = json_array();
    c.too_long = json_array();
    if (o->fix && strcmp(o->fix, "-") == 0)
        AE_TRY(AE_FAIL(AE_ERR_USAGE, "--fix: expected the name of a file, found -, where the report goes"));
    if (o->fix) AE_TRY(ae_results_open(&c.out, o->fix, o->force));
    AE_TRY(check_rows(&c));
    if (o->json)
        AE_TRY(report_json(&c));
    else
        report_text(&c);
    if (c.good == 0)
        st = AE_FAIL(AE_ERR_INPUT, "data validate: expected sound rows, found none of %lld",
                     (long long)c.rows);
out:
    st = ae_results_close(&c.out, st);
    ae_lines_close(&c.lines);
    ae_seen_rows_free(&c.seen);
    free_faults(&c.equal);
    json_decref(c.faults);
    json_decref(c.duplicates);
    json_decref(c.too_long);
    return st == AE_OK ? judge(&c) : st;
}
