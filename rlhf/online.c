#include "rlhf/online.h"

#include "core/dims.h"
#include "core/log.h"
#include "core/rng.h"
#include "rlhf/online_parts.h"
#include "rlhf/packed.h"
#include "train/engine.h"
#include "train/stop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const ae_checkpoint_name files[] = {
    {"weights.h5", false}, {"model.json", false}, {"tokenizer.model", true}, {"adapter.json", true},
    {"anchor.h5", true},   {"critic.h5", true},   {"answers.h5", true},      {NULL, false}};

static const ae_rl_method *const methods[] = {
    [AE_RL_REINFORCE] = &ae_reinforce, [AE_RL_PPO] = &ae_ppo,         [AE_RL_GRPO] = &ae_grpo,
    [AE_RL_BOND] = &ae_bond,           [AE_RL_JBOND] = &ae_jbond,     [AE_RL_ONLINE_DPO] = &ae_online_dpo,
    [AE_RL_DISTILL] = &ae_distill,     [AE_RL_WARP] = &ae_warp_member};

/* ---- inputs ---- */

static int64_t prompts_of(const ae_online *o) {
    int64_t n = 0;
    for (size_t i = 0; i < o->tuned.inputs.data.n_sets; i++) n += o->sets[i].n;
    return n;
}

static ae_status open_sets(ae_online *o) {
    const ae_tune_config *c = &o->config->tune;
    const ae_mixture *m = &o->tuned.inputs.data;
    const int64_t T = c->train.train.row_tokens, max_new = o->config->keys.rl.max_new;
    const ae_too_long too_long = (ae_too_long)c->examples.too_long;
    ae_status st = AE_OK;
    o->order = (ae_order){.mixture = m,
                          .per_step = (ptrdiff_t)c->train.train.batch_rows,
                          .seed = ae_rng_hash((uint64_t)c->train.run.seed, "data.rows"),
                          .shuffle = c->train.data.shuffle};
    for (size_t i = 0; i < m->n_sets; i++) {
        AE_TRY(ae_prompt_set_init(&o->sets[i], m->sets[i], T, max_new, too_long));
        o->order.pieces[i] = o->sets[i].n;
        o->longest = ae_max(o->longest, (ptrdiff_t)o->sets[i].longest);
    }
    if (!o->tuned.inputs.heldout) goto out;
    AE_TRY(ae_prompt_set_init(&o->heldout, o->tuned.inputs.heldout, T, max_new, too_long));
    o->longest = ae_max(o->longest, (ptrdiff_t)o->heldout.longest);
out:
    return st;
}

static ae_status open_inputs(void *self, const ae_run_facts *run) {
    ae_online *o = self;
    ae_tune_config *c = &o->config->tune;
    ae_status st = AE_OK;
    AE_TRY(ae_tuned_open(&o->tuned, run));
    AE_TRY(open_sets(o));
    if (c->length.epochs > 0 && o->tuned.inputs.data.n_phases > 1)
        AE_TRY(AE_FAIL(AE_ERR_USAGE, "train.epochs: expected train.steps where data.train has phases, found "
                                     "epochs; give train.steps"));
    AE_TRY(ae_tune_config_set_steps(c, (double)(prompts_of(o) * o->config->keys.rl.passes) /
                                           (double)c->train.train.batch_rows));
    o->done = run->step;
out:
    return st;
}

/* ---- rewards ---- */

static ae_status check_stop(void) {
    if (!*ae_stop_asked()) return AE_OK;
    return AE_FAIL(AE_ERR_INTERRUPTED, "rewards: interrupted");
}

/* "reward_exact", which the lines of metrics point to. */
static ae_status name_rewards(ae_online *o) {
    o->reward_names = calloc(o->sources + 1, sizeof *o->reward_names);
    o->eval_names = calloc(o->sources + 1, sizeof *o->eval_names);
    bool whole = o->reward_names && o->eval_names;
    for (size_t i = 0; whole && i < o->sources; i++) {
        const char *name = ae_rewards_name(o->rewards, i);
        whole = asprintf(&o->reward_names[i], "reward_%s", name) >= 0 &&
                asprintf(&o->eval_names[i], "eval_reward_%s", name) >= 0;
    }
    return whole ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "rewards: out of memory");
}

