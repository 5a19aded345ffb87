#include "core/json.h"
#include "formats/tensors.h"
#include "tests/train/tuning.h"
#include "train/run_folder.h"
#include "train/warm.h"

#include <math.h>
#include <stdlib.h>

static train_rig rig;

static void open_rig(void) {
    train_rig_open(&rig);
}

static void close_rig(void) {
    train_rig_close(&rig);
}

TestSuite(warm, .init = open_rig, .fini = close_rig, .timeout = 120);

/* *table may be NULL. */
static ae_status train(const char *name, const char *more, json_t **table) {
    ae_reward_config c;
    json_t *made = NULL;
    char keys[4096];
    const char *set = train_rig_path(&rig, "pairs.h5");
    if (!ae_path_exists(set)) tuning_set(set, AERIE_FIXTURES "/tuning/pairs.jsonl", tuning_add_pair);
    snprintf(
        keys, sizeof keys,
        "run.dir=%s data.train=%s data.heldout=%s model.init=" AERIE_FIXTURES "/attention train.threads=2 "
        "optim.schedule=constant train.batch_rows=4 train.row_tokens=128 %s",
        train_rig_path(&rig, name), train_rig_path(&rig, "pairs.h5"), train_rig_path(&rig, "pairs.h5"), more);
    ASSERT_OK(ae_reward_config_init(&c));
    tuning_keys(&c.tune.train, keys);
    const ae_status st = ae_warm(&c, false, &made);
    ae_tune_config_free(&c.tune);
    if (table)
        *table = made;
    else
        json_decref(made);
    return st;
}

/* ---- values of a model that was written ---- */

enum { MOST = 1 << 14 };

static void open_tensors(ae_tensors **t, const char *name) {
    ae_model_source s = {0};
    char *checkpoint = NULL, *weights;
    const char *path = train_rig_path(&rig, name);
    ASSERT_OK(ae_checkpoint_newest_complete(&checkpoint, NULL, path));
    weights = ae_path_join(checkpoint ? checkpoint : path, "weights.h5");
    ASSERT_OK(ae_tensors_open(t, weights));
    ae_model_source_free(&s);
    free(checkpoint);
    free(weights);
}

static void read_tensor(const char *name, const ae_param *p, float *out) {
    ae_tensors *t = NULL;
    cr_assert_leq(p->n, MOST);
    open_tensors(&t, name);
    ASSERT_OK(ae_tensors_read(t, p->name, p->rank, p->shape, out));
    ae_tensors_close(t);
}

static void open_table(ae_params *p) {
    ae_model_source s;
    ASSERT_OK(ae_run_source_open(&s, train_rig_path(&rig, "run/average")));
    ASSERT_OK(ae_params_init_with(p, &s.config, &(ae_params_options){.score_head = true}));
    ae_model_source_free(&s);
}

/* Each number is the sum of w_m theta_m in double, in the order of the members, rounded once. */
Test(warm, the_average_is_the_mean_of_the_weights) {
    static float members[3][MOST], average[MOST];
    static const char *const names[] = {"run/members/1", "run/members/2", "run/members/3"};
    ae_params params;
    ASSERT_OK(train("run", "train.steps=3 optim.lr=1e-3 reward.members=3 reward.head_steps=2", NULL));
    open_table(&params);
    for (ptrdiff_t i = 0; i < params.n; i++) {
        const ae_param *p = &params.items[i];
        for (int m = 0; m < 3; m++) read_tensor(names[m], p, members[m]);
        read_tensor("run/average", p, average);
        for (int64_t k = 0; k < p->n; k++) {
            double sum = -0.0;
            for (int m = 0; m < 3; m++) sum += 1.0 / 3 * (double)members[m][k];
            cr_assert_eq((float)sum, average[k], "%s[%lld]", p->name, (long long)k);
        }
    }
    ae_params_free(&params);
}

