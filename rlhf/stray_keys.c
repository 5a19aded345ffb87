#include "rlhf/stray_keys.h"

#include "core/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OF(method) (1u << AE_RL_##method)

/* Which methods read a section, or a key of section rl. */
typedef struct {
    const char *name;
    unsigned methods;
    const char *expected;
} readers;

static const readers sections[] = {
    {"reinforce", OF(REINFORCE) | OF(WARP), "reinforce or warp"},
    {"grpo", OF(GRPO), "grpo"},
    {"ppo", OF(PPO), "ppo"},
    {"bond", OF(BOND), "bond"},
    {"jbond", OF(JBOND), "jbond"},
    {"warp", OF(WARP), "warp"},
    {"distill", OF(DISTILL), "distill"},
    {"dpo", OF(DPO) | OF(IPO) | OF(ONLINE_DPO), "dpo, ipo or online_dpo"},
    {"kto", OF(KTO), "kto"},
};

static const unsigned rewarded = OF(REINFORCE) | OF(PPO) | OF(GRPO) | OF(WARP),
                      paired = OF(ONLINE_DPO) | OF(DPO) | OF(IPO) | OF(KTO);

static ae_status refuse(const ae_rlhf_config *c, const char *section, const char *key, const char *expected) {
    return AE_FAIL(AE_ERR_USAGE,
                   "%s.%s: expected rl.method=%s beside it, found %s, which does not read it; leave it out",
                   section, key, expected, ae_rl_method_text(c->keys.rl.method));
}

/* ---- sections of methods ---- */

static ae_status resolved(const ae_config *table, json_t **root) {
    char *text = NULL;
    ae_status st = ae_config_json(table, &text);
    if (st == AE_OK) st = ae_json_parse(root, text, strlen(text), "configuration");
    free(text);
    return st;
}

static ae_status check_section(const ae_rlhf_config *c, const readers *r, const json_t *ours,
                               const json_t *defaults) {
    const char *key;
    json_t *value;
    if (r->methods >> c->keys.rl.method & 1) return AE_OK;
    json_object_foreach(json_object_get(defaults, r->name), key,
                        value) if (!json_equal(json_object_get(json_object_get(ours, r->name), key),
                                               value)) return refuse(c, r->name, key, r->expected);
    return AE_OK;
}

static ae_status check_sections(const ae_rlhf_config *c) {
    ae_rl_keys plain = {0};
    ae_config table = {0};
    json_t *ours = NULL, *defaults = NULL;
    ae_status st;
    AE_TRY(ae_rl_add_keys(&table, &plain));
    AE_TRY(resolved(&c->tune.train.table, &ours));
    AE_TRY(resolved(&table, &defaults));
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
        AE_TRY(check_section(c, &sections[i], ours, defaults));
out:
    json_decref(ours);
    json_decref(defaults);
    ae_config_free(&table);
    return st;
}

/* ---- the divergence ---- */

static bool is_given(const ae_rlhf_config *c, const char *key, double value, double by_default) {
    return ae_config_is_set(&c->tune.train.table, key) && (value < by_default || value > by_default);
}

static ae_status check_divergence(const ae_rlhf_config *c) {
    const ae_rl_common_keys *k = &c->keys.rl;
    ae_rlhf_config plain = {.keys.rl.method = k->method};
    ae_rl_method_defaults(&plain);
    const bool has_kl = rewarded >> k->method & 1, has_beta = has_kl || paired >> k->method & 1;
    if (!has_beta && is_given(c, "rl.beta", k->beta, plain.keys.rl.beta))
        return refuse(c, "rl", "beta", "reinforce, ppo, grpo, warp or one of pairs");
    if (!has_beta && k->kl_target > 0)
        return refuse(c, "rl", "kl_target", "reinforce, ppo, grpo or online_dpo");
    if (!has_kl && is_given(c, "rl.kl", k->kl, plain.keys.rl.kl))
        return refuse(c, "rl", "kl", "reinforce, ppo or grpo");
    if (k->method == AE_RL_DISTILL && k->reference[0])
        return AE_FAIL(AE_ERR_USAGE,
                       "rl.reference: expected distill.teacher alone with rl.method=distill, whose "
                       "divergence is that from the teacher, found both; leave rl.reference out");
    return AE_OK;
}

ae_status ae_rl_stray_keys_check(const ae_rlhf_config *c) {
    const ae_status st = check_sections(c);
    return st == AE_OK ? check_divergence(c) : st;
}

/* ---- best of N ---- */

static bool best_of_n_reads(const char *key) {
    static const char *const keys[] = {
        "run.dir",        "run.seed",        "run.from",         "model.init",       "data.train",
        "data.too_long",  "data.map",        "train.dtype",      "train.row_tokens", "train.batch_rows",
        "train.threads",  "train.memory_gb", "rl.method",        "rl.rewards",       "rl.samples",
        "rl.temperature", "rl.max_new",      "rl.rollout_dtype", "rl.truncated",     "rl.truncated_penalty"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strcmp(key, keys[i]) == 0) return true;
    return false;
}

ae_status ae_best_of_n_stray_keys_check(const ae_rlhf_config *c) {
    const ae_config *table = &c->tune.train.table;
    const char *section;
    const ae_field *f;
    for (size_t i = 0; (f = ae_config_field(table, i, &section)) != NULL; i++) {
        char key[128];
        snprintf(key, sizeof key, "%s.%s", section, f->key);
        if (table->is_set[i] && !best_of_n_reads(key))
            return AE_FAIL(
                AE_ERR_USAGE,
                "%s: expected no such key with rl.method=best_of_n, where nothing trains; leave it "
                "out",
                key);
    }
    return AE_OK;
}
