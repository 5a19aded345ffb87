#include "cli/args.h"
#include "cli/dtype.h"
#include "cli/interrupt.h"
#include "cli/judge_model.h"
#include "cli/judge_verbs.h"
#include "core/log.h"
#include "core/logistic.h"
#include "judge/ballot.h"

#include <math.h>
#include <string.h>

static const char usage[] =
    "aerie judge add DIR --rater NAME (--reward MODEL | --ask MODEL) [--adapter A] [--flags]\n\n"
    "Votes of a model on all pairs of a study that it has not judged. A reward model prefers the answer of "
    "the higher\n"
    "reward; a model that is asked reads prompt and answers, in both orders, and says A or B. The report "
    "keeps models\n"
    "and people apart.";

typedef struct {
    const char *rater, *reward, *ask, *adapter, *dtype;
    double tie, much;
    int64_t threads;
    bool quiet;
    ae_arg_list words;
} options;

/* -2 to 2, from b much better to a much better. */
static int lean_of(const options *o, double log_odds) {
    const double sure = ae_sigmoid(fabs(log_odds));
    const int size = sure <= o->tie ? 0 : sure < o->much ? 1 : 2;
    return log_odds > 0 ? size : -size;
}

static ae_status vote(const options *o, ae_ballot *b, const char *judge, const ae_comparison *c,
                      double log_odds) {
    char view[AE_VIEW_BYTES];
    const int lean = lean_of(o, log_odds);
    ae_vote v = {.view = view,
                 .rater = o->rater,
                 .is_model = true,
                 .what = *c,
                 .acceptable = {-1, -1},
                 .judge = judge};
    const ae_status st = ae_view_draw(view);
    if (st != AE_OK) return st;
    v.swapped = ae_view_is_swapped(&b->study, view);
    v.choice = v.swapped ? lean : -lean;
    v.log_odds = v.swapped ? log_odds : -log_odds;
    return ae_ballot_add(b, &v);
}

static ae_status judge_all(const options *o, ae_ballot *b, ae_judge_model *j) {
    const ptrdiff_t n = b->study.n_comparisons;
    ptrdiff_t added = 0;
    ae_progress bar;
    ae_status st = AE_OK;
    ae_progress_init(&bar, o->rater, 0, n);
    bar.unit = "pair";
    for (ptrdiff_t i = 0; st == AE_OK && i < n; i++) {
        const ae_comparison c = b->study.comparisons[i];
        double odds = 0;
        if (ae_votes_find(&b->votes, o->rater, &c)) continue;
        st = ae_interrupt_check();
        if (st == AE_OK) st = ae_judge_model_odds(j, &c, &odds);
        if (st == AE_OK) st = vote(o, b, ae_judge_model_name(j), &c, odds);
        added += st == AE_OK;
        ae_progress_show(&bar, i + 1, "");
    }
    ae_progress_end(&bar);
    if (st != AE_OK) return st;
    printf("%s: %td vote%s of %s added, %td of them there already\n", b->study.folder, added,
           ae_plural(added), o->rater, n - added);
    if (o->ask && added > 0)
        ae_log("%s: the first answer is preferred by %+.3f nats, whichever it is; both orders are asked",
               o->rater, ae_judge_model_first(j));
    return AE_OK;
}

/* A name stands for one rater, a person or one model. `judge` NULL: whichever model. */
static ae_status check_rater(const ae_ballot *b, const char *name, const char *judge) {
    const ae_vote *last = ae_votes_last(&b->votes, name);
    if (last && !last->is_model)
        return AE_FAIL(AE_ERR_USAGE, "--rater %s: expected a name that no person has, found one with votes",
                       name);
    if (!last || !judge || !last->judge || strcmp(last->judge, judge) == 0) return AE_OK;
    return AE_FAIL(AE_ERR_USAGE,
                   "--rater %s: expected the model that judged under this name (%s), found another (%s)",
                   name, last->judge, judge);
}

static ae_status add(const options *o) {
    ae_ballot ballot = {.file = -1};
    ae_loaded loaded = {0};
    ae_judge_model *judge = NULL;
    const char *path = o->reward ? o->reward : o->ask;
    ae_status st;
    ae_log_quiet(o->quiet);
    ae_interrupt_catch();
    AE_TRY(ae_ballot_open(&ballot, o->words.items[0]));
    AE_TRY(check_rater(&ballot, o->rater, NULL));
    AE_TRY((o->reward ? ae_loaded_open_reward : ae_loaded_open)(&loaded, path, o->adapter, o->dtype,
                                                                o->threads));
    AE_TRY(ae_judge_model_new(&judge, &ballot.study, &loaded, path, o->adapter, o->reward != NULL));
    AE_TRY(check_rater(&ballot, o->rater, ae_judge_model_name(judge)));
    AE_TRY(judge_all(o, &ballot, judge));
out:
    ae_judge_model_delete(judge);
    ae_loaded_close(&loaded);
    ae_ballot_close(&ballot);
    return st;
}

static ae_status check_options(const options *o) {
    if (o->words.n != 1)
        return AE_FAIL(AE_ERR_USAGE, "expected the folder of one study, found %s",
                       o->words.n ? "several" : "none");
    if (!o->reward == !o->ask)
        return AE_FAIL(AE_ERR_USAGE, "expected either --reward or --ask, found %s",
                       o->ask ? "both" : "neither");
    if (o->tie > o->much)
        return AE_FAIL(AE_ERR_USAGE, "--tie: expected at most --much (%g), found %g", o->much, o->tie);
    const ae_status st = ae_rater_check(o->rater);
    return st == AE_OK ? AE_OK : AE_FAIL(AE_ERR_USAGE, "--%s", ae_error_message());
}

ae_status ae_judge_add(int argc, char **argv) {
    options o = {.dtype = "auto", .tie = 0.55, .much = 0.9};
    bool help = false;
    const ae_arg table[] = {
        {.name = "rater",
         .type = AE_ARG_TEXT,
         .to = &o.rater,
         .value = "NAME",
         .help = "the name of this rater"},
        {.name = "reward", .type = AE_ARG_TEXT, .to = &o.reward, .value = "M", .help = "a reward model"},
        {.name = "ask",
         .type = AE_ARG_TEXT,
         .to = &o.ask,
         .value = "M",
         .help = "a model that is asked: A or B"},
        ae_arg_adapter(&o.adapter),
        {.name = "tie",
         .type = AE_ARG_REAL,
         .to = &o.tie,
         .min = 0.5,
         .max = 1,
         .value = "P",
         .fallback = "0.55",
         .help = "up to this probability of its better answer a pair counts as the same"},
        {.name = "much",
         .type = AE_ARG_REAL,
         .to = &o.much,
         .min = 0.5,
         .max = 1,
         .value = "P",
         .fallback = "0.9",
         .help = "from this probability on it is much better"},
        ae_arg_weights(&o.dtype),
        ae_arg_threads(&o.threads),
        ae_arg_quiet(&o.quiet),
    };
    const size_t n = sizeof table / sizeof *table;
    ae_status st = ae_args_parse(argc, argv, table, n, &o.words, &help);
    if (st == AE_OK && help) ae_args_help(usage, table, n, stdout);
    if (st == AE_OK && !help) st = ae_args_require(table, n, "rater", !o.rater);
    if (st == AE_OK && !help) st = check_options(&o);
    if (st == AE_OK && !help) st = add(&o);
    ae_arg_list_free(&o.words);
    return st;
}