/* A rate of 0 shows what each member begins with: its own model, and the head of all. */
Test(warm, members_share_a_head_and_differ_in_rate_order_and_start) {
    static const char *const names[] = {"run/head", "run/members/1", "run/members/2"};
    static float head[3][MOST];
    json_t *table = NULL;
    ae_params params;
    ASSERT_OK(train("run", "train.steps=1 optim.lr=0 reward.members=2 reward.head_steps=1", NULL));
    open_table(&params);
    const ae_param *p = ae_params_find(&params, "score.weight");
    for (int m = 0; m < 3; m++) read_tensor(names[m], p, head[m]);
    cr_assert_arr_eq(head[0], head[1], (size_t)p->n * sizeof(float));
    cr_assert_arr_eq(head[0], head[2], (size_t)p->n * sizeof(float));
    ae_params_free(&params);
    ASSERT_OK(train("two",
                    "train.steps=2 optim.lr=1e-4 run.seed=5 reward.members=4 reward.head_steps=1 "
                    "reward.member_inits=" AERIE_FIXTURES "/attention," AERIE_FIXTURES "/attention/",
                    &table));
    static const double rates[] = {1e-4, 4e-4, 1e-3, 1e-4};
    for (size_t m = 0; m < 4; m++) {
        const json_t *row = json_array_get(json_object_get(table, "members"), m);
        const char *init = json_string_value(json_object_get(row, "init"));
        cr_assert_float_eq(json_number_value(json_object_get(row, "lr")), rates[m], 1e-15);
        cr_assert_eq(json_integer_value(json_object_get(row, "seed")), 5 + (int64_t)m);
        cr_assert_eq(init[strlen(init) - 1] == '/', m % 2 == 1, "%s", init);
        char name[32];
        snprintf(name, sizeof name, "two/members/%zu", m + 1);
        cr_assert_float_eq(tuning_number(&rig, name, 0, "lr"), rates[m], 1e-15);
    }
    json_decref(table);
}

/* The table holds what the runs themselves say of the same pairs. */
Test(warm, the_table_agrees_with_the_runs) {
    json_t *table = NULL;
    ASSERT_OK(train("run", "train.steps=6 optim.lr=1e-3 reward.members=2 reward.head_steps=3", &table));
    const json_t *members = json_object_get(table, "members");
    double agreement[3];
    for (size_t m = 0; m < 2; m++) {
        static const char *const numbers[][2] = {{"loss", "eval_loss"},
                                                 {"accuracy", "eval_accuracy"},
                                                 {"accuracy_low", "eval_accuracy_low"},
                                                 {"margin_mean", "eval_margin_mean"},
                                                 {"calibration_error", "eval_calibration_error"}};
        const json_t *row = json_array_get(members, m);
        char name[32];
        snprintf(name, sizeof name, "run/members/%zu", m + 1);
        const size_t last = train_rig_metric_count(&rig, name) - 1;
        for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
            cr_assert_float_eq(json_number_value(json_object_get(row, numbers[i][0])),
                               tuning_number(&rig, name, last, numbers[i][1]), 1e-6, "%s", numbers[i][0]);
        agreement[m] = json_number_value(json_object_get(row, "agreement"));
    }
    cr_assert_float_eq(agreement[0], agreement[1], 1e-15, "two members agree with each other alike");
    agreement[2] = json_number_value(json_object_get(json_object_get(table, "average"), "agreement"));
    cr_assert(agreement[2] >= 0 && agreement[2] <= 1);
    cr_assert_eq(json_integer_value(json_object_get(table, "heldout_pairs")), 12);
    json_decref(table);
}

/* A member that is there is not trained again; the average is that of all. */
Test(warm, more_members_join_those_that_are_there) {
    json_t *two = NULL, *three = NULL, *again = NULL;
    ASSERT_OK(train("run", "train.steps=2 optim.lr=1e-3 reward.members=2 reward.head_steps=2", &two));
    ASSERT_OK(train("run", "train.steps=2 optim.lr=1e-3 reward.members=3 reward.head_steps=2", &three));
    ASSERT_OK(train("run", "train.steps=2 optim.lr=1e-3 reward.members=3 reward.head_steps=2", &again));
    const json_t *a = json_array_get(json_object_get(two, "members"), 1),
                 *b = json_array_get(json_object_get(three, "members"), 1);
    cr_assert(json_equal(json_object_get(a, "loss"), json_object_get(b, "loss")));
    cr_assert(json_equal(three, again));
    cr_assert_eq(train_rig_metric_count(&rig, "run/members/1"), 3, "two steps and an evaluation");
    ASSERT_FAILS(AE_ERR_USAGE,
                 train("run", "train.steps=2 optim.lr=1e-3 reward.members=3 reward.head_steps=4", NULL));
    ASSERT_SAYS("reward.head_steps: expected 2, after which the members");
    json_decref(two);
    json_decref(three);
    json_decref(again);
}

