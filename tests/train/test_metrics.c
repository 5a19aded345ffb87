#include "core/file.h"
#include "tests/train/rig.h"
#include "train/metrics.h"

#include <signal.h>
#include <string.h>
#include <sys/resource.h>

static train_rig rig;
static const char *path;

static void open_it(void) {
    train_rig_open(&rig);
    path = train_rig_path(&rig, "metrics.jsonl");
}
static void close_it(void) {
    train_rig_close(&rig);
}
TestSuite(metrics, .init = open_it, .fini = close_it);

static void add_step(ae_metrics *m, int step) {
    ASSERT_OK(ae_metrics_add(m, json_pack("{s:i, s:f}", "step", step, "loss", 2.5)));
}

static void assert_file(const char *expected) {
    char *bytes;
    size_t n;
    ASSERT_OK(ae_file_read(path, &bytes, &n));
    cr_assert_str_eq(bytes, expected);
    free(bytes);
}

Test(metrics, goes_on_at_an_offset) {
    ae_metrics m = {0};
    ASSERT_OK(ae_metrics_open(&m, path, 0));
    add_step(&m, 1);
    int64_t offset = m.offset;
    add_step(&m, 2);
    ASSERT_OK(ae_metrics_sync(&m));
    ae_metrics_close(&m);
    ASSERT_OK(ae_metrics_open(&m, path, offset));
    add_step(&m, 3);
    ae_metrics_close(&m);
    assert_file("{\"step\":1,\"loss\":2.5}\n{\"step\":3,\"loss\":2.5}\n");
}

Test(metrics, a_file_shorter_than_the_offset_is_not_made_longer) {
    ae_metrics m = {0};
    ASSERT_OK(ae_metrics_open(&m, path, 0));
    add_step(&m, 1);
    ae_metrics_close(&m);
    ASSERT_FAILS(AE_ERR_INPUT, ae_metrics_open(&m, path, 1000));
    ASSERT_SAYS("at least 1000 bytes");
    assert_file("{\"step\":1,\"loss\":2.5}\n");
}

Test(metrics, one_process_writes) {
    ae_metrics m = {0}, other = {0};
    ASSERT_OK(ae_metrics_open(&m, path, 0));
    add_step(&m, 1);
    ASSERT_FAILS(AE_ERR_USAGE, ae_metrics_open(&other, path, 0));
    ASSERT_SAYS("another process");
    ASSERT_FAILS(AE_ERR_USAGE, ae_metrics_lock(&other, path, false));
    cr_assert_null(other.file);
    ae_metrics_close(&m);
    assert_file("{\"step\":1,\"loss\":2.5}\n");
}

Test(metrics, a_lock_comes_first_and_changes_nothing) {
    ae_metrics m = {0}, other = {0};
    ASSERT_OK(ae_metrics_lock(&m, path, false));
    cr_assert_null(m.file);
    cr_assert_not(ae_path_exists(path));
    ASSERT_OK(ae_metrics_open(&m, path, 0));
    add_step(&m, 1);
    ae_metrics_close(&m);
    ASSERT_OK(ae_metrics_lock(&m, path, false));
    assert_file("{\"step\":1,\"loss\":2.5}\n");
    ASSERT_FAILS(AE_ERR_USAGE, ae_metrics_open(&other, path, 0));
    ASSERT_OK(ae_metrics_open(&m, path, 0));
    ae_metrics_close(&m);
    assert_file("");
}

Test(metrics, a_full_disk_leaves_whole_lines) {
    ae_metrics m = {0};
    struct rlimit limit;
    signal(SIGXFSZ, SIG_IGN);
    ASSERT_OK(ae_metrics_open(&m, path, 0));
    add_step(&m, 1);
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = 30;
    setrlimit(RLIMIT_FSIZE, &limit);
    ASSERT_FAILS(AE_ERR_RESOURCE, ae_metrics_add(&m, json_pack("{s:i, s:f}", "step", 2, "loss", 2.5)));
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_FSIZE, &limit);
    assert_file("{\"step\":1,\"loss\":2.5}\n");
    add_step(&m, 3);
    ae_metrics_close(&m);
    assert_file("{\"step\":1,\"loss\":2.5}\n{\"step\":3,\"loss\":2.5}\n");
}

Test(metrics, finds_the_evaluation_behind_a_checkpoint) {
    ae_metrics m = {0};
    json_t *line;
    ASSERT_OK(ae_metrics_open(&m, path, 0));
    add_step(&m, 1);
    int64_t checkpoint = m.offset, offset = checkpoint;
    ASSERT_OK(ae_metrics_add(&m, json_pack("{s:i, s:f, s:n}", "step", 1, "eval_loss", 3.5, "bits_per_byte")));
    int64_t behind = m.offset;
    add_step(&m, 2);
    ae_metrics_close(&m);
    ASSERT_OK(ae_metrics_find_evaluation(path, "eval_loss", 1, &offset, &line));
    cr_assert_eq(offset, behind);
    cr_assert_eq(json_number_value(json_object_get(line, "eval_loss")), 3.5);
    json_decref(line);
    ASSERT_OK(ae_metrics_find_evaluation(path, "eval_loss", 1, &offset, &line));
    cr_assert_null(line, "step 2 is none");
    cr_assert_eq(offset, behind);
    offset = checkpoint;
    ASSERT_OK(ae_metrics_find_evaluation(path, "eval_loss", 2, &offset, &line));
    cr_assert_null(line, "that of another step is none");
    cr_assert_eq(offset, checkpoint);
}

