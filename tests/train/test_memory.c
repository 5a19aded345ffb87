#include "ops/cpu/memory.h"
#include "tests/train/rig.h"

static train_rig rig;

static void open_it(void) {
    train_rig_open(&rig);
}
static void close_it(void) {
    ae_cpu_rooms_left = -1;
    train_rig_close(&rig);
}
TestSuite(memory, .init = open_it, .fini = close_it);

/* Scratch of the ops runs out at ever later moments: each time the run ends with a word, nothing of the step that lacked it is in the weights, and
 * the same command goes on to the bits of a run that had enough. */
static void run_out(const char *keys, int least) {
    int failures = 0;
    ae_status st = AE_ERR_RESOURCE;
    ASSERT_OK(train_rig_run(&rig, "whole", keys));
    for (long rooms = 0; st != AE_OK; rooms += 1 + rooms / 2, failures++) {
        ae_cpu_rooms_left = rooms;
        st = train_rig_run(&rig, "short", keys);
        ae_cpu_rooms_left = -1;
        if (st == AE_OK) break;
        cr_assert_eq(st, AE_ERR_RESOURCE, "%s", ae_error_message());
        ASSERT_SAYS("of scratch could not be had");
        ASSERT_SAYS("a smaller batch or fewer threads");
        cr_assert_null(strstr(ae_error_message(), " 0.0 MB"), "%s", ae_error_message());
    }
    cr_assert_geq(failures, least);
    train_rig_same_checkpoint(&rig, "whole", "short", 12);
}

Test(memory, a_run_in_float32_ends_and_goes_on) {
    run_out("", 4);
}

Test(memory, a_run_in_bfloat16_ends_and_goes_on) {
    run_out("train.dtype=bf16", 4);
}
