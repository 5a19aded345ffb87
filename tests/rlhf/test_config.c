#include "rlhf/config.h"
#include "tests/train/rig.h"

#include <string.h>

static ae_rlhf_config c;

static void open_it(void) {
    ASSERT_OK(ae_rlhf_config_init(&c));
}
static void close_it(void) {
    ae_rlhf_config_free(&c);
}
TestSuite(rlhf_config, .init = open_it, .fini = close_it);

static void set(const char *assignment) {
    ASSERT_OK(ae_config_set(&c.tune.train.table, assignment, "test"));
}

/* With all that a run needs. */
static void set_whole(void) {
    set("run.dir=x");
    set("data.train=y");
    set("model.init=z");
    set("optim.lr=1e-4"); /* or the shape of model.init would be read */
}

Test(rlhf_config, methods_by_their_names) {
    for (int i = 0; i <= AE_RL_BEST_OF_N; i++) {
        char assignment[64];
        snprintf(assignment, sizeof assignment, "rl.method=%s", ae_rl_method_text(i));
        set(assignment);
        cr_assert_eq(c.keys.rl.method, i);
        cr_assert_eq(ae_rl_is_offline(i), i == AE_RL_DPO || i == AE_RL_IPO || i == AE_RL_KTO);
    }
}

/* What the method decides gives way to what is given. */
Test(rlhf_config, a_method_has_defaults_of_its_own) {
    set_whole();
    set("rl.method=warp");
    ASSERT_OK(ae_rlhf_config_defaults(&c));
    cr_assert(c.keys.rl.beta == 0.1 && c.keys.rl.temperature == 0.9 && c.keys.rl.samples == 1);
    set("rl.method=grpo");
    set("rl.beta=0.3");
    set("rl.kl=exact");
    ASSERT_OK(ae_rlhf_config_defaults(&c));
    cr_assert(c.keys.rl.beta == 0.3 && c.keys.rl.temperature == 1 && c.keys.rl.samples == 8);
    cr_assert_eq(c.keys.rl.kl, AE_RL_KL_EXACT);
    cr_assert(c.tune.length.epochs == 1);
    cr_assert(c.tune.train.optim.lr == 1e-4);
    ASSERT_OK(ae_rlhf_config_check(&c));
}

typedef struct {
    const char *assignments[2], *says;
} fault;

Test(rlhf_config, faults_by_their_keys) {
    static const fault faults[] = {
        {{"rl.method=distill"}, "distill.teacher"},
        {{"train.row_tokens=64", "rl.max_new=64"}, "rl.max_new: expected less than train.row_tokens (64)"},
        {{"rl.kl_horizon=20"}, "rl.kl_target"},
        {{"rl.truncated_penalty=2"}, "rl.truncated=penalise"},
        {{"lora.alpha=3"}, "lora.rank"},
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        ae_rlhf_config_free(&c);
        open_it();
        set_whole();
        for (int k = 0; k < 2 && faults[i].assignments[k]; k++) set(faults[i].assignments[k]);
        ASSERT_OK(ae_rlhf_config_defaults(&c));
        ASSERT_FAILS(AE_ERR_USAGE, ae_rlhf_config_check(&c));
        ASSERT_SAYS(faults[i].says);
    }
    ASSERT_FAILS(AE_ERR_USAGE, ae_config_set(&c.tune.train.table, "rl.methode=ppo", "test"));
    ASSERT_SAYS("did you mean \"rl.method\"");
}