/* ---- files that lost lines: a checkpoint of step 4, evaluated at 3 ---- */

#define STEP_LINE(n) "{\"step\":" #n ",\"loss\":2.5}\n"
#define EVAL_LINE(n) "{\"step\":" #n ",\"eval_loss\":2.5}\n"
#define UP_TO_3      STEP_LINE(1) STEP_LINE(2) STEP_LINE(3)
#define WHOLE        UP_TO_3 EVAL_LINE(3) STEP_LINE(4)

typedef struct {
    const char *found, *left;
    int64_t first, last, missing, evaluation;
    bool cuts;
} loss_case;

static void check_loss(const loss_case *c) {
    ae_metrics_mark mark = {.step = 4, .evaluated_step = 3, .offset = (int64_t)strlen(WHOLE)};
    ae_metrics_gap gap = {9, 9, 9, 9, true};
    if (c->found) ASSERT_OK(ae_file_write(path, c->found, strlen(c->found)));
    ASSERT_OK(ae_metrics_find_end(path, "eval_loss", &mark, &gap));
    cr_assert_eq(mark.offset, (int64_t)strlen(c->left), "%lld of %s", (long long)mark.offset, c->found);
    cr_assert(gap.first == c->first && gap.last == c->last && gap.missing == c->missing,
              "%lld to %lld, %lld of %s", (long long)gap.first, (long long)gap.last, (long long)gap.missing,
              c->found);
    cr_assert_eq(gap.evaluation, c->evaluation, "evaluation of %s", c->found);
    cr_assert_eq(gap.cuts, c->cuts, "cuts of %s", c->found);
}

Test(metrics, what_is_left_of_a_file) {
    const loss_case cases[] = {
        {NULL, "", 1, 4, 4, 3, false}, /* first: the file is not there */
        {"", "", 1, 4, 4, 3, false},
        {WHOLE, WHOLE, 0, 0, 0, 0, false},
        {WHOLE STEP_LINE(5) "{\"st", WHOLE, 0, 0, 0, 0, false},
        {UP_TO_3 EVAL_LINE(3), UP_TO_3 EVAL_LINE(3), 4, 4, 1, 0, false},
        {UP_TO_3, UP_TO_3, 4, 4, 1, 3, false},
        {UP_TO_3 STEP_LINE(4), UP_TO_3 STEP_LINE(4), 0, 0, 0, 3, false},
        {UP_TO_3 "{\"step\":3,\"ev", UP_TO_3, 4, 4, 1, 3, false},
        {"{\"step\":1,\"lo", "", 1, 4, 4, 3, false},
        {STEP_LINE(1) "\n" STEP_LINE(2), STEP_LINE(1), 2, 4, 3, 3, true},
        {STEP_LINE(1) STEP_LINE(1) STEP_LINE(2), STEP_LINE(1), 2, 4, 3, 3, true},
        {STEP_LINE(2) STEP_LINE(4), STEP_LINE(2) STEP_LINE(4), 1, 3, 2, 3, false},
        /* The evaluation right behind the checkpoint is found later. */
        {STEP_LINE(3) STEP_LINE(4) EVAL_LINE(4), STEP_LINE(3) STEP_LINE(4), 1, 2, 2, 3, false},
        /* Made anew since, by steps behind an older checkpoint: longer than the offset, and of the same length. */
        {STEP_LINE(5) STEP_LINE(6) STEP_LINE(7) STEP_LINE(8) STEP_LINE(9), "", 1, 4, 4, 3, false},
        {UP_TO_3 EVAL_LINE(3) STEP_LINE(5) STEP_LINE(6), UP_TO_3 EVAL_LINE(3), 4, 4, 1, 0, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check_loss(&cases[i]);
}

Test(metrics, a_folder_in_its_place_is_refused) {
    ae_metrics m = {0};
    ASSERT_OK(ae_folder_make(path));
    ASSERT_FAILS(AE_ERR_USAGE, ae_metrics_lock(&m, path, false));
    ASSERT_SAYS("metrics.jsonl");
    cr_assert_null(m.file);
}

Test(metrics, what_was_lost_is_told_in_one_line) {
    static const struct {
        ae_metrics_gap gap;
        const char *says;
    } cases[] = {
        {{0, 0, 0, 3, false}, "m.jsonl: the evaluation of step 3 is not in it: "},
        {{4, 4, 1, 3, false}, "m.jsonl: step 4 is not in it: "},
        {{1, 4, 4, 0, false}, "m.jsonl: steps 1 to 4 are not in it: "},
        {{1, 4, 3, 0, false}, "m.jsonl: 3 of the steps 1 to 4 are not in it: "},
        {{0, 0, 0, 0, false}, ""},
    };
    char text[512];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        FILE *old = stderr;
        char *said = NULL;
        size_t n = 0;
        stderr = open_memstream(&said, &n);
        ae_metrics_tell_gap("m.jsonl", &cases[i].gap);
        fclose(stderr);
        stderr = old;
        snprintf(text, sizeof text, "%s%s", n > 0 ? "warning: " : "", cases[i].says);
        cr_assert(strncmp(said, text, strlen(text)) == 0 && (n > 0) == (cases[i].says[0] != '\0'), "%s",
                  said);
        free(said);
    }
}