Test(warm, refuses_what_has_no_average) {
    ASSERT_FAILS(AE_ERR_USAGE, train("a", "train.steps=1 reward.members=2 lora.rank=2", NULL));
    ASSERT_SAYS("lora.rank: expected 0 with reward.members above 1, found 2");
    ASSERT_FAILS(AE_ERR_USAGE, train("b", "train.steps=1 reward.members=2 reward.head=x", NULL));
    ASSERT_SAYS("reward.head: expected none");
    ASSERT_FAILS(AE_ERR_USAGE, train("c", "train.steps=1 reward.members=2 reward.member_inits=a,b,c", NULL));
    ASSERT_SAYS("at most one for each of the 2 members");
    ASSERT_FAILS(AE_ERR_USAGE, train("d", "train.steps=1 reward.members=2 reward.member_inits=a,", NULL));
    ASSERT_SAYS("expected PATH,PATH");
    ASSERT_FAILS(
        AE_ERR_INPUT,
        train("e", "train.steps=1 reward.members=2 reward.member_inits=" AERIE_FIXTURES "/window", NULL));
    ASSERT_SAYS("attention");
    cr_assert(!ae_path_exists(train_rig_path(&rig, "e")));
}

/* Seeds are whole numbers all the way: 20261130120000 has more digits than a rounded double would be told with. */
Test(warm, large_seeds_stay_apart) {
    static const char *const runs[] = {"run/members/1", "run/members/2"};
    ASSERT_OK(train("run",
                    "train.steps=1 optim.lr=1.23456789012345e-3 run.seed=20261130120000 reward.members=2 "
                    "reward.head_steps=1",
                    NULL));
    for (int m = 0; m < 2; m++) {
        ae_reward_config c;
        char *path = ae_path_join(train_rig_path(&rig, runs[m]), "config.yaml");
        ASSERT_OK(ae_reward_config_init(&c));
        ASSERT_OK(ae_config_read(&c.tune.train.table, path));
        cr_assert_eq(c.tune.train.run.seed, 20261130120000 + m);
        cr_assert_eq(c.tune.train.optim.lr, 1.23456789012345e-3 * (m ? 4 : 1), "the rate to its last bit");
        ae_tune_config_free(&c.tune);
        free(path);
    }
    ASSERT_FAILS(AE_ERR_USAGE,
                 train("late", "train.steps=1 run.seed=8999999999999999 reward.members=3", NULL));
    ASSERT_SAYS("run.seed: expected at most 8999999999999998");
    cr_assert(!ae_path_exists(train_rig_path(&rig, "late")));
}

/* A margin of 0.5 for each of the pairs. */
static void write_margins(const char *path) {
    char *text = NULL;
    size_t n = 0;
    ASSERT_OK(ae_file_read(AERIE_FIXTURES "/tuning/pairs.jsonl", &text, &n));
    FILE *out = fopen(path, "w");
    cr_assert_not_null(out);
    for (char *rest = text, *line; (line = strsep(&rest, "\n")) != NULL && line[0];) {
        json_t *o = json_loads(line, 0, NULL);
        json_object_set_new(o, "margin", json_real(0.5));
        json_dumpf(o, out, JSON_COMPACT);
        fputc('\n', out);
        json_decref(o);
    }
    fclose(out);
    free(text);
}

/* Before the first step, not when the members have trained for hours and are compared. */
Test(warm, margins_are_asked_of_the_held_out_pairs_at_the_start) {
    const char *margins = train_rig_path(&rig, "margins.jsonl");
    char more[2048];
    write_margins(margins);
    snprintf(more, sizeof more,
             "train.steps=1 reward.members=2 reward.head_steps=1 reward.margin=true data.train=%s "
             "data.heldout=" AERIE_FIXTURES "/tuning/pairs.jsonl",
             margins);
    ASSERT_FAILS(AE_ERR_INPUT, train("run", more, NULL));
    ASSERT_SAYS("expected the margin of each pair, found none");
    cr_assert(!ae_path_exists(train_rig_path(&rig, "run/head/checkpoints")));
    snprintf(more, sizeof more,
             "train.steps=1 reward.members=2 reward.head_steps=1 reward.margin=true data.train=%s "
             "data.heldout=%s",
             margins, margins);
    ASSERT_OK(train("both", more, NULL));
}
