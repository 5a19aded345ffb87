#include "rlhf/config.h"

#include "ops/types.h"

#include <string.h>

#define AT(type, member) offsetof(type, member)
#define COUNT(table)     (sizeof(table) / sizeof *(table))
#define KL_HORIZON       10000
#define TEXT_OF(number)  TEXT(number)
#define TEXT(number)     #number
#define FIXED            AE_KEY_FIXED
#define SCORE            (AE_KEY_FIXED | AE_KEY_SCORE)

/* A reference and a teacher are known by what they hold, wherever they lie: they are not AE_KEY_FIXED. */

static const ae_field rl_fields[] = {
    {"method", AE_FIELD_CHOICE, AT(ae_rl_common_keys, method), "reinforce", 0, 0,
     "reinforce|ppo|grpo|bond|jbond|warp|online_dpo|distill|dpo|ipo|kto|best_of_n",
     "how the policy learns from rewards or from pairs", AE_KEY_FIXED | AE_KEY_FINAL},
    {"reference", AE_FIELD_TEXT, AT(ae_rl_common_keys, reference), "", 0, 0, NULL,
     "model that the divergence is measured from; empty: model.init", AE_KEY_PLACE},
    {"rewards", AE_FIELD_TREE, AT(ae_rl_common_keys, rewards), "", 0, 0, NULL,
     "list of {kind: model|exact|number|regex|length|words|program, weight, ...}: their weighted sum",
     SCORE | AE_KEY_PLACE},
    {"beta", AE_FIELD_REAL, AT(ae_rl_common_keys, beta), "0.05", 0, 1e6, NULL,
     "weight of the divergence from the reference, in units of the reward", FIXED},
    {"kl", AE_FIELD_CHOICE, AT(ae_rl_common_keys, kl), "reward", 0, 0, "reward|exact|k2|k3",
     "how the divergence enters: taken from the reward, or as a loss, exact or estimated", FIXED},
    {"kl_target", AE_FIELD_REAL, AT(ae_rl_common_keys, kl_target), "0", 0, 1e6, NULL,
     "divergence, nats an answer, that rl.beta is adapted to; 0: it stays", FIXED},
    {"kl_horizon", AE_FIELD_REAL, AT(ae_rl_common_keys, kl_horizon), TEXT_OF(KL_HORIZON), 1, 1e12, NULL,
     "answers over which rl.beta is adapted", FIXED},
    {"samples", AE_FIELD_INT, AT(ae_rl_common_keys, samples), "4", 1, 4096, NULL,
     "answers of the policy to a prompt", FIXED},
    {"passes", AE_FIELD_INT, AT(ae_rl_common_keys, passes), "1", 1, 1000, NULL,
     "updates with the same answers", FIXED},
    {"share_prompts", AE_FIELD_BOOL, AT(ae_rl_common_keys, share_prompts), "true", 0, 0, NULL,
     "an update reads a prompt once for all its answers; false: once for each", FIXED | AE_KEY_ROUNDING},
    {"temperature", AE_FIELD_REAL, AT(ae_rl_common_keys, temperature), "1", 0.01, 100, NULL,
     "of the answers, and of all laws that are compared", SCORE},
    {"max_new", AE_FIELD_INT, AT(ae_rl_common_keys, max_new), "256", 1, 1e9, NULL,
     "tokens of an answer at most, its end among them", SCORE},
    {"rollout_dtype", AE_FIELD_CHOICE, AT(ae_rl_common_keys, rollout_dtype), "f32", 0, 0,
     "f32|bf16|int8|int4",
     "weights of the copy that writes the answers; f32: the policy itself. Its law is corrected for", SCORE},
    {"truncated", AE_FIELD_CHOICE, AT(ae_rl_common_keys, truncated), "keep", 0, 0, "keep|penalise|mask",
     "answers that did not end: rewarded as they are, less rl.truncated_penalty, or left out", FIXED},
    {"truncated_penalty", AE_FIELD_REAL, AT(ae_rl_common_keys, truncated_penalty), "1", 0, 1e6, NULL,
     "with rl.truncated=penalise: taken from their reward", FIXED},
    {"entropy_bonus", AE_FIELD_REAL, AT(ae_rl_common_keys, entropy_bonus), "0", 0, 1e6, NULL,
     "weight of the mean entropy of a token, which is raised", FIXED},
    {"eval_prompts", AE_FIELD_INT, AT(ae_rl_common_keys, eval_prompts), "64", 1, 1e6, NULL,
     "prompts of data.heldout that are answered at each evaluation", SCORE},
    {"guard_kl", AE_FIELD_REAL, AT(ae_rl_common_keys, guard_kl), "0", 0, 1e6, NULL,
     "highest divergence from the reference, nats an answer; 0: no bound", AE_KEY_FREE},
    {"guard_entropy", AE_FIELD_REAL, AT(ae_rl_common_keys, guard_entropy), "0", 0, 1e3, NULL,
     "lowest mean entropy of a token, nats; 0: no bound", AE_KEY_FREE},
    {"guard_length", AE_FIELD_REAL, AT(ae_rl_common_keys, guard_length), "0", 0, 1e9, NULL,
     "highest mean length of an answer, tokens; 0: no bound", AE_KEY_FREE},
    {"guard_action", AE_FIELD_CHOICE, AT(ae_rl_common_keys, guard_action), "stop", 0, 0, "stop|slow",
     "past a bound the run stops, or goes on with a higher rl.beta or a lower rate", AE_KEY_FREE},
};

