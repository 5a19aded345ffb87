#include "cli/args.h"
#include "cli/dtype.h"
#include "cli/interrupt.h"
#include "cli/loaded.h"
#include "cli/results.h"
#include "cli/score_rewards.h"
#include "cli/verbs.h"
#include "core/file.h"
#include "core/log.h"
#include "data/utf8.h"
#include "eval/rewards.h"

#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "aerie score --model M [--adapter A] [--input F.jsonl|-] [--output F|-] [--flags]\n\n"
    "Each line {\"text\": s} or {\"tokens\": [ids], \"positions\"?: [..], "
    "\"loss_mask\"?: [0|1 ..]} of T tokens gives\n"
    "{\"logprobs\": [T-1 numbers, null where the target starts a document], \"sum\": "
    "x, \"count\": n}, in nats.\n\n"
    "With --reward M is a reward model: each dialogue gives {\"reward\": x}, each pair of answers "
    "{\"chosen\": x, \"rejected\": y}.\n\n"
    "aerie score --rewards LIST [--model M] [--input F.jsonl|-] [--output F|-]\n\n"
    "What rl.rewards would give: each line {\"answer\": s, \"prompt\"?: s, \"meta\"?: {..}, \"truncated\"?: "
    "bool} "
    "gives\n{\"reward\": x, \"parts\": {NAME: x, ..}}. LIST is '[{kind: exact}, ..]' or a YAML file with "
    "rl.rewards.";

typedef struct {
    const char *model, *adapter, *input, *output, *dtype, *mapping, *rewards;
    int64_t top, threads;
    bool reward, no_bos, force, quiet;
} options;

/* What lines are answered with. */
typedef struct {
    ae_scorer *scorer;
    bool reward;
    ae_request_rules requests; /* of log-probabilities */
    ae_reward_rules rows;      /* of rewards */
    bool told_field;           /* of requests, or key of rows */
} scoring;

/* *answer stays NULL for a blank line between rows. */
static ae_status answer_line(scoring *s, const char *line, size_t n, const char *where, json_t **answer) {
    json_t *request = NULL;
    *answer = NULL;
    if (s->reward)
        return ae_text_is_blank(line, n) ? AE_OK
                                         : ae_reward_line(s->scorer, &s->rows, line, n, where, answer);
    ae_status st = ae_request_parse(&request, line, n, where, &s->told_field);
    if (st == AE_OK) st = ae_score_line(s->scorer, request, &s->requests, where, answer);
    json_decref(request);
    return st;
}

/* Every line of the input, each answered before the next is read. */
static ae_status score_lines(scoring *s, ae_reader *in, ae_results *out) {
    ae_progress bar;
    ae_progress_init(&bar, "score", 0, 0);
    bar.unit = "line";
    ae_status st = AE_OK;
    for (;;) {
        char *line = NULL, where[AE_WHERE_BYTES];
        size_t n = 0;
        json_t *answer = NULL;
        st = ae_reader_line(in, &line, &n);
        if (ae_interrupt_check() != AE_OK) st = AE_ERR_INTERRUPTED;
        if (st != AE_OK || !line) break;
        snprintf(where, sizeof where, "%s:%lld", ae_reader_name(in), (long long)ae_reader_line_number(in));
        st = answer_line(s, line, n, where, &answer);
        if (st == AE_OK && answer) st = ae_json_write_line(answer, out->file, out->name);
        if (st == AE_OK) st = ae_results_flush(out);
        json_decref(answer);
        if (st != AE_OK) break;
        if (out->owned) ae_progress_show(&bar, ae_reader_line_number(in), "");
    }
    ae_progress_end(&bar);
    if (st == AE_OK && ae_reader_line_number(in) == 0)
        st = AE_FAIL(AE_ERR_INPUT, "%s: expected at least one line of JSON, found an empty file",
                     ae_reader_name(in));
    return st;
}

/* A flag that is not looked at would be ignored in silence. */
static ae_status check_flags(const options *o) {
    if (o->reward && (o->top > 0 || o->no_bos))
        return AE_FAIL(AE_ERR_USAGE,
                       "--%s: expected with log-probabilities, found with --reward; leave one out",
                       o->top > 0 ? "top" : "no-bos");
    if (!o->reward && o->mapping)
        return AE_FAIL(AE_ERR_USAGE, "--map: expected with --reward, found without; add --reward");
    return AE_OK;
}

static ae_status check_top(const options *o, const ae_loaded *l) {
    if (o->top <= l->model.config.V) return AE_OK;
    return AE_FAIL(AE_ERR_USAGE, "--top: expected at most the vocabulary, %td, found %lld", l->model.config.V,
                   (long long)o->top);
}

