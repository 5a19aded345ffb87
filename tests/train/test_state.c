#include "core/file.h"
#include "tests/train/rig.h"
#include "train/state.h"

#include <string.h>

static train_rig rig;

static void open_it(void) {
    train_rig_open(&rig);
}
static void close_it(void) {
    train_rig_close(&rig);
}
TestSuite(state, .init = open_it, .fini = close_it);

static ae_run_state made(void) {
    ae_run_state s = {.step = 12,
                      .tokens = 1000,
                      .seed = 7,
                      .own = json_pack("{s:i, s:{s:i}}", "drawn", 5, "loader", "row", 3)};
    ASSERT_OK(ae_run_state_set(&s.events_name, "events.out"));
    ASSERT_OK(ae_run_state_set(&s.kernels, "avx2"));
    ASSERT_OK(ae_run_state_set(&s.config, "{}"));
    ASSERT_OK(ae_run_state_set(&s.score, "eval_accuracy"));
    return s;
}

/* Keys that the objective puts first, then the engine's, then its others. */
Test(state, keys_have_the_order_of_the_objective) {
    static const char *const first[] = {"step", "loader", "tokens", NULL};
    static const char *const order[] = {"step",           "loader", "tokens",         "skipped_in_row",
                                        "evaluated_step", "best",   "metrics_offset", "events",
                                        "events_offset",  "rng",    "kernels",        "config",
                                        "overrides",      "drawn"};
    ae_run_state s = made();
    const char *path = train_rig_path(&rig, "state.json"), *key;
    json_t *value;
    size_t i = 0;
    s.order = first;
    ASSERT_OK(ae_run_state_write(&s, path));
    ae_run_state_free(&s);
    json_t *root = json_load_file(path, 0, NULL);
    json_object_foreach(root, key, value) {
        cr_assert_lt(i, sizeof order / sizeof *order);
        cr_assert_str_eq(key, order[i++]);
    }
    cr_assert_eq(i, sizeof order / sizeof *order);
    json_decref(root);
}

Test(state, what_is_written_is_read) {
    ae_run_state s = made(), back;
    const char *path = train_rig_path(&rig, "state.json");
    ae_run_state_evaluated(&s, 0.5, true);
    ASSERT_OK(ae_run_state_write(&s, path));
    ASSERT_OK(ae_run_state_read(&back, path));
    cr_assert(back.step == 12 && back.tokens == 1000 && back.seed == 7);
    cr_assert(back.best_step == 12 && back.best_score == 0.5);
    cr_assert_str_eq(back.score, "eval_accuracy");
    cr_assert(json_equal(back.own, s.own), "the objective's keys and no others");
    ae_run_state_free(&s);
    ae_run_state_free(&back);
}

Test(state, the_better_evaluation_is_the_higher_or_the_lower) {
    static const double scores[] = {0.5, 0.25, 0.75, 0.75};
    static const int64_t best[2][4] = {{1, 2, 2, 2}, {1, 1, 3, 3}};
    for (int higher = 0; higher < 2; higher++) {
        ae_run_state s = {0};
        for (int i = 0; i < 4; i++) {
            s.step = i + 1;
            ae_run_state_evaluated(&s, scores[i], higher == 1);
            cr_assert_eq(s.best_step, best[higher][i], "evaluation %d", i);
            cr_assert_eq(s.evaluated_step, i + 1);
        }
    }
}
