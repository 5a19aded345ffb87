#include "core/json.h"
#include "exchange/source.h"
#include "formats/done.h"
#include "formats/tensors.h"
#include "tests/train/tuning.h"
#include "train/average.h"
#include "train/run_folder.h"
#include "train/warm.h"

#include <math.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

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
        "run.dir=%s data.train=%s data.heldout=%s model.init=" AERIE_FIXTURES "/attention train.threads=1 "
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

/* The name of a run, which stands for its newest checkpoint, or that of a checkpoint. */
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
    ASSERT_OK(
        train("run", "train.steps=3 optim.lr=1e-3 reward.members=3 reward.head_steps=2 data.heldout=", NULL));
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
    ASSERT_OK(
        train("run", "train.steps=1 optim.lr=0 reward.members=2 reward.head_steps=1 data.heldout=", NULL));
    open_table(&params);
    const ae_param *p = ae_params_find(&params, "score.weight");
    for (int m = 0; m < 3; m++) read_tensor(names[m], p, head[m]);
    cr_assert_arr_eq(head[0], head[1], (size_t)p->n * sizeof(float));
    cr_assert_arr_eq(head[0], head[2], (size_t)p->n * sizeof(float));
    ae_params_free(&params);
    ASSERT_OK(
        train("two",
              "train.steps=2 optim.lr=1e-4 run.seed=5 reward.members=4 reward.head_steps=1 data.heldout= "
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

/* ---- other pairs ---- */

/* The first `most` pairs of the fixture, each changed by `edit`. */
static void write_pairs(const char *path, int most, void (*edit)(json_t *pair)) {
    char *text = NULL;
    size_t n = 0;
    ASSERT_OK(ae_file_read(AERIE_FIXTURES "/tuning/pairs.jsonl", &text, &n));
    FILE *out = fopen(path, "w");
    cr_assert_not_null(out);
    for (char *rest = text, *line; most-- > 0 && (line = strsep(&rest, "\n")) != NULL && line[0];) {
        json_t *o = json_loads(line, 0, NULL);
        edit(o);
        json_dumpf(o, out, JSON_COMPACT);
        fputc('\n', out);
        json_decref(o);
    }
    fclose(out);
    free(text);
}

static void leave(json_t *pair) {
    (void)pair;
}

static void add_margin(json_t *pair) {
    json_object_set_new(pair, "margin", json_real(0.5));
}

static void turn_round(json_t *pair) {
    json_t *chosen = json_incref(json_object_get(pair, "chosen_tokens"));
    json_object_set(pair, "chosen_tokens", json_object_get(pair, "rejected_tokens"));
    json_object_set_new(pair, "rejected_tokens", chosen);
}

/* Before the first step, not when the members have trained for hours and are compared. */
Test(warm, margins_are_asked_of_the_held_out_pairs_at_the_start) {
    const char *margins = train_rig_path(&rig, "margins.jsonl");
    char more[2048];
    write_pairs(margins, 12, add_margin);
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

/* ---- which are averaged ---- */

Test(warm, the_best_are_chosen_and_none_that_knows_no_better_than_a_coin) {
    static const struct {
        double accuracy[4], loss[4];
        size_t most, taken;
        const char *chosen;
    } cases[] = {
        {{0.9, 0.8, 0.7, 0.6}, {1, 1, 1, 1}, 4, 4, "yyyy"},
        {{0.6, 0.8, 0.7, 0.9}, {1, 1, 1, 1}, 2, 2, "nyny"},
        {{0.6, 0.5, 0.4, 0.9}, {1, 1, 1, 1}, 4, 2, "ynny"}, /* a half is not above one half */
        {{0.6, 0.5, 0.4, 0.9}, {1, 1, 1, 1}, 3, 2, "ynny"},
        {{0.8, 0.8, 0.8, 0.9}, {3, 1, 2, 9}, 2, 2, "nyny"}, /* the loss decides between equals */
        {{0.8, 0.8, 0.8, 0.8}, {1, 1, 1, 1}, 3, 3, "yyyn"}, /* and then the order */
        {{0.5, 0.4, 0.1, 0}, {1, 1, 1, 1}, 4, 0, "nnnn"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ae_reward_figures f[4] = {{0}};
        bool chosen[4];
        for (size_t m = 0; m < 4; m++) {
            f[m].accuracy = cases[i].accuracy[m];
            f[m].loss = cases[i].loss[m];
        }
        cr_assert_eq(ae_warm_choose(chosen, f, 4, cases[i].most), cases[i].taken, "case %zu", i);
        for (size_t m = 0; m < 4; m++)
            cr_assert_eq(chosen[m], cases[i].chosen[m] == 'y', "case %zu, member %zu", i, m);
    }
}

static void assert_same_weights(const char *a, const char *b) {
    static float of[2][MOST];
    ae_params params;
    open_table(&params);
    for (ptrdiff_t i = 0; i < params.n; i++) {
        const ae_param *p = &params.items[i];
        read_tensor(a, p, of[0]);
        read_tensor(b, p, of[1]);
        cr_assert_arr_eq(of[0], of[1], (size_t)p->n * sizeof(float), "%s of %s and %s", p->name, a, b);
    }
    ae_params_free(&params);
}

static bool is_averaged(const json_t *table, size_t m) {
    const json_t *row = json_array_get(json_object_get(table, "members"), m);
    cr_assert(json_is_boolean(json_object_get(row, "averaged")));
    return json_is_true(json_object_get(row, "averaged"));
}

static void write_checkpoint(const char *folder, const ae_model *m, const ae_model_config *c) {
    static const char *const names[] = {"weights.h5", "model.json"};
    char *shape = NULL, *weights = ae_path_join(folder, names[0]), *json = ae_path_join(folder, names[1]);
    ASSERT_OK(ae_folder_make(folder));
    ASSERT_OK(ae_model_save(m, weights));
    ASSERT_OK(ae_model_config_to_json(c, &shape));
    ASSERT_OK(ae_file_write(json, shape, strlen(shape)));
    ASSERT_OK(ae_done_write(folder, names, 2));
    free(shape);
    free(weights);
    free(json);
}

/* The fixture with its last norm's output turned round: a head gives it the opposite of every reward. */
static void write_opposite(const char *folder) {
    const ae_model_options options = {0};
    ae_model_source s;
    ae_backend be = {0};
    ae_model m = {0};
    ASSERT_OK(ae_model_source_open(&s, AERIE_FIXTURES "/attention"));
    ASSERT_OK(ae_backend_cpu(&be, &(ae_backend_options){.threads = 1}));
    ASSERT_OK(ae_model_open(&m, &be, AERIE_FIXTURES "/attention", &options));
    const ae_param *norm = ae_params_find(&m.params, "model.final_norm.weight");
    float *w = malloc((size_t)norm->n * sizeof *w);
    be.download(&be, w, norm->value, (size_t)norm->n * sizeof *w);
    for (int64_t i = 0; i < norm->n; i++) w[i] = -2 - w[i]; /* the norm multiplies by 1 + w */
    be.upload(&be, norm->value, w, (size_t)norm->n * sizeof *w);
    write_checkpoint(folder, &m, &s.config);
    ae_model_free(&m);
    ae_backend_free(&be);
    ae_model_source_free(&s);
    free(w);
}

/* Two members that disagree about every pair: one of them is right in less than half of them. */
Test(warm, a_member_that_is_mostly_wrong_is_left_out) {
    const char *opposite = train_rig_path(&rig, "opposite"), *odd = train_rig_path(&rig, "odd.jsonl");
    json_t *table = NULL;
    char more[2048];
    write_opposite(opposite);
    write_pairs(odd, 11, leave); /* so that no member is right in exactly half of them */
    snprintf(more, sizeof more,
             "train.steps=1 optim.lr=0 reward.members=2 reward.head_steps=1 "
             "data.heldout=%s reward.member_inits=" AERIE_FIXTURES "/attention,%s",
             odd, opposite);
    ASSERT_OK(train("run", more, &table));
    const bool first = is_averaged(table, 0);
    cr_assert_eq(is_averaged(table, 1), !first, "one of the two");
    assert_same_weights("run/average", first ? "run/members/1" : "run/members/2");
    json_decref(table);
}

Test(warm, as_many_as_asked_are_averaged) {
    json_t *table = NULL;
    ASSERT_OK(train(
        "run", "train.steps=4 optim.lr=1e-3 reward.members=3 reward.head_steps=4 reward.average=1", &table));
    size_t best = 3;
    for (size_t m = 0; m < 3; m++) {
        if (!is_averaged(table, m)) continue;
        cr_assert_eq(best, 3, "one and no more");
        best = m;
    }
    cr_assert_lt(best, 3);
    const json_t *members = json_object_get(table, "members");
    const json_t *of_best = json_object_get(json_array_get(members, best), "accuracy");
    for (size_t m = 0; m < 3; m++)
        cr_assert_leq(json_number_value(json_object_get(json_array_get(members, m), "accuracy")),
                      json_number_value(of_best));
    cr_assert(json_equal(of_best, json_object_get(json_object_get(table, "average"), "accuracy")));
    char name[32];
    snprintf(name, sizeof name, "run/members/%zu", best + 1);
    assert_same_weights("run/average", name);
    json_decref(table);
    ASSERT_FAILS(AE_ERR_USAGE, train("a", "train.steps=1 reward.members=2 reward.average=3", NULL));
    ASSERT_SAYS("reward.average: expected at most reward.members, 2, found 3");
    ASSERT_FAILS(AE_ERR_USAGE,
                 train("b", "train.steps=1 reward.members=2 reward.average=1 data.heldout=", NULL));
    ASSERT_SAYS("reward.average: expected data.heldout");
}

static void turn_some_round(json_t *pair) {
    static int line;
    if (line++ % 3 == 2) turn_round(pair);
}

/* A third of the held-out pairs is turned round, so that rewards which are far apart cost more than they bring:
 * the longer it trains, the worse. */
Test(warm, the_best_checkpoint_of_a_member_counts) {
    json_t *table = NULL;
    bool early = false;
    const char *heldout = train_rig_path(&rig, "heldout.jsonl");
    char more[2048];
    write_pairs(heldout, 12, turn_some_round);
    snprintf(
        more, sizeof more,
        "train.steps=20 optim.lr=2e-3 reward.members=2 reward.head_steps=4 train.eval_every=2 train.keep=0 "
        "reward.average=1 data.heldout=%s",
        heldout);
    ASSERT_OK(train("run", more, &table));
    for (size_t m = 0; m < 2; m++) {
        char run[32], name[96];
        snprintf(run, sizeof run, "run/members/%zu", m + 1);
        const int64_t best = train_rig_best_step(&rig, run);
        early |= best < 20;
        snprintf(name, sizeof name, "%s/checkpoints/step-%06lld", run, (long long)best);
        const json_t *row = json_array_get(json_object_get(table, "members"), m);
        cr_assert_str_eq(json_string_value(json_object_get(row, "model")), train_rig_path(&rig, name));
        if (is_averaged(table, m)) assert_same_weights("run/average", name);
    }
    cr_assert(early, "no member was best before step 20, which shows nothing");
    json_decref(table);
}

/* The held-out pairs turned round: what is learnt from the others is wrong there. */
Test(warm, no_average_of_members_that_have_learnt_nothing) {
    const char *turned = train_rig_path(&rig, "turned.jsonl");
    char more[2048];
    write_pairs(turned, 12, turn_round);
    snprintf(more, sizeof more,
             "train.steps=20 optim.lr=1e-3 reward.members=2 reward.head_steps=20 data.heldout=%s", turned);
    ASSERT_FAILS(AE_ERR_GUARD, train("run", more, NULL));
    ASSERT_SAYS("expected a member that is right in more than 50 %");
    cr_assert(!ae_path_exists(train_rig_path(&rig, "run/average")));
}

#ifndef __SANITIZE_ADDRESS__ /* which keeps what was given back */
static int64_t most_resident_bytes(void) {
    struct rusage usage;
    cr_assert_eq(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_maxrss * 1024;
}

/* In a process of its own, whose memory does not count here. Returns the bytes of the weights. */
static int64_t write_large(const char *folder) {
    ae_model_config shape = train_rig_shape;
    ae_params params;
    int64_t n = 0;
    shape.D = shape.C = 256;
    shape.E = 768;
    shape.H = 128;
    shape.blocks = 16;
    ASSERT_OK(ae_params_init_with(&params, &shape, &(ae_params_options){.score_head = true}));
    for (ptrdiff_t i = 0; i < params.n; i++) n += params.items[i].n;
    ae_params_free(&params);
    const pid_t child = fork();
    if (child == 0) {
        const ae_model_options options = {.params = {.score_head = true}};
        ae_backend be = {0};
        ae_model m = {0};
        ASSERT_OK(ae_backend_cpu(&be, &(ae_backend_options){.threads = 1}));
        ASSERT_OK(ae_model_init(&m, &be, &shape, &options));
        write_checkpoint(folder, &m, &shape);
        _exit(0);
    }
    int status = -1;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0);
    return n * (int64_t)sizeof(float);
}

/* Members train with as little memory as a plan finds; their average must not ask for the whole model. */
Test(warm, the_average_is_written_in_less_memory_than_a_model) {
    const char *large = train_rig_path(&rig, "large"), *average = train_rig_path(&rig, "average");
    const int64_t weights = write_large(large), before = most_resident_bytes();
    ASSERT_OK(ae_average_write(average, (const char *const[]){large, large}, 2));
    const int64_t grown = most_resident_bytes() - before;
    cr_assert_lt(grown, weights / 2, "%lld bytes more for %lld bytes of weights", (long long)grown,
                 (long long)weights);
    cr_assert(!ae_path_exists(train_rig_path(&rig, "average.part")));
}
#endif
