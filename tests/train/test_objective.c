#include "core/file.h"
#include "tests/train/rig.h"
#include "train/engine.h"

#include <math.h>
#include <signal.h>

/* What the engine asks of an objective, held against the smallest one: a single weight that is drawn to 1. */

static train_rig rig;

static void open_rig(void) {
    train_rig_open(&rig);
}
static void close_rig(void) {
    train_rig_close(&rig);
}
TestSuite(objective, .init = open_rig, .fini = close_rig);

typedef struct single {
    const ae_run_facts *run;
    ae_f32 *weight;     /* device: [2], the gradient after it */
    int64_t drawn;      /* pieces so far */
    int64_t done;       /* steps, as state.json has it */
    int64_t fails_at;   /* this step's gradients end with `failure`; 0: none does */
    int64_t no_work_at; /* making this piece fails; 0: none does */
    ae_status failure;
    bool raises;          /* SIGTERM in step 3 */
    bool saw_stop;        /* `next` found a stop before the first signal of the run */
    bool is_mute;         /* adds no number */
    int64_t blind_at;     /* the evaluation of this step fails; 0: none does */
    ae_status no_picture; /* how its samples fail */
    const char *names;    /* its evaluation's number */
    const char *key;      /* of state.json */
    bool was_opened;
    struct single *meanwhile; /* another start of the same run while this one opens its inputs; NULL: none */
    ae_status its_status;     /* of that */
    const char *leaves;       /* a folder in run.dir that opening makes, and then fails; NULL: it does not */
} single;

static ae_status train(single *s, const char *run, int steps);

enum { WEIGHT_BYTES = sizeof(float), BOTH_BYTES = 2 * sizeof(float) };

static ae_status open_it(void *self, const ae_run_facts *run) {
    single *s = self;
    s->run = run;
    s->was_opened = true;
    if (s->meanwhile) s->its_status = train(s->meanwhile, "deep/a", 4);
    if (!s->leaves) return AE_OK;
    char *path = ae_path_join(run->config->run.dir, s->leaves);
    ASSERT_OK(ae_folder_make(path));
    free(path);
    return AE_FAIL(AE_ERR_INPUT, "its inputs: none");
}

static ae_status resume(void *self, const json_t *state, ae_overrides *o) {
    single *s = self;
    (void)o;
    s->done = json_integer_value(json_object_get(state, s->key));
    return AE_OK;
}

static ae_status start(void *self) {
    single *s = self;
    s->drawn = s->done;
    const ae_status st = s->run->be->alloc(s->run->be, (void **)&s->weight, BOTH_BYTES);
    if (st == AE_OK) s->run->be->zero(s->run->be, s->weight, BOTH_BYTES);
    return st;
}

static ae_status parameters(void *self, ae_optim_param **params, ptrdiff_t *n) {
    single *s = self;
    *n = 1;
    *params = calloc(1, sizeof **params);
    **params =
        (ae_optim_param){.name = "weight", .value = s->weight, .grad = ae_f32_at(s->weight, 1), .n = 1};
    return AE_OK;
}

static ae_status next(void *self, void *piece) {
    single *s = self;
    s->saw_stop |= s->drawn == s->done && *s->run->stop;
    *(int64_t *)piece = ++s->drawn;
    if (s->drawn == s->no_work_at) return AE_FAIL(AE_ERR_INPUT, "piece %d: nothing there", (int)s->drawn);
    return AE_OK;
}

static ae_status gradients(void *self, void *piece, ae_gradients *g) {
    single *s = self;
    const ae_backend *be = s->run->be;
    const int64_t step = *(const int64_t *)piece;
    float w;
    if (s->raises && step == 3) raise(SIGTERM);
    if (step == s->fails_at) return AE_FAIL(s->failure, "step %d: no gradients", (int)step);
    be->download(be, &w, s->weight, WEIGHT_BYTES);
    const float dw = w - 1;
    be->upload(be, ae_f32_at(s->weight, 1), &dw, WEIGHT_BYTES);
    if (!s->is_mute) ae_numbers_add(&g->numbers, "error", fabs((double)dw));
    g->finite = true;
    g->tokens = 1;
    return AE_OK;
}

static void settled(void *self, void *piece, bool counted) {
    (void)counted;
    ((single *)self)->done = *(const int64_t *)piece;
}