static ae_status open_rewards(ae_online *o) {
    const ae_rewards_facts facts = {.be = o->tuned.run->be,
                                    .tokenizer = o->tuned.inputs.tokenizer,
                                    .vocab_size = o->tuned.inputs.shape.V,
                                    .longest = o->longest + (ptrdiff_t)o->config->keys.rl.max_new,
                                    .check = check_stop};
    ae_status st;
    AE_TRY(ae_rewards_open(&o->rewards, o->config->keys.rl.rewards, &facts));
    o->sources = ae_rewards_sources(o->rewards);
    AE_TRY(name_rewards(o));
    for (size_t i = 0; i < o->tuned.inputs.data.n_sets; i++)
        AE_TRY(ae_prompt_set_check_meta(&o->sets[i], o->rewards));
    if (o->tuned.inputs.heldout) AE_TRY(ae_prompt_set_check_meta(&o->heldout, o->rewards));
out:
    return st;
}

/* ---- the plan ---- */

static ptrdiff_t most_answers(const ae_online *o) {
    int64_t each = 0;
    for (int w = 0; w < AE_RL_WRITERS; w++) each += o->counts[w];
    return o->order.per_step * (ptrdiff_t)each;
}

/* Of those, the ones that models read. */
static ptrdiff_t most_read(const ae_online *o) {
    if (!o->method->imitates) return most_answers(o);
    return o->order.per_step * (ptrdiff_t)(o->counts[AE_RL_POLICY] + 1);
}

static ae_status open_models(ae_online *o) {
    const char *critic = o->config->keys.ppo.critic;
    o->models = (ae_rl_models){.config = o->config,
                               .policy = &o->tuned,
                               .wants_anchor = o->reads & AE_RL_READS_ANCHOR || o->counts[AE_RL_ANCHOR] > 0 ||
                                               o->method->anchor_rate != NULL,
                               .wants_critic = o->reads & AE_RL_READS_CRITIC,
                               .wants_teacher = o->reads & AE_RL_READS_TEACHER,
                               .critic_from = critic[0] ? critic : ae_rewards_model_path(o->rewards)};
    return ae_rl_models_open(&o->models);
}

/* As many answers at a time as there is memory for. */
static ae_status plan_memory(ae_online *o) {
    enum { MOST = 512, FEWEST = 4 };
    const ptrdiff_t heldout =
        (ptrdiff_t)ae_min((ptrdiff_t)o->config->keys.rl.eval_prompts, (ptrdiff_t)o->heldout.n);
    ae_status st;
    o->capacity = ae_min(MOST, ae_max(most_answers(o), heldout));
    for (;;) {
        st = ae_tuned_plan(&o->tuned, 0, o->longest, o->config->keys.rl.max_new, o->capacity);
        if (st != AE_ERR_RESOURCE || o->capacity <= FEWEST) return st;
        o->capacity /= 2;
    }
}

static ae_status make_plan(void *self) {
    ae_online *o = self;
    ae_plan_beside *b = &o->tuned.beside;
    ae_status st;
    ae_tuned_weigh_sets(&o->tuned, o->order.pieces);
    AE_TRY(open_rewards(o));
    AE_TRY(open_models(o));
    *b = (ae_plan_beside){0};
    AE_TRY(ae_rl_models_count(&o->models, b));
    for (int i = 0; i < 2; i++) b->bytes[i] += ae_rewards_bytes(o->rewards);
    o->tuned.step_rows = ae_packed_rows(most_read(o), o->longest + o->config->keys.rl.max_new,
                                        (ptrdiff_t)o->tuned.run->config->train.row_tokens);
    AE_TRY(plan_memory(o));
out:
    return st;
}

static void tell_models(const ae_online *o) {
    const ae_rl_common_keys *k = &o->config->keys.rl;
    const char *reference = o->models.wants_teacher ? o->config->keys.distill.teacher
                            : k->reference[0]       ? k->reference
                                                    : "model.init";
    ae_log("method: %s; divergence from %s%s%s", o->method->name, reference,
           o->models.wants_anchor ? "; an anchor follows the policy" : "",
           o->models.wants_critic ? "; a critic learns beside it" : "");
    const bool is_new = o->models.wants_critic && !o->models.critic_from && !o->tuned.run->checkpoint;
    if (is_new && o->config->keys.ppo.lambda < 1)
        ae_warn(
            "ppo.lambda %g leans on the critic, which knows nothing yet, and the reward may fall at first; "
            "begin with a reward model (ppo.critic), or take ppo.lambda=1",
            o->config->keys.ppo.lambda);
}

