#include "train/sft.h"

#include "core/dims.h"
#include "core/file.h"
#include "core/log.h"
#include "train/answers.h"
#include "train/batch_dump.h"
#include "train/engine.h"
#include "train/step.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const ae_field sft_fields[] = {
    {"average", AE_FIELD_CHOICE, offsetof(ae_sft_keys, average), "tokens", 0, 0, "tokens|answers",
     "the loss is the mean over counted tokens, or over answers of their means", AE_KEY_FIXED},
    {"exact_match", AE_FIELD_INT, offsetof(ae_sft_keys, exact_match), "0", 0, 1e9, NULL,
     "held-out dialogues whose last answer is written and compared at each evaluation", AE_KEY_FREE},
};

ae_status ae_sft_config_init(ae_sft_config *c) {
    ae_status st = ae_tune_config_init(&c->tune);
    if (st == AE_OK)
        st = ae_config_add(&c->tune.train.table, "sft", sft_fields, sizeof sft_fields / sizeof *sft_fields,
                           &c->sft);
    return st;
}

enum { SAMPLES = 4 }; /* held-out dialogues whose answers are shown */

typedef struct {
    ae_tuned tuned; /* first: ae_tuned_objective */
    const ae_sft_keys *keys;
    ae_row_source rows;
    ae_packing_count counts[AE_MIXTURE_SETS_MAX]; /* of the examples of each set */
    int64_t set_rows[AE_MIXTURE_SETS_MAX];        /* of examples; text has 0 */
    ae_packing heldout;
    int64_t long_answers; /* of those that sft.exact_match expects: too long to be written */
    int64_t next_step;    /* whose batch is made next */
} sft;

/* ---- inputs ---- */

static bool is_text(const ae_token_set *s) {
    return !ae_token_set_has_mask(s);
}

/* The share of the rows that hold examples, under the weights of the first phase. */
static double example_share(const ae_mixture *m) {
    double examples = 0, all = 0;
    for (size_t i = 0; i < m->n_sets; i++) {
        all += m->phases[0].weight[i];
        examples += is_text(m->sets[i]) ? 0 : m->phases[0].weight[i];
    }
    return examples / all;
}

static int64_t rows_of_examples(const sft *s) {
    int64_t rows = 0;
    for (size_t i = 0; i < s->tuned.inputs.data.n_sets; i++) rows += s->set_rows[i];
    return rows;
}

static ae_status set_steps(sft *s) {
    ae_tune_config *c = s->tuned.config;
    const ae_mixture *m = &s->tuned.inputs.data;
    const double share = example_share(m);
    if (c->length.epochs == 0) return AE_OK;
    if (m->n_phases > 1)
        return AE_FAIL(AE_ERR_USAGE, "train.epochs: expected train.steps where data.train has phases, found "
                                     "epochs; give train.steps");
    if (share == 0)
        return AE_FAIL(AE_ERR_USAGE,
                       "data.train: expected a weight above 0 for a set of examples, found text "
                       "alone; leave out the weight of 0");
    const double rows = (double)c->train.train.batch_rows * share;
    return ae_tune_config_set_steps(c, (double)rows_of_examples(s) / rows);
}

static ae_status check_sets(const ae_mixture *m) {
    size_t texts = 0;
    for (size_t i = 0; i < m->n_sets; i++) texts += is_text(m->sets[i]);
    if (texts < m->n_sets) return AE_OK;
    return AE_FAIL(
        AE_ERR_INPUT,
        "%s: expected examples with a loss mask, found plain text; `aerie data prepare --kind chat` "
        "makes them from dialogues",
        ae_token_set_path(m->sets[0]));
}

static ae_status open_rows(sft *s) {
    const ae_tune_config *c = s->tuned.config;
    const ae_row_options o = {.rows = (ptrdiff_t)c->train.train.batch_rows,
                              .row_tokens = (ptrdiff_t)c->train.train.row_tokens,
                              .seed = (uint64_t)c->train.run.seed,
                              .shuffle = c->train.data.shuffle};
    const ae_example_options e = {
        .too_long = (ae_too_long)c->examples.too_long, .alone = !c->examples.pack, .text_apart = true};
    const ae_status st = ae_row_source_examples(&s->rows, &s->tuned.inputs.data, &o, &e, s->counts);
    for (size_t i = 0; i < s->tuned.inputs.data.n_sets; i++) s->set_rows[i] = s->counts[i].rows;
    return st;
}