static const ae_field reinforce_fields[] = {
    {"baseline", AE_FIELD_CHOICE, AT(ae_reinforce_keys, baseline), "rloo", 0, 0, "rloo|batch|running",
     "what an answer's return is compared with: the rest of its prompt's, of the batch, a running mean",
     FIXED},
    {"running_decay", AE_FIELD_REAL, AT(ae_reinforce_keys, running_decay), "0.95", 0, 0.999999, NULL,
     "with reinforce.baseline=running: decay of that mean", FIXED},
    {"by_token", AE_FIELD_BOOL, AT(ae_reinforce_keys, by_token), "false", 0, 0, NULL,
     "each token's return leaves out the divergence penalty of earlier tokens", FIXED},
};

static const ae_field grpo_fields[] = {
    {"clip_low", AE_FIELD_REAL, AT(ae_grpo_keys, clip_low), "0.2", 0, 1, NULL,
     "the ratio counts down to 1 less this", FIXED},
    {"clip_high", AE_FIELD_REAL, AT(ae_grpo_keys, clip_high), "0.2", 0, 1e3, NULL,
     "and up to 1 and this; 0.28 is DAPO's", FIXED},
    {"std", AE_FIELD_BOOL, AT(ae_grpo_keys, std), "true", 0, 0, NULL,
     "rewards are divided by the deviation of their group; false: Dr. GRPO", FIXED},
    {"length", AE_FIELD_CHOICE, AT(ae_grpo_keys, length), "answer", 0, 0, "answer|tokens|fixed",
     "an answer's sum is divided by its length; by the tokens of the batch; by rl.max_new", FIXED},
    {"sequence", AE_FIELD_BOOL, AT(ae_grpo_keys, sequence), "false", 0, 0, NULL,
     "one ratio an answer (GSPO, whose bounds are 3e-4 and 4e-4)", FIXED},
    {"resample", AE_FIELD_BOOL, AT(ae_grpo_keys, resample), "false", 0, 0, NULL,
     "groups whose rewards are all equal are drawn anew (DAPO)", FIXED},
    {"overlong", AE_FIELD_INT, AT(ae_grpo_keys, overlong), "0", 0, 1e9, NULL,
     "the reward falls by up to 1 within the last so many tokens of rl.max_new (DAPO); 0: off", FIXED},
};

static const ae_field ppo_fields[] = {
    {"clip", AE_FIELD_REAL, AT(ae_ppo_keys, clip), "0.2", 0, 1, NULL, "the ratio counts within 1 -+ this",
     FIXED},
    {"value_clip", AE_FIELD_REAL, AT(ae_ppo_keys, value_clip), "0.2", 0, 1e6, NULL,
     "values move by at most this in the passes over the same answers", FIXED},
    {"lambda", AE_FIELD_REAL, AT(ae_ppo_keys, lambda), "0.95", 0, 1, NULL,
     "decay of the advantages' sum (GAE)", FIXED},
    {"value_weight", AE_FIELD_REAL, AT(ae_ppo_keys, value_weight), "0.05", 0, 1e6, NULL,
     "weight of the critic's loss", FIXED},
    {"critic", AE_FIELD_TEXT, AT(ae_ppo_keys, critic), "", 0, 0, NULL,
     "reward model that the critic begins as; empty: that of rl.rewards, else the policy with a new head",
     AE_KEY_PLACE},
};

static const ae_field bond_fields[] = {
    {"b", AE_FIELD_REAL, AT(ae_bond_keys, b), "0.5", 0, 1, NULL,
     "share of the backward divergence; the rest is the forward one", FIXED},
    {"n", AE_FIELD_INT, AT(ae_bond_keys, n), "16", 2, 1e6, NULL, "N of best-of-N", FIXED},
    {"references", AE_FIELD_INT, AT(ae_bond_keys, references), "16", 1, 4096, NULL,
     "answers of the reference to a prompt", FIXED},
};

