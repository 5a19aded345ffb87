#include "cli/args.h"
#include "cli/data_verbs.h"
#include "cli/example_flags.h"
#include "cli/interrupt.h"
#include "cli/results.h"
#include "cli/token_print.h"
#include "core/json.h"
#include "data/inputs.h"

#include <stdio.h>

static const char usage[] =
    "aerie data render (--tokenizer M | --model M) [--kind chat|pairs|prompts] [--input F.jsonl|-] "
    "[--flags]\n\n"
    "Prints for each row the tokens that training sees: {\"tokens\", \"loss_mask\"} of a dialogue,\n"
    "{\"prompt_tokens\", \"chosen_tokens\", \"rejected_tokens\"} of a pair, {\"tokens\"} of a prompt.";

static json_t *example_json(const ae_example *e, ae_data_kind kind) {
    if (kind == AE_KIND_CHAT)
        return json_pack("{s:o, s:o}", "tokens", ae_ints_json(e->tokens.ids, e->tokens.n), "loss_mask",
                         ae_mask_json(e->mask, e->tokens.n));
    if (kind == AE_KIND_PROMPTS)
        return json_pack("{s:o}", "tokens", ae_ints_json(e->tokens.ids, e->tokens.n));
    return json_pack("{s:o, s:o, s:o}", "prompt_tokens", ae_ints_json(e->tokens.ids, e->tokens.n),
                     "chosen_tokens", ae_ints_json(e->chosen.ids, e->chosen.n), "rejected_tokens",
                     ae_ints_json(e->rejected.ids, e->rejected.n));
}

static ae_status render_line(const ae_example_rules *rules, const char *line, size_t n, const char *where,
                             ae_results *out) {
    ae_example e;
    ae_status st = ae_example_read(&e, rules, line, n, where);
    if (st != AE_OK) return st;
    json_t *o = example_json(&e, rules->kind);
    st = o ? ae_json_write_line(o, out->file, out->name)
           : AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", where);
    json_decref(o);
    ae_example_free(&e);
    return st == AE_OK ? ae_results_flush(out) : st;
}

/* Every row of the input, each printed before the next is read. */
static ae_status render_lines(const ae_example_rules *given, ae_lines *lines, ae_results *out) {
    ae_example_rules rules = *given;
    rules.told_key = &lines->told_key;
    for (;;) {
        char *line = NULL;
        size_t n = 0;
        ae_status st = ae_lines_next(lines, &line, &n);
        if (st == AE_OK && ae_interrupt_check() != AE_OK) st = AE_ERR_INTERRUPTED;
        if (st == AE_OK && line) st = render_line(&rules, line, n, lines->where, out);
        if (st != AE_OK || !line) return st;
    }
}

static ae_status render(ae_example_flags *flags, const char *input) {
    ae_lines lines = {.paths = &input, .n = 1};
    ae_results out = {0};
    ae_status st;
    ae_interrupt_catch();
    AE_TRY(ae_example_flags_open(flags));
    AE_TRY(ae_results_open(&out, "-", false));
    AE_TRY(render_lines(&flags->rules, &lines, &out));
out:
    st = ae_results_close(&out, st);
    ae_lines_close(&lines);
    ae_example_flags_close(flags);
    return st;
}

ae_status ae_verb_data_render(int argc, char **argv) {
    ae_example_flags flags = {.kind = "chat"};
    const char *input = "-";
    bool help = false;
    ae_arg kind = ae_arg_kind(&flags);
    kind.fallback = "chat";
    const ae_arg table[] = {
        {.name = "input",
         .type = AE_ARG_TEXT,
         .to = &input,
         .value = "F.jsonl",
         .fallback = "-",
         .help = "rows, plain or .gz; - is standard input"},
        kind,
        ae_arg_tokenizer(&flags),
        ae_arg_tokenizer_of_model(&flags),
        ae_arg_map(&flags),
    };
    const size_t n = sizeof table / sizeof *table;
    const ae_status st = ae_args_parse(argc, argv, table, n, NULL, &help);
    if (st != AE_OK) return st;
    if (!help) return render(&flags, input);
    ae_args_help(usage, table, n, stdout);
    return AE_OK;
}