static ae_status open_heldout(sft *s) {
    const ae_tune_config *c = s->tuned.config;
    ae_token_set *set = s->tuned.inputs.heldout;
    const ae_packing_options o = {.T = (ptrdiff_t)c->train.train.row_tokens,
                                  .too_long = (ae_too_long)c->examples.too_long};
    if (!set) return AE_OK;
    if (is_text(set))
        return AE_FAIL(AE_ERR_INPUT, "data.heldout: %s: expected examples with a loss mask, found plain text",
                       ae_token_set_path(set));
    const ae_status st = ae_packing_make(&s->heldout, set, &o);
    if (st != AE_OK || s->heldout.count.has_targets) return st;
    return AE_FAIL(AE_ERR_INPUT,
                   "data.heldout: %s: expected a token that counts in what rows of %td tokens keep of the "
                   "examples, found none; raise train.row_tokens, or leave data.heldout out",
                   ae_token_set_path(set), o.T);
}

/* The first `n` held-out dialogues. */
static ae_answers_request held_out_questions(const sft *s, int64_t n) {
    return (ae_answers_request){.model = &s->tuned.model,
                                .tokenizer = s->tuned.inputs.tokenizer,
                                .examples = s->tuned.inputs.heldout,
                                .n = n,
                                .max_new = s->tuned.run->config->train.sample_tokens,
                                .stop = s->tuned.run->stop};
}

/* An answer of more than train.sample_tokens is never written to its end. */
static ae_status count_long_answers(sft *s) {
    if (s->keys->exact_match == 0 || !s->tuned.inputs.heldout) return AE_OK;
    const ae_answers_request r = held_out_questions(s, s->keys->exact_match);
    return ae_answers_too_long(&r, &s->long_answers);
}

static ae_status open_inputs(void *self, const ae_run_facts *run) {
    sft *s = self;
    ae_status st = AE_OK;
    AE_TRY(ae_tuned_open(&s->tuned, run));
    AE_TRY(check_sets(&s->tuned.inputs.data));
    AE_TRY(open_rows(s));
    AE_TRY(open_heldout(s));
    AE_TRY(count_long_answers(s));
    AE_TRY(set_steps(s));
out:
    return st;
}

static ae_status make_plan(void *self) {
    sft *s = self;
    const int64_t answers = s->tuned.inputs.heldout ? ae_max(s->keys->exact_match, SAMPLES) : 0;
    ptrdiff_t prompt_tokens = 0, batch = 0;
    const ae_answers_request r = held_out_questions(s, answers);
    ae_tuned_weigh_sets(&s->tuned, s->set_rows);
    if (answers > 0) ae_answers_sizes(&r, &prompt_tokens, &batch);
    return ae_tuned_plan(&s->tuned, s->heldout.count.rows, prompt_tokens,
                         s->tuned.run->config->train.sample_tokens, batch);
}

/* ---- what is told before the first step ---- */

/* What data.too_long did to the examples of data.train or data.heldout. */
static void tell_lost(const char *key, const ae_packing_count *c) {
    if (c->cut)
        ae_warn("data.too_long: %s: %lld example%s lost %lld token%s at the end", key, (long long)c->cut,
                ae_plural(c->cut), (long long)c->cut_tokens, ae_plural(c->cut_tokens));
    if (c->cut_untrained)
        ae_warn("data.too_long: %s: in %lld of the examples that were cut no token is left that counts", key,
                (long long)c->cut_untrained);
    if (c->dropped)
        ae_warn("data.too_long: %s: %lld example%s of %lld tokens %s left out", key, (long long)c->dropped,
                ae_plural(c->dropped), (long long)c->dropped_tokens, c->dropped == 1 ? "is" : "are");
}

static ae_packing_count count_all(const sft *s) {
    ae_packing_count all = {0};
    for (size_t i = 0; i < s->tuned.inputs.data.n_sets; i++) {
        const ae_packing_count *c = &s->counts[i];
        all.rows += c->rows;
        all.examples += c->examples;
        all.tokens += c->tokens;
        all.cut += c->cut;
        all.cut_tokens += c->cut_tokens;
        all.cut_untrained += c->cut_untrained;
        all.dropped += c->dropped;
        all.dropped_tokens += c->dropped_tokens;
    }
    return all;
}