static const ae_field jbond_fields[] = {
    {"b", AE_FIELD_REAL, AT(ae_jbond_keys, b), "0.5", 0, 1, NULL,
     "share of the backward divergence; the rest is the forward one", FIXED},
    {"g", AE_FIELD_REAL, AT(ae_jbond_keys, g), "0", 0, 1e3, NULL,
     "further weight of the divergence from the anchor", FIXED},
    {"eta", AE_FIELD_REAL, AT(ae_jbond_keys, eta), "0.05", 0, 1, NULL,
     "share of the policy that the anchor takes after each step", FIXED},
};

static const ae_field warp_fields[] = {
    {"members", AE_FIELD_INT, AT(ae_warp_keys, members), "2", 2, 64, NULL, "runs of a round", FIXED},
    {"rounds", AE_FIELD_INT, AT(ae_warp_keys, rounds), "3", 1, 1000, NULL, "rounds", FIXED},
    {"mu", AE_FIELD_REAL, AT(ae_warp_keys, mu), "0.01", 0, 1, NULL,
     "share of the policy that its anchor takes after each step", FIXED},
    {"eta", AE_FIELD_REAL, AT(ae_warp_keys, eta), "0.3", 0, 1, NULL,
     "how far a round goes from its start to the merge of its runs", FIXED},
};

static const ae_field distill_fields[] = {
    {"teacher", AE_FIELD_TEXT, AT(ae_distill_keys, teacher), "", 0, 0, NULL, "model of the same vocabulary",
     AE_KEY_PLACE},
    {"sequence", AE_FIELD_BOOL, AT(ae_distill_keys, sequence), "false", 0, 0, NULL,
     "a token answers for the divergence of those after it too", FIXED},
};

static const ae_field dpo_fields[] = {
    {"smoothing", AE_FIELD_REAL, AT(ae_dpo_keys, smoothing), "0", 0, 0.5, NULL,
     "share of pairs taken to be the wrong way round (cDPO)", SCORE},
    {"nll", AE_FIELD_REAL, AT(ae_dpo_keys, nll), "0", 0, 1e6, NULL,
     "weight of the chosen answer's negative log-likelihood, mean over its tokens", SCORE},
};

static const ae_field kto_fields[] = {
    {"good", AE_FIELD_REAL, AT(ae_kto_keys, good), "1", 0, 1e6, NULL, "weight of good answers", SCORE},
    {"bad", AE_FIELD_REAL, AT(ae_kto_keys, bad), "1", 0, 1e6, NULL, "weight of bad answers", SCORE},
};

ae_status ae_rl_add_keys(ae_config *t, ae_rl_keys *k) {
    ae_status st = AE_OK;
    AE_TRY(ae_config_add(t, "rl", rl_fields, COUNT(rl_fields), &k->rl));
    AE_TRY(ae_config_add(t, "reinforce", reinforce_fields, COUNT(reinforce_fields), &k->reinforce));
    AE_TRY(ae_config_add(t, "grpo", grpo_fields, COUNT(grpo_fields), &k->grpo));
    AE_TRY(ae_config_add(t, "ppo", ppo_fields, COUNT(ppo_fields), &k->ppo));
    AE_TRY(ae_config_add(t, "bond", bond_fields, COUNT(bond_fields), &k->bond));
    AE_TRY(ae_config_add(t, "jbond", jbond_fields, COUNT(jbond_fields), &k->jbond));
    AE_TRY(ae_config_add(t, "warp", warp_fields, COUNT(warp_fields), &k->warp));
    AE_TRY(ae_config_add(t, "distill", distill_fields, COUNT(distill_fields), &k->distill));
    AE_TRY(ae_config_add(t, "dpo", dpo_fields, COUNT(dpo_fields), &k->dpo));
    AE_TRY(ae_config_add(t, "kto", kto_fields, COUNT(kto_fields), &k->kto));
out:
    return st;
}

ae_status ae_rlhf_config_init(ae_rlhf_config *c) {
    *c = (ae_rlhf_config){0};
    ae_status st = ae_tune_config_init(&c->tune);
    if (st == AE_OK) st = ae_rl_add_keys(&c->tune.train.table, &c->keys);
    if (st != AE_OK) ae_rlhf_config_free(c);
    return st;
}

void ae_rlhf_config_free(ae_rlhf_config *c) {
    ae_tune_config_free(&c->tune);
}

/* What the papers of the methods take. */
typedef struct {
    const char *name;
    double beta;
    int64_t samples;
    int kl;
    double temperature;
    bool offline;
} method_facts;