static ae_status evaluate(void *self, ae_evaluation *e) {
    if (((single *)self)->blind_at == ((single *)self)->done)
        return AE_FAIL(AE_ERR_RESOURCE, "evaluation: nothing seen");
    ae_numbers_add(&e->numbers, "eval_first", 7);
    ae_numbers_add(&e->numbers, ((single *)self)->names, 0.5);
    return AE_OK;
}

static ae_status sample(void *self, int64_t step) {
    const ae_status st = ((single *)self)->no_picture;
    return st == AE_OK ? st : AE_FAIL(st, "step %d: no picture", (int)step);
}

static ae_status keys(void *self, json_t *state) {
    const single *s = self;
    return json_object_set_new(state, s->key, json_integer(s->done)) == 0 ? AE_OK : AE_ERR_RESOURCE;
}

static void close_it(void *self) {
    single *s = self;
    s->run->be->release(s->run->be, s->weight, BOTH_BYTES);
    s->weight = NULL;
}

static const ae_checkpoint_name no_files[] = {{NULL, false}};

static single made(void) {
    return (single){.names = "eval_score", .key = "done_by_it"};
}

static ae_status train_as(single *s, const char *name, const char *run, int steps) {
    ae_train_config c;
    char more[80];
    const ae_objective o = {.self = s,
                            .name = name,
                            .files = no_files,
                            .score = "eval_score",
                            .open = open_it,
                            .resume = resume,
                            .start = start,
                            .parameters = parameters,
                            .piece_bytes = sizeof(int64_t),
                            .next = next,
                            .gradients = gradients,
                            .settled = settled,
                            .evaluate = evaluate,
                            .sample = sample,
                            .keys = keys,
                            .close = close_it};
    snprintf(more, sizeof more, "train.steps=%d optim.schedule=constant", steps);
    train_rig_config(&rig, &c, run, more);
    const ae_status st = ae_engine_train(&c, &o, false);
    ae_train_config_free(&c);
    return st;
}

static ae_status train(single *s, const char *run, int steps) {
    return train_as(s, "single", run, steps);
}

static json_t *state_of(const char *run, int step) {
    char name[80];
    snprintf(name, sizeof name, "%s/checkpoints/step-%06d/state.json", run, step);
    json_t *state = json_load_file(train_rig_path(&rig, name), 0, NULL);
    cr_assert_not_null(state, "%s", name);
    return state;
}

static int64_t number_of(const char *run, int step, const char *key) {
    json_t *state = state_of(run, step);
    const int64_t n = json_integer_value(json_object_get(state, key));
    json_decref(state);
    return n;
}

/* The step that was interrupted is not in what is saved, and comes next. */
Test(objective, interrupted_gradients_leave_the_step_before) {
    single s = made();
    s.fails_at = 6;
    s.failure = AE_ERR_INTERRUPTED;
    ASSERT_FAILS(AE_ERR_INTERRUPTED, train(&s, "a", 8));
    ASSERT_SAYS("stopped at step 5 of 8");
    cr_assert_eq(number_of("a", 5, "step"), 5);
    cr_assert_eq(number_of("a", 5, "done_by_it"), 5);
    s = made();
    ASSERT_OK(train(&s, "a", 8));
    cr_assert_eq(number_of("a", 8, "done_by_it"), 8);
    s = made();
    s.fails_at = 1;
    s.failure = AE_ERR_INTERRUPTED;
    ASSERT_FAILS(AE_ERR_INTERRUPTED, train(&s, "first", 8));
    ASSERT_SAYS("stopped before the first step");
}

Test(objective, failing_gradients_and_work_end_the_run_with_their_words) {
    single s = made();
    s.fails_at = 3;
    s.failure = AE_ERR_INPUT;
    ASSERT_FAILS(AE_ERR_INPUT, train(&s, "a", 8));
    ASSERT_SAYS("step 3: no gradients");
    s = made();
    s.no_work_at = 4;
    ASSERT_FAILS(AE_ERR_INPUT, train(&s, "b", 8));
    ASSERT_SAYS("piece 4: nothing there");
    cr_assert_eq(train_rig_metric_count(&rig, "b"), 4, "three steps and an evaluation");
}

/* The stop of one run is not the stop of the next in the same process, not even for the thread that makes its work. */
Test(objective, two_runs_in_one_process) {
    single s = made();
    s.raises = true;
    ASSERT_FAILS(AE_ERR_INTERRUPTED, train(&s, "a", 8));
    ASSERT_SAYS("stopped at step 3 of 8");
    s = made();
    ASSERT_OK(train(&s, "b", 8));
    cr_assert_not(s.saw_stop);
}

