#include "tests/train/rig.h"

#include <string.h>

static ae_train_config c;

static void open_it(void) {
    ASSERT_OK(ae_train_config_init(&c));
}
static void close_it(void) {
    ae_train_config_free(&c);
}
TestSuite(train_config, .init = open_it, .fini = close_it);

static void set(const char *assignment) {
    ASSERT_OK(ae_config_set(&c.table, assignment, "test"));
}

/* docs/interfaces.md, "Keys every training verb shares". */
Test(train_config, has_the_documented_defaults) {
    cr_assert_eq(c.train.row_tokens, 8192);
    cr_assert_eq(c.train.micro_rows, 0);
    cr_assert_eq(c.train.threads, 0);
    cr_assert_eq(c.train.dtype, AE_DTYPE_F32);
    cr_assert(c.data.shuffle);
    cr_assert_str_eq(c.data.heldout, "");
    ae_adamw_options o = ae_train_adamw(&c);
    cr_assert(o.beta1 == 0.9 && o.beta2 == 0.95 && o.eps == 1e-8 && o.weight_decay == 0.1 &&
              o.clip_norm == 1);
}

Test(train_config, every_schedule_by_its_name) {
    static const char *const names[] = {"constant", "linear", "cosine", "wsd"};
    for (int i = 0; i < 4; i++) {
        char assignment[64];
        snprintf(assignment, sizeof assignment, "optim.schedule=%s", names[i]);
        set(assignment);
        cr_assert_eq(ae_train_schedule(&c).kind, (ae_schedule_kind)i);
    }
}

Test(train_config, a_plan_needs_no_run) {
    ASSERT_OK(ae_train_config_check(&c, false));
    ASSERT_FAILS(AE_ERR_USAGE, ae_train_config_check(&c, true));
    ASSERT_SAYS("run.dir");
    set("run.dir=x");
    ASSERT_FAILS(AE_ERR_USAGE, ae_train_config_check(&c, true));
    ASSERT_SAYS("data.train");
    set("data.train=y");
    ASSERT_OK(ae_train_config_check(&c, true));
}

typedef struct {
    const char *assignment, *says;
} fault;

Test(train_config, faults_by_their_keys) {
    static const fault faults[] = {
        {"train.stepz=3", "did you mean \"train.steps\""},
        {"train.steps=0", "train.steps"},
        {"optim.beta1=1", "optim.beta1"},
        {"train.dtype=f64", "train.dtype"},
        {"data.shuffle=2", "data.shuffle"},
        {"train.steps=many", "train.steps"},
        {"optim.lr=-1", "optim.lr"},
        {"run.seed=-1", "run.seed"},
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        ASSERT_FAILS(AE_ERR_USAGE, ae_config_set(&c.table, faults[i].assignment, "test"));
        ASSERT_SAYS(faults[i].says);
    }
}

Test(train_config, what_no_single_range_can_say) {
    set("train.dtype=bf16");
    ASSERT_OK(ae_train_config_check(&c, false));
    cr_assert_eq(ae_train_dtype(&c), AE_DTYPE_BF16);
    set("train.dtype=auto");
    ASSERT_OK(ae_train_config_check(&c, false));
    cr_assert_neq(ae_train_dtype(&c), AE_DTYPE_AUTO);
    set("train.micro_rows=9");
    ASSERT_FAILS(AE_ERR_USAGE, ae_train_config_check(&c, false));
    ASSERT_SAYS("train.micro_rows");
    set("train.batch_rows=1000000");
    set("train.micro_rows=1000000");
    set("train.row_tokens=1000000000");
    ASSERT_FAILS(AE_ERR_USAGE, ae_train_config_check(&c, false));
    ASSERT_SAYS("train.micro_rows: expected at most 2 rows of 1000000000 tokens at once, found 1000000");
    set("train.row_tokens=8192");
    set("train.batch_rows=8");
    set("train.micro_rows=8");
    set("optim.warmup_steps=2000");
    ASSERT_FAILS(AE_ERR_USAGE, ae_train_config_check(&c, false));
    ASSERT_SAYS("optim.warmup_steps");
    set("optim.warmup_steps=0");
    set("model.init=somewhere");
    ASSERT_OK(ae_train_config_check(&c, false));
    set("model.preset=s23");
    ASSERT_FAILS(AE_ERR_USAGE, ae_train_config_check(&c, false));
    ASSERT_SAYS("model.preset");
}