static void report(const void *self) {
    const sft *s = self;
    const ae_train_keys *k = &s->tuned.run->config->train;
    const ae_packing_count c = count_all(s);
    const double filled = 100 * (double)c.tokens / ((double)c.rows * (double)k->row_tokens);
    ae_tuned_report(&s->tuned);
    const double epochs = ae_tuned_report_epochs(&s->tuned, s->set_rows);
    ae_log("examples: %lld in %lld row%s of %lld tokens, %.0f %% filled; %lld step%s of %lld row%s: %.3g "
           "epoch%s",
           (long long)c.examples, (long long)c.rows, ae_plural(c.rows), (long long)k->row_tokens, filled,
           (long long)k->steps, ae_plural(k->steps), (long long)k->batch_rows, ae_plural(k->batch_rows),
           epochs, ae_plural_real(epochs));
    tell_lost("data.train", &c);
    tell_lost("data.heldout", &s->heldout.count);
    if (s->long_answers)
        ae_warn("sft.exact_match: %lld of the answers that are expected %s longer than train.sample_tokens, "
                "%lld, and cannot be right; raise it",
                (long long)s->long_answers, s->long_answers == 1 ? "is" : "are", (long long)k->sample_tokens);
}

static ae_status start(void *self) {
    sft *s = self;
    ae_status st = AE_OK;
    AE_TRY(ae_tuned_start(&s->tuned));
    s->next_step = s->tuned.run->step + 1;
    AE_TRY(s->rows.begin(s->rows.self, s->tuned.run->step + 1, s->tuned.position));
    if (!s->tuned.position) AE_TRY(s->rows.position(s->rows.self, &s->tuned.position));
out:
    return st;
}

/* ---- steps ---- */

typedef struct {
    ae_batch batch; /* its rows are trimmed, from T tokens */
    ptrdiff_t T;
    double weight;         /* sum of the batch's weights */
    int64_t answer_tokens; /* targets that count, but for those of text */
    char *position;        /* of the rows after it, JSON */
} work;

static void free_work(void *self, void *piece) {
    work *w = piece;
    (void)self;
    if (!w) return;
    ae_batch_free(&w->batch);
    free(w->position);
    free(w);
}

static ae_status new_work(void *self, void **piece) {
    const sft *s = self;
    work *w = calloc(1, sizeof *w);
    *piece = w;
    if (!w) return AE_FAIL(AE_ERR_RESOURCE, "loader: out of memory");
    w->T = s->rows.T;
    return ae_batch_init(&w->batch, s->rows.B, s->rows.T);
}

/* The targets of an answer, a run of counted ones, share a weight of 1. */
static double weigh_answers(ae_batch *b) {
    double answers = 0;
    for (ptrdiff_t i = 0, end = b->B * b->T; i < end;) {
        ptrdiff_t n = 0;
        const ptrdiff_t row_end = (i / b->T + 1) * b->T;
        while (i + n < row_end && b->weights[i + n] > 0) n++;
        for (ptrdiff_t k = 0; k < n; k++) b->weights[i + k] = 1 / (float)n;
        answers += n > 0;
        i += n > 0 ? n : 1;
    }
    return answers;
}

double ae_sft_weigh(ae_batch *b, ae_sft_average average) {
    return average == AE_SFT_ANSWERS ? weigh_answers(b) : (double)b->n_targets;
}

/* Row `at` of a step is of the set that the mixture draws for it. */
static int64_t count_answer_tokens(const sft *s, const ae_batch *b) {
    const ae_mixture *m = &s->tuned.inputs.data;
    int64_t n = 0;
    for (ptrdiff_t at = 0; at < b->B; at++) {
        const size_t set = ae_mixture_draw(m, s->next_step, (s->next_step - 1) * b->B + at);
        if (is_text(m->sets[set])) continue;
        for (ptrdiff_t t = 0; t < b->T; t++) n += b->weights[at * b->T + t] > 0;
    }
    return n;
}

static ae_status next(void *self, void *piece) {
    sft *s = self;
    work *w = piece;
    w->batch.T = w->T;
    w->batch.n_tokens = w->batch.n_targets = 0;
    free(w->position);
    w->position = NULL;
    const ae_status st = s->rows.fill(s->rows.self, &w->batch);
    if (st != AE_OK) return st;
    ae_batch_trim(&w->batch);
    w->answer_tokens = count_answer_tokens(s, &w->batch);
    s->next_step++;
    w->weight = ae_sft_weigh(&w->batch, (ae_sft_average)s->keys->average);
    return s->rows.position(s->rows.self, &w->position);
}