/* Evaluations are every three steps, checkpoints every four: no step is lost. */
Test(objective, a_failing_evaluation_leaves_its_step_saved) {
    single s = made();
    s.blind_at = 6;
    ASSERT_FAILS(AE_ERR_RESOURCE, train(&s, "a", 8));
    ASSERT_SAYS("evaluation: nothing seen");
    cr_assert_eq(number_of("a", 6, "done_by_it"), 6);
    s = made();
    ASSERT_OK(train(&s, "a", 8));
    cr_assert_eq(number_of("a", 8, "done_by_it"), 8);
}

Test(objective, a_failing_sample_ends_no_run_unless_it_is_a_defect) {
    static const ae_status told[] = {AE_ERR_USAGE, AE_ERR_INPUT, AE_ERR_RESOURCE};
    for (int i = 0; i < 3; i++) {
        char name[16];
        single s = made();
        s.no_picture = told[i];
        snprintf(name, sizeof name, "run%d", i);
        ASSERT_OK(train(&s, name, 8));
    }
    single s = made();
    s.no_picture = AE_ERR_DEFECT;
    ASSERT_FAILS(AE_ERR_DEFECT, train(&s, "a", 8));
    ASSERT_SAYS("step 3: no picture");
}

/* The score is looked up by its name, wherever it stands. */
Test(objective, the_score_has_its_name) {
    single s = made();
    ASSERT_OK(train(&s, "a", 8));
    json_t *state = state_of("a", 8);
    const json_t *best = json_object_get(state, "best");
    cr_assert_eq(json_number_value(json_object_get(best, "eval_score")), 0.5);
    json_decref(state);
    s = made();
    s.names = "eval_other";
    ASSERT_FAILS(AE_ERR_DEFECT, train(&s, "b", 8));
    ASSERT_SAYS("eval_score");
}

Test(objective, a_step_has_a_number) {
    single s = made();
    s.is_mute = true;
    ASSERT_FAILS(AE_ERR_DEFECT, train(&s, "a", 8));
}

Test(objective, its_keys_are_not_the_engines) {
    single s = made();
    s.key = "tokens";
    ASSERT_FAILS(AE_ERR_DEFECT, train(&s, "a", 8));
    ASSERT_SAYS("tokens");
}

Test(objective, a_run_goes_on_with_its_own_only) {
    single s = made();
    ASSERT_OK(train(&s, "a", 4));
    s = made();
    ASSERT_FAILS(AE_ERR_USAGE, train_as(&s, "other", "a", 8));
    ASSERT_SAYS("was made by single, not by other");
    cr_assert_not(s.was_opened, "inputs may be rendered into the folder of that run");
    s = made();
    ASSERT_FAILS(AE_ERR_USAGE, train_as(&s, NULL, "a", 8));
    ASSERT_SAYS("was made by single, not by pretrain");
}

/* Inputs may take minutes to open: a new folder is taken before. */
Test(objective, a_new_folder_is_locked_before_inputs_are_opened) {
    single s = made(), second = made();
    s.meanwhile = &second;
    ASSERT_OK(train(&s, "deep/a", 4));
    cr_assert_eq(s.its_status, AE_ERR_USAGE);
    cr_assert_not(second.was_opened);
    cr_assert_eq(number_of("deep/a", 4, "done_by_it"), 4);
}

/* With the folders above it and what was rendered; a folder that was there stays. */
Test(objective, a_folder_that_a_failed_start_made_goes_again) {
    single s = made();
    s.leaves = "";
    ASSERT_FAILS(AE_ERR_INPUT, train(&s, "deep/er/a", 4));
    ASSERT_SAYS("its inputs");
    cr_assert_not(ae_path_exists(train_rig_path(&rig, "deep")));
    s.leaves = "rendered";
    ASSERT_FAILS(AE_ERR_INPUT, train(&s, "deep/a", 4));
    cr_assert_not(ae_path_exists(train_rig_path(&rig, "deep")), "nothing is in it");
    s.leaves = "rendered/set";
    ASSERT_FAILS(AE_ERR_INPUT, train(&s, "deep/a", 4));
    cr_assert_not(ae_path_exists(train_rig_path(&rig, "deep")), "what was rendered goes");
    ASSERT_OK(ae_folder_make(train_rig_path(&rig, "there")));
    s.leaves = "";
    ASSERT_FAILS(AE_ERR_INPUT, train(&s, "there", 4));
    cr_assert(ae_path_exists(train_rig_path(&rig, "there")));
    s = made();
    ASSERT_OK(train(&s, "deep/a", 4));
}