static void tell_rewards(const ae_online *o) {
    for (size_t i = 0; i < o->sources; i++)
        ae_log("reward: %s (%s)", ae_rewards_name(o->rewards, i), ae_rewards_kind(o->rewards, i));
}

static void report(const void *self) {
    const ae_online *o = self;
    const ae_train_keys *k = &o->tuned.run->config->train;
    const ae_rl_common_keys *rl = &o->config->keys.rl;
    int64_t dropped = o->heldout.dropped;
    for (size_t i = 0; i < o->tuned.inputs.data.n_sets; i++) dropped += o->sets[i].dropped;
    ae_tuned_report(&o->tuned);
    tell_models(o);
    tell_rewards(o);
    const double epochs = ae_tuned_report_epochs(&o->tuned, o->order.pieces) / (double)rl->passes;
    char passes[64] = "";
    if (rl->passes > 1)
        snprintf(passes, sizeof passes, ", %lld updates with each answer", (long long)rl->passes);
    ae_log("prompts: %lld, %lld held out; %lld step%s of %lld prompt%s and %td answers%s: %.3g epoch%s",
           (long long)prompts_of(o), (long long)o->heldout.n, (long long)k->steps, ae_plural(k->steps),
           (long long)k->batch_rows, ae_plural(k->batch_rows), most_answers(o), passes, epochs,
           ae_plural_real(epochs));
    if (dropped > 0)
        ae_warn("data.too_long: %lld prompt%s left out, with no room for an answer", (long long)dropped,
                dropped == 1 ? " is" : "s are");
}

/* ---- the run ---- */

static ae_status start(void *self) {
    ae_online *o = self;
    ae_status st = AE_OK;
    AE_TRY(ae_tuned_start(&o->tuned));
    AE_TRY(ae_rl_models_start(&o->models, o->tuned.run->checkpoint));
    AE_TRY(ae_rewards_start(o->rewards));
    AE_TRY(ae_online_load(o));
    o->done = o->tuned.run->step;
    o->made_pass = o->state.pass;
    AE_TRY(ae_order_begin(&o->order, o->state.rounds + 1, o->tuned.position));
    if (!o->tuned.position) AE_TRY(ae_order_position(&o->order, &o->tuned.position));
out:
    return st;
}

static ae_status parameters(void *self, ae_optim_param **params, ptrdiff_t *n) {
    return ae_rl_models_parameters(&((ae_online *)self)->models, params, n);
}

/* What fails here ends the next step. */
static void settled(void *self, void *piece, bool counted) {
    ae_online *o = self;
    ae_online_work *w = piece;
    const double eta = o->method->anchor_rate ? o->method->anchor_rate(&o->config->keys) : 0;
    if (counted) {
        o->failed = ae_rl_models_follow(&o->models, eta);
        if (o->failed != AE_OK) snprintf(o->why, sizeof o->why, "%s", ae_error_message());
    }
    /* the means of a step that was left out may be no numbers */
    if (!counted) memcpy(o->next.memory, o->state.memory, sizeof o->next.memory);
    o->state = o->next;
    o->done++;
    ae_tuned_settle(&o->tuned, &w->position);
}

static void free_names(char **names, size_t n) {
    for (size_t i = 0; names && i < n; i++) free(names[i]);
    free(names);
}

static void close_all(void *self) {
    ae_online *o = self;
    for (size_t i = 0; i < AE_MIXTURE_SETS_MAX; i++) ae_prompt_set_free(&o->sets[i]);
    ae_prompt_set_free(&o->heldout);
    ae_online_round_free(&o->round);
    free_names(o->reward_names, o->sources);
    free_names(o->eval_names, o->sources);
    ae_online_tell_free(&o->told);
    ae_rewards_close(o->rewards);
    o->reward_names = o->eval_names = NULL;
    o->rewards = NULL;
    ae_rl_models_close(&o->models);
    ae_tuned_close(&o->tuned);
}

