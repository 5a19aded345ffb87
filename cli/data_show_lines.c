#include "cli/data_show.h"
#include "cli/token_print.h"
#include "core/json.h"
#include "core/log.h"
#include "data/inputs.h"

#include <stdio.h>

typedef struct {
    const ae_show_options *o;
    ae_data_kind kind;
    ae_token_print print;
} show;

static ae_token_run answer_run(const ae_ids *ids) {
    return (ae_token_run){.ids = ids->ids, .n = ids->n, .counted = true};
}

static void example_text(const show *s, const ae_example *e, const char *where) {
    const ae_token_run run = {.ids = e->tokens.ids, .mask = e->mask, .n = e->tokens.n, .begins = true};
    if (s->kind == AE_KIND_PAIRS) {
        const ae_token_run chosen = answer_run(&e->chosen), rejected = answer_run(&e->rejected);
        printf("%s: a prompt of %lld token%s", where, (long long)run.n, ae_plural(run.n));
        if (e->has_margin) printf(", margin %g", e->margin);
        putchar('\n');
        ae_print_pair(&s->print, &run, &chosen, &rejected);
    } else {
        printf("%s: %lld token%s\n", where, (long long)run.n, ae_plural(run.n));
        ae_print_run(&s->print, &run);
    }
    if (e->meta) printf("meta: %s\n", e->meta);
    if (e->unused_turns)
        printf("%td turn%s of the user after the last answer left out\n", e->unused_turns,
               ae_plural(e->unused_turns));
    printf("\n");
}

/* The list of ids under NAME, with its pieces. */
static void add_ids(json_t *o, const show *s, const char *name, const ae_ids *ids) {
    char pieces[64];
    snprintf(pieces, sizeof pieces, "%s_pieces", name);
    json_object_set_new(o, name, ae_ints_json(ids->ids, ids->n));
    json_object_set_new(o, pieces, ae_pieces_json(&s->print, ids->ids, ids->n));
}

static ae_status example_json(const show *s, const ae_example *e, const char *where) {
    json_t *o = json_pack("{s:s}", "row", where);
    if (!o) return AE_FAIL(AE_ERR_USAGE, "expected a path in UTF-8");
    add_ids(o, s, s->kind == AE_KIND_PAIRS ? "prompt_tokens" : "tokens", &e->tokens);
    if (s->kind == AE_KIND_PAIRS) {
        add_ids(o, s, "chosen_tokens", &e->chosen);
        add_ids(o, s, "rejected_tokens", &e->rejected);
    }
    if (e->mask) json_object_set_new(o, "loss_mask", ae_mask_json(e->mask, e->tokens.n));
    if (e->has_margin) json_object_set_new(o, "margin", json_real(e->margin));
    if (e->meta) json_object_set_new(o, "meta", json_loads(e->meta, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL));
    const ae_status st = ae_json_write_line(o, stdout, "standard output");
    json_decref(o);
    return st;
}

static ae_status show_line(const show *s, const ae_example_rules *rules, const char *line, size_t n,
                           const char *where) {
    ae_example e;
    ae_status st = ae_example_read(&e, rules, line, n, where);
    if (st != AE_OK) return st;
    if (s->o->json)
        st = example_json(s, &e, where);
    else
        example_text(s, &e, where);
    ae_example_free(&e);
    return st;
}

ae_status ae_data_show_lines(const ae_show_options *o, const ae_example_rules *given) {
    const show s = {.o = o,
                    .kind = given->kind,
                    .print = {.tokenizer = given->tokenizer, .color = o->color, .most = o->tokens}};
    ae_lines lines = {.paths = &o->path, .n = 1};
    ae_example_rules rules = *given;
    rules.told_key = &lines.told_key;
    ae_status st = AE_OK;
    if (o->rows > 0)
        return AE_FAIL(AE_ERR_USAGE,
                       "--rows: expected a token set, found rows of JSON lines; --documents shows them");
    for (int64_t i = 0; i < o->first + o->documents; i++) {
        char *line = NULL;
        size_t n = 0;
        AE_TRY(ae_lines_next(&lines, &line, &n));
        if (!line && i <= o->first)
            AE_TRY(AE_FAIL(AE_ERR_USAGE, "--first: expected a row below %lld, found %lld", (long long)i,
                           (long long)o->first));
        if (!line) break;
        if (i >= o->first) AE_TRY(show_line(&s, &rules, line, n, lines.where));
    }
out:
    ae_lines_close(&lines);
    return st;
}
