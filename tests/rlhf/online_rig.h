#ifndef AE_TESTS_RLHF_ONLINE_RIG_H
#define AE_TESTS_RLHF_ONLINE_RIG_H
#include "core/rng.h"
#include "rlhf/config.h"
#include "tests/train/tuning.h"

/* Runs on a tiny model that is rewarded for the length of its answers, and their prompts. */

static inline void online_rig_prompts(const train_rig *rig, const char *name, int n, uint64_t seed) {
    ae_token_writer *w = NULL;
    const ae_token_set_info info = {.vocab_size = 64, .kind = AE_KIND_PROMPTS};
    ae_rng r = ae_rng_make(seed, 6);
    ASSERT_OK(ae_token_writer_open(&w, train_rig_path(rig, name), &info));
    for (int i = 0; i < n; i++) {
        int32_t ids[8] = {2};
        const int64_t tokens = 1 + (int64_t)ae_rng_below(&r, 7);
        for (int64_t t = 1; t < tokens; t++) ids[t] = 3 + (int32_t)ae_rng_below(&r, 60);
        ASSERT_OK(ae_token_writer_add(w, ids, NULL, tokens, 0));
    }
    ASSERT_OK(ae_token_writer_finish(w, "{}"));
}

static inline void online_rig_open(train_rig *rig) {
    train_rig_open(rig);
    online_rig_prompts(rig, "prompts.h5", 24, 1);
    online_rig_prompts(rig, "unseen.h5", 8, 2);
}

/* Later words of `more` overrule earlier ones. */
static inline void online_rig_config(const train_rig *rig, ae_rlhf_config *c, const char *name,
                                     const char *more) {
    char keys[4096];
    snprintf(keys, sizeof keys,
             "run.dir=%s data.train=%s model.init=" AERIE_FIXTURES "/tiny train.threads=1 "
             "optim.schedule=constant optim.lr=3e-3 optim.weight_decay=0 rl.max_new=12 train.row_tokens=48 "
             "train.batch_rows=4 train.eval_every=0 train.keep=0 rl.eval_prompts=8 "
             "rl.rewards=[{\"kind\":\"length\",\"target\":5}] %s",
             train_rig_path(rig, name), train_rig_path(rig, "prompts.h5"), more);
    ASSERT_OK(ae_rlhf_config_init(c));
    tuning_keys(&c->tune.train, keys);
}

#endif