static const method_facts facts[] = {
    [AE_RL_REINFORCE] = {"reinforce", 0.05, 4, AE_RL_KL_REWARD, 1, false},
    [AE_RL_PPO] = {"ppo", 0.05, 1, AE_RL_KL_REWARD, 1, false},
    [AE_RL_GRPO] = {"grpo", 0.04, 8, AE_RL_KL_K3, 1, false},
    [AE_RL_BOND] = {"bond", 0.05, 1, AE_RL_KL_REWARD, 1, false},
    [AE_RL_JBOND] = {"jbond", 0.05, 1, AE_RL_KL_REWARD, 1, false},
    [AE_RL_WARP] = {"warp", 0.1, 1, AE_RL_KL_REWARD, 0.9, false},
    [AE_RL_ONLINE_DPO] = {"online_dpo", 0.1, 2, AE_RL_KL_REWARD, 1, false},
    [AE_RL_DISTILL] = {"distill", 0.05, 1, AE_RL_KL_EXACT, 1, false},
    [AE_RL_DPO] = {"dpo", 0.1, 1, AE_RL_KL_REWARD, 1, true},
    [AE_RL_IPO] = {"ipo", 0.1, 1, AE_RL_KL_REWARD, 1, true},
    [AE_RL_KTO] = {"kto", 0.1, 1, AE_RL_KL_REWARD, 1, true},
    [AE_RL_BEST_OF_N] = {"best_of_n", 0.05, 16, AE_RL_KL_REWARD, 1, false},
};

const char *ae_rl_method_text(int method) {
    return facts[method].name;
}

bool ae_rl_is_offline(int method) {
    return facts[method].offline;
}

void ae_rl_method_defaults(ae_rlhf_config *c) {
    const ae_config *t = &c->tune.train.table;
    ae_rl_common_keys *k = &c->keys.rl;
    const method_facts *f = &facts[k->method];
    if (!ae_config_is_set(t, "rl.beta")) k->beta = f->beta;
    if (!ae_config_is_set(t, "rl.kl")) k->kl = f->kl;
    if (!ae_config_is_set(t, "rl.samples")) k->samples = f->samples;
    if (!ae_config_is_set(t, "rl.temperature")) k->temperature = f->temperature;
    if (k->method == AE_RL_WARP && k->samples == 1 && !ae_config_is_set(t, "reinforce.baseline"))
        c->keys.reinforce.baseline = AE_BASELINE_BATCH;
}

ae_status ae_rlhf_config_defaults(ae_rlhf_config *c) {
    static const double RATE = 1e-4, LARGE_RATE = 1e-6, EPOCHS = 1;
    ae_rl_method_defaults(c);
    return ae_tune_config_defaults(&c->tune, RATE, LARGE_RATE, EPOCHS);
}

/* Keys that would be ignored in silence. */
static ae_status check_stray(const ae_rlhf_config *c) {
    const ae_rl_common_keys *k = &c->keys.rl;
    if (k->kl_target == 0 && k->kl_horizon != KL_HORIZON)
        return AE_FAIL(AE_ERR_USAGE, "rl.kl_horizon: expected rl.kl_target beside it, found 0: rl.beta stays "
                                     "as it is; give rl.kl_target, or leave it out");
    if (k->truncated != AE_RL_PENALISE && k->truncated_penalty != 1)
        return AE_FAIL(AE_ERR_USAGE, "rl.truncated_penalty: expected rl.truncated=penalise beside it, found "
                                     "another; give it, or leave rl.truncated_penalty out");
    return AE_OK;
}

ae_status ae_rlhf_config_check(const ae_rlhf_config *c) {
    const ae_rl_common_keys *k = &c->keys.rl;
    ae_status st = check_stray(c);
    if (st != AE_OK) return st;
    if (k->method == AE_RL_DISTILL && !c->keys.distill.teacher[0])
        return AE_FAIL(AE_ERR_USAGE, "distill.teacher: expected a model of the same vocabulary, found none; "
                                     "add distill.teacher=FOLDER");
    if (!ae_rl_is_offline(k->method) && k->max_new >= c->tune.train.train.row_tokens)
        return AE_FAIL(AE_ERR_USAGE,
                       "rl.max_new: expected less than train.row_tokens (%lld), which holds a prompt and its "
                       "answer, found %lld",
                       (long long)c->tune.train.train.row_tokens, (long long)k->max_new);
    /* where all parameters train it is the form of the reference, a model of its own */
    ae_tune_config tune = c->tune;
    if (tune.lora.rank == 0) tune.base.base_dtype = AE_WEIGHT_F32;
    return ae_tune_config_check(&tune);
}