double ae_sft_gradients(ae_model *m, ae_pass *pass, const ae_batch *b, double weight, ptrdiff_t micro_rows) {
    double sum = 0;
    if (!(weight > 0)) return (double)NAN;
    ae_micro_batches micro = ae_micro_batches_of(b, micro_rows, NULL);
    while (ae_micro_batches_next(&micro)) {
        double part = 0;
        ae_pass_forward(pass, m, &micro.batch);
        ae_pass_add_loss(pass, (float)(1 / weight), &part, NULL);
        ae_pass_backward(pass);
        sum += part;
    }
    return sum / weight;
}

static ae_status gradients(void *self, void *piece, ae_gradients *g) {
    sft *s = self;
    const work *w = piece;
    const double loss =
        ae_sft_gradients(&s->tuned.model, s->tuned.pass, &w->batch, w->weight, s->tuned.plan.micro_rows);
    ae_numbers_add(&g->numbers, "loss", loss);
    ae_numbers_add(&g->numbers, "answer_tokens", (double)w->answer_tokens);
    g->finite = isfinite(loss);
    g->empty = w->batch.n_targets == 0 ? "its batch has no counted target" : NULL;
    g->tokens = w->batch.n_tokens;
    g->flops = ae_tuned_flops_per_token(&s->tuned) * (double)w->batch.n_tokens;
    return AE_OK;
}

static void settled(void *self, void *piece, bool counted) {
    sft *s = self;
    work *w = piece;
    (void)counted;
    ae_tuned_settle(&s->tuned, &w->position);
}

static ae_status dump(void *self, const void *piece, const char *path) {
    (void)self;
    return ae_batch_dump(&((const work *)piece)->batch, path);
}

/* ---- between steps ---- */

/* Rows [first, first + B) of the held-out set. */
static ae_status read_heldout(sft *s, ae_batch *b, int64_t first, ptrdiff_t B) {
    ae_status st = AE_OK;
    b->B = B;
    b->T = s->heldout.T;
    b->n_tokens = b->n_targets = 0;
    for (ptrdiff_t at = 0; at < B && st == AE_OK; at++)
        st = ae_packing_read(&s->heldout, s->tuned.inputs.heldout, first + at, b, at);
    if (st == AE_OK) ae_batch_trim(b);
    return st;
}

static ae_status sum_heldout(sft *s, ae_pass *pass, ae_batch *b, double *nats, double *targets) {
    const ptrdiff_t B = s->tuned.plan.evaluation_rows;
    for (int64_t row = 0; row < s->heldout.count.rows; row += B) {
        double part = 0;
        if (*s->tuned.run->stop) return AE_FAIL(AE_ERR_INTERRUPTED, "evaluation: interrupted");
        const ae_status st = read_heldout(s, b, row, (ptrdiff_t)ae_min(B, s->heldout.count.rows - row));
        if (st != AE_OK) return st;
        const ae_micro_batch all = {.tokens = b->tokens,
                                    .targets = b->targets,
                                    .positions = b->positions,
                                    .weights = b->weights,
                                    .B = b->B,
                                    .T = b->T};
        ae_pass_forward(pass, &s->tuned.model, &all);
        ae_pass_score(pass, &part, NULL, 0, NULL, NULL);
        *nats += part;
        *targets += (double)b->n_targets;
    }
    return AE_OK;
}

/* How many held-out dialogues the model ends as they do, and ends at all. */
static ae_status match_answers(const sft *s, ae_evaluation *e) {
    ae_answers a;
    if (s->keys->exact_match == 0) return AE_OK;
    const ae_answers_request r = held_out_questions(s, s->keys->exact_match);
    const ae_status st = ae_answers_make(&a, &r);
    if (st != AE_OK || a.asked == 0) return st;
    const double n = (double)a.asked;
    ae_numbers_add(&e->numbers, "eval_exact_match", (double)a.right / n);
    ae_numbers_add(&e->numbers, "eval_ended", (double)a.ended / n);
    const size_t told = strlen(e->told);
    snprintf(e->told + told, sizeof e->told - told, ", %.1f %% of %lld answers right, %.1f %% ended",
             100 * (double)a.right / n, (long long)a.asked, 100 * (double)a.ended / n);
    return AE_OK;
}

