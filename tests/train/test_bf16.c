#include "core/file.h"
#include "core/machine.h"
#include "ops/backend.h"
#include "tests/train/rig.h"
#include "train/pretrain.h"

#include <criterion/redirect.h>
#include <stdlib.h>
#include <string.h>

/* Runs in bfloat16: what holds for float32 to the bit holds here too. */

static train_rig rig;

static void open_it(void) {
    train_rig_open(&rig);
}
static void close_it(void) {
    train_rig_close(&rig);
}

TestSuite(train_bf16, .init = open_it, .fini = close_it);

static ae_status run(const char *name, const char *more) {
    char all[400];
    snprintf(all, sizeof all, "train.dtype=bf16 optim.schedule=constant %s", more);
    return train_rig_run(&rig, name, all);
}

/* A row of 23 tokens, no multiple of anything, and rows of one. */
static void expect_resumable(const char *name, const char *keys) {
    static const char *const stops[] = {"train.steps=4 ", "train.steps=11 ", ""};
    char whole[32], more[300];
    snprintf(whole, sizeof whole, "%s-whole", name);
    ASSERT_OK(run(whole, keys));
    for (size_t i = 0; i < 3; i++) {
        snprintf(more, sizeof more, "%s%s", stops[i], keys);
        ASSERT_OK(run(name, more));
    }
    train_rig_same_checkpoint(&rig, whole, name, 12);
}

Test(train_bf16, stopped_and_resumed_equals_never_stopped) {
    expect_resumable("odd", "train.row_tokens=23 model.mlp_width=49");
    expect_resumable("one", "train.row_tokens=1");
    expect_resumable("carried", "train.row_tokens=5 data.shuffle=false train.carry_state=true");
}

Test(train_bf16, what_is_made_again_changes_no_bit) {
    ASSERT_OK(run("kept", "train.recompute=0 train.recompute_mlps=0"));
    ASSERT_OK(run("mlps", "train.recompute=0 train.recompute_mlps=3"));
    ASSERT_OK(run("blocks", "train.recompute=3 train.recompute_mlps=0"));
    train_rig_same_checkpoint(&rig, "kept", "mlps", 12);
    train_rig_same_checkpoint(&rig, "kept", "blocks", 12);
    ASSERT_OK(train_rig_run(&rig, "f32", "train.recompute=0 train.recompute_mlps=0"));
    ASSERT_OK(train_rig_run(&rig, "f32-mlps", "train.recompute=0 train.recompute_mlps=3"));
    train_rig_same_checkpoint(&rig, "f32", "f32-mlps", 12);
}

/* Which run is told from its kernels' name, that its checkpoint keeps. */
static void expect_kernels(const char *run_name, bool bf16) {
    char name[80], *text = NULL;
    size_t n = 0;
    snprintf(name, sizeof name, "%s/checkpoints/step-000001/state.json", run_name);
    ASSERT_OK(ae_file_read(train_rig_path(&rig, name), &text, &n));
    json_t *state = json_loads(text, 0, NULL);
    const char *kernels = json_string_value(json_object_get(state, "kernels"));
    cr_assert_not_null(kernels);
    cr_assert_eq(strstr(kernels, "bf16") != NULL, bf16, "%s: %s", run_name, kernels);
    json_decref(state);
    free(text);
}

Test(train_bf16, auto_takes_what_the_machine_has) {
    unsetenv("AERIE_ISA");
    const bool bf16 = ae_dtype_auto() == AE_DTYPE_BF16;
    ASSERT_OK(train_rig_run(&rig, "best", "train.dtype=auto train.steps=1 optim.schedule=constant"));
    expect_kernels("best", bf16);
    setenv("AERIE_ISA", "avx2", 1);
    ASSERT_OK(train_rig_run(&rig, "capped", "train.dtype=auto train.steps=1 optim.schedule=constant"));
    expect_kernels("capped", false);
}

Test(train_bf16, another_type_is_refused_by_its_key) {
    ASSERT_OK(run("a", "train.steps=1"));
    ASSERT_FAILS(AE_ERR_USAGE, train_rig_run(&rig, "a", "optim.schedule=constant"));
    ASSERT_SAYS("train.dtype");
}

/* Only where there are two kinds of kernels. */
Test(train_bf16, other_kernels_go_on_and_say_so) {
    char words[4096] = "";
    cr_redirect_stderr();
    setenv("AERIE_ISA", "avx512", 1);
    const bool two = ae_isa_pick() == AE_ISA_AVX512;
    ASSERT_OK(run("a", "train.steps=1"));
    setenv("AERIE_ISA", "avx2", 1);
    ASSERT_OK(run("a", "train.steps=2"));
    fflush(stderr);
    fputs("the end\n", stderr);
    fflush(stderr);
    cr_assert_gt(fread(words, 1, sizeof words - 1, cr_get_redirected_stderr()), 0);
    cr_assert_eq(strstr(words, "goes on with avx2 bf16: the same to rounding") != NULL, two, "%s", words);
}

Test(train_bf16, memory_that_may_be_taken_is_kept_to) {
    ASSERT_FAILS(AE_ERR_RESOURCE, run("a", "train.memory_gb=0.001"));
    ASSERT_SAYS("memory: the run needs");
    cr_assert_not(ae_path_exists(train_rig_path(&rig, "a")));
    ASSERT_OK(run("a", "train.memory_gb=64 train.steps=1"));
}