static void set_functions(ae_online *o, ae_objective *f) {
    o->common = ae_tuned_objective(o, "rlhf");
    *f = o->common;
    f->files = files;
    f->score = o->config->keys.rl.rewards[0] ? "eval_reward" : "eval_kl";
    f->higher = o->config->keys.rl.rewards[0] != '\0';
    f->from_start = true;
    f->open = open_inputs;
    f->resume = ae_online_resume;
    f->plan = make_plan;
    f->report = report;
    f->start = start;
    f->parameters = parameters;
    f->new_work = ae_online_new_work;
    f->free_work = ae_online_free_work;
    f->next = ae_online_next;
    f->gradients = ae_online_gradients;
    f->settled = settled;
    f->evaluate = ae_online_evaluate;
    f->sample = ae_online_sample;
    f->save = ae_online_save;
    f->keys = ae_online_keys;
    f->close = close_all;
}

/* ---- checks ---- */

static ae_status check_method(ae_online *o) {
    const ae_rl_keys *k = &o->config->keys;
    if ((size_t)k->rl.method >= sizeof methods / sizeof *methods || !methods[k->rl.method])
        return AE_FAIL(
            AE_ERR_USAGE,
            "rl.method: expected reinforce, ppo, grpo, bond, jbond, online_dpo or distill, found %s",
            ae_rl_method_text(k->rl.method));
    o->method = methods[k->rl.method];
    o->reads = o->method->reads(k);
    o->method->wants(k, o->counts);
    if (o->reads & AE_RL_READS_REWARDS && !k->rl.rewards[0])
        return AE_FAIL(
            AE_ERR_USAGE,
            "rl.rewards: expected what answers are worth, which rl.method=%s learns from, found none; add "
            "rl.rewards='[{kind: exact}]' or others",
            o->method->name);
    if (k->rl.rollout_dtype != AE_WEIGHT_F32 && o->config->tune.base.base_dtype != AE_WEIGHT_F32 &&
        o->config->tune.lora.rank > 0)
        return AE_FAIL(
            AE_ERR_USAGE,
            "rl.rollout_dtype: expected f32 where model.base_dtype keeps the weights compact already, "
            "found another; leave it out");
    return o->method->check ? o->method->check(k) : AE_OK;
}

/* ---- the whole ---- */

static ae_status online_new(ae_online **out, ae_rlhf_config *config, bool dry_run, ae_objective *f) {
    ae_online *o = *out = calloc(1, sizeof *o);
    ae_status st;
    if (!o) return AE_FAIL(AE_ERR_RESOURCE, "rlhf: out of memory");
    o->config = config;
    o->tuned = (ae_tuned){
        .config = &config->tune, .kind = AE_KIND_PROMPTS, .rendered = config->rendered, .dry_run = dry_run};
    AE_TRY(ae_rlhf_config_defaults(config));
    AE_TRY(ae_rlhf_config_check(config));
    AE_TRY(check_method(o));
    o->state.guard = (ae_guard_state){.beta = config->keys.rl.beta, .rate = 1};
    set_functions(o, f);
out:
    return st;
}

ae_status ae_online_train(ae_rlhf_config *config, bool dry_run) {
    ae_objective objective;
    ae_online *o = NULL;
    ae_status st = online_new(&o, config, dry_run, &objective);
    if (st == AE_OK) st = ae_engine_train(&config->tune.train, &objective, dry_run);
    free(o);
    return st;
}

ae_status ae_online_check(ae_rlhf_config *config) {
    ae_objective objective;
    ae_engine e = {0};
    ae_online *o = NULL;
    ae_status st = online_new(&o, config, true, &objective);
    if (st == AE_OK) st = ae_engine_open(&e, &config->tune.train, &objective, true);
    ae_engine_close(&e);
    free(o);
    return st;
}

ae_status ae_online_judge(ae_rlhf_config *config, json_t **figures) {
    ae_objective objective;
    ae_engine e = {0};
    ae_online *o = NULL;
    ae_evaluation v = {0};
    ae_status st;
    *figures = NULL;
    AE_TRY(online_new(&o, config, true, &objective));
    AE_TRY(ae_engine_open(&e, &config->tune.train, &objective, false));
    AE_TRY(start(o));
    AE_TRY(ae_online_evaluate(o, &v));
    *figures =
        json_pack("{s:I}", "eval_answers", (json_int_t)ae_min(config->keys.rl.eval_prompts, o->heldout.n));
    AE_TRY(ae_numbers_to_json(&v.numbers, *figures));
out:
    ae_engine_close(&e);
    ae_numbers_free(&v.numbers);
    free(o);
    return st;
}