/* What rl.rewards says of answers, where no model scores by itself. */
static ae_status run_rewards(const options *o) {
    const ae_score_rewards how = {.rewards = o->rewards, .model = o->model, .threads = o->threads};
    ae_reader *in = NULL;
    ae_results out = {0};
    ae_status st;
    ae_log_quiet(o->quiet);
    ae_interrupt_catch();
    if (o->reward || o->adapter || o->top > 0 || o->no_bos || o->mapping || strcmp(o->dtype, "auto") != 0)
        AE_TRY(AE_FAIL(AE_ERR_USAGE,
                       "--rewards: expected with --model, --input and --output alone, found --%s",
                       o->reward    ? "reward"
                       : o->adapter ? "adapter"
                       : o->top > 0 ? "top"
                       : o->no_bos  ? "no-bos"
                       : o->mapping ? "map"
                                    : "dtype"));
    AE_TRY(ae_reader_open(&in, o->input));
    AE_TRY(ae_results_open(&out, o->output, o->force));
    AE_TRY(ae_score_rewards_run(&how, in, &out));
out:
    st = ae_results_close(&out, st);
    ae_reader_close(in);
    return st;
}

static ae_status run(const options *o) {
    ae_loaded loaded = {0};
    scoring s = {.reward = o->reward};
    ae_record_map map = {0};
    ae_reader *in = NULL;
    ae_results out = {0};
    ae_status st;
    ae_log_quiet(o->quiet);
    ae_interrupt_catch();
    AE_TRY(check_flags(o));
    AE_TRY(ae_record_map_init(&map, o->mapping));
    AE_TRY(ae_reader_open(&in, o->input));
    AE_TRY(ae_results_open(&out, o->output, o->force));
    AE_TRY((o->reward ? ae_loaded_open_reward : ae_loaded_open)(&loaded, o->model, o->adapter, o->dtype,
                                                                o->threads));
    AE_TRY(check_top(o, &loaded));
    AE_TRY(ae_scorer_new(&s.scorer, &loaded.model, o->top));
    s.requests = (ae_request_rules){loaded.tokenizer, loaded.model.config.V, !o->no_bos};
    s.rows = (ae_reward_rules){&map, loaded.tokenizer, loaded.model.config.V, &s.told_field};
    AE_TRY(score_lines(&s, in, &out));
out:
    st = ae_results_close(&out, st);
    ae_record_map_free(&map);
    ae_scorer_delete(s.scorer);
    ae_loaded_close(&loaded);
    ae_reader_close(in);
    return st;
}

ae_status ae_verb_score(int argc, char **argv) {
    options o = {.input = "-", .output = "-", .dtype = "auto"};
    bool help = false;
    const ae_arg table[] = {
        ae_arg_model(&o.model),
        ae_arg_adapter(&o.adapter),
        {.name = "input",
         .type = AE_ARG_TEXT,
         .to = &o.input,
         .value = "F.jsonl",
         .fallback = "-",
         .help = "lines to score, plain or .gz; - is standard input"},
        {.name = "output",
         .type = AE_ARG_TEXT,
         .to = &o.output,
         .value = "F",
         .fallback = "-",
         .help = "where the answers go, in the order of the lines"},
        {.name = "reward",
         .type = AE_ARG_FLAG,
         .to = &o.reward,
         .help = "rewards of dialogues and of pairs, by a reward model"},
        {.name = "rewards",
         .rare = true,
         .type = AE_ARG_TEXT,
         .to = &o.rewards,
         .value = "LIST",
         .help = "rewards of answers by the sources of rl.rewards; M is a model whose tokenizer they take"},
        {.name = "map",
         .rare = true,
         .type = AE_ARG_TEXT,
         .to = &o.mapping,
         .value = "FIELD=KEY,...",
         .help = "with --reward: keys of other names: prompt=question,completion=answer"},
        {.name = "no-bos",
         .type = AE_ARG_FLAG,
         .to = &o.no_bos,
         .help = "text is its encoding only, without <bos>"},
        {.name = "top",
         .type = AE_ARG_INT,
         .to = &o.top,
         .min = 0,
         .max = 1e6,
         .fallback = "0",
         .help = "add the N most likely tokens of every place"},
        {.name = "force", .type = AE_ARG_FLAG, .to = &o.force, .help = "replace an output that exists"},
        ae_arg_weights(&o.dtype),
        ae_arg_threads(&o.threads),
        ae_arg_quiet(&o.quiet),
    };
    const size_t n = sizeof table / sizeof *table;
    ae_status st = ae_args_parse(argc, argv, table, n, NULL, &help);
    if (st != AE_OK) return st;
    if (help) {
        ae_args_help(usage, table, n, stdout);
        return AE_OK;
    }
    if (o.rewards) return run_rewards(&o);
    st = ae_args_require(table, n, "model", !o.model);
    return st == AE_OK ? run(&o) : st;
}