static ae_status evaluate(void *self, ae_evaluation *e) {
    sft *s = self;
    ae_status st = AE_OK;
    ae_pass *pass = NULL;
    ae_batch b = {0};
    double nats = 0, targets = 0;
    const ae_pass_dims n = {.B = s->tuned.plan.evaluation_rows, .T = s->heldout.T};
    AE_TRY(ae_batch_init(&b, n.B, n.T));
    AE_TRY(ae_pass_new(&pass, &s->tuned.model, n, false));
    AE_TRY(sum_heldout(s, pass, &b, &nats, &targets));
    ae_numbers_add(&e->numbers, "eval_loss", nats / targets);
    snprintf(e->told, sizeof e->told, "held-out loss %.4f", nats / targets);
    st = match_answers(s, e);
    if (st == AE_ERR_INPUT || st == AE_ERR_RESOURCE) {
        ae_warn("sft.exact_match: no answers this time: %s", ae_error_message());
        st = AE_OK;
    }
out:
    ae_pass_delete(pass);
    ae_batch_free(&b);
    return st;
}

/* RUN/samples/step-000123.txt: what the model answers to the first held-out dialogues. */
static ae_status sample(void *self, int64_t step) {
    const sft *s = self;
    ae_answers a;
    char name[64], *text = NULL;
    size_t n = 0;
    if (!s->tuned.inputs.tokenizer || s->tuned.run->config->train.sample_tokens == 0) return AE_OK;
    ae_answers_request r = held_out_questions(s, SAMPLES);
    r.told = open_memstream(&text, &n);
    ae_status st = r.told ? ae_answers_make(&a, &r) : AE_FAIL(AE_ERR_RESOURCE, "samples: out of memory");
    if (r.told && fclose(r.told) != 0 && st == AE_OK) st = AE_FAIL(AE_ERR_RESOURCE, "samples: out of memory");
    snprintf(name, sizeof name, "samples/step-%06lld.txt", (long long)step);
    char *folder = ae_path_join(s->tuned.run->config->run.dir, "samples");
    char *path = ae_path_join(s->tuned.run->config->run.dir, name);
    if (st == AE_OK) st = ae_folder_make(folder);
    if (st == AE_OK) st = ae_file_write(path, text, n);
    free(text);
    free(folder);
    free(path);
    return st;
}

static void close_all(void *self) {
    sft *s = self;
    ae_row_source_free(&s->rows);
    ae_packing_free(&s->heldout);
    ae_tuned_close(&s->tuned);
}

static ae_objective objective_of(sft *s) {
    ae_objective o = ae_tuned_objective(s, "sft");
    o.open = open_inputs;
    o.plan = make_plan;
    o.report = report;
    o.start = start;
    o.new_work = new_work;
    o.next = next;
    o.free_work = free_work;
    o.gradients = gradients;
    o.settled = settled;
    o.dump = dump;
    o.evaluate = evaluate;
    o.sample = sample;
    o.close = close_all;
    return o;
}

static ae_status check_exact_match(const ae_sft_config *c) {
    if (c->sft.exact_match == 0) return AE_OK;
    if (c->tune.train.train.sample_tokens == 0)
        return AE_FAIL(AE_ERR_USAGE,
                       "sft.exact_match: expected train.sample_tokens above 0 beside it, the most "
                       "tokens of an answer, found 0; raise it, or leave sft.exact_match out");
    if (!c->tune.train.data.heldout[0])
        return AE_FAIL(AE_ERR_USAGE,
                       "sft.exact_match: expected data.heldout beside it, the dialogues that are answered, "
                       "found none; give it, or leave sft.exact_match out");
    return AE_OK;
}

ae_status ae_sft(ae_sft_config *config, bool dry_run) {
    enum { EPOCHS = 2 };
    static const double RATE = 2e-4, LARGE_RATE = 1e-5;
    ae_status st = AE_OK;
    sft s = {.tuned = {.config = &config->tune, .kind = AE_KIND_CHAT, .dry_run = dry_run},
             .keys = &config->sft};
    const ae_objective objective = objective_of(&s);
    AE_TRY(ae_tune_config_defaults(&config->tune, RATE, LARGE_RATE, EPOCHS));
    AE_TRY(ae_tune_config_check(&config->tune));
    AE_TRY(check_exact_match(config));
    AE_TRY(ae_engine_train(&config->tune.train, &objective, dry_run));
out:
    return st;
}
