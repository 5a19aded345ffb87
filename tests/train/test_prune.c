#include "core/file.h"
#include "core/log.h"
#include "exchange/source.h"
#include "tests/core/scratch.h"
#include "train/checkpoint.h"
#include "train/run_folder.h"

/* Which folders of checkpoints go by the rules for keeping them. */

static const char *const run = scratch_folder;

static void open_it(void) {
    ae_log_quiet(true);
    scratch_make();
}

TestSuite(prune, .init = open_it, .fini = scratch_remove);

typedef struct {
    int64_t present[10]; /* ended by 0, like all lists here */
    int64_t step;        /* of the save */
    ae_checkpoint_keep keep;
    int64_t left[10];
} rule;

static void make(const int64_t *steps) {
    for (; *steps > 0; steps++) {
        char *folder = ae_checkpoint_path(run, *steps), *done = ae_path_join(folder, "DONE");
        cr_assert_eq(ae_folder_make(folder), AE_OK);
        cr_assert_eq(ae_file_write(done, "{}", 2), AE_OK);
        free(done);
        free(folder);
    }
}

static void show(char *out, size_t size, const int64_t *steps, size_t n) {
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < n && steps[i] > 0; i++)
        used += (size_t)snprintf(out + used, size - used, "%lld ", (long long)steps[i]);
}

static void holds(const rule *r, size_t number) {
    ae_checkpoint_list l;
    char found[200], want[200];
    cr_assert_eq(ae_checkpoint_list_steps(&l, run), AE_OK);
    show(found, sizeof found, l.steps, l.n);
    show(want, sizeof want, r->left, 10);
    cr_assert_str_eq(found, want, "rule %zu: left '%s', expected '%s'", number, found, want);
    ae_checkpoint_list_free(&l);
}

static const rule rules[] = {
    /* the newest, as many as asked for */
    {{1, 2, 3, 4, 5}, 5, {.newest = 2}, {4, 5}},
    {{1, 2, 3, 4, 5}, 5, {.newest = 1}, {5}},
    {{1, 2, 3}, 3, {.newest = 3}, {1, 2, 3}},
    {{1, 2, 3}, 3, {.newest = 9}, {1, 2, 3}},
    /* all of them, whatever else is asked */
    {{1, 2, 3, 4, 5}, 5, {.newest = 0}, {1, 2, 3, 4, 5}},
    {{1, 2, 3, 4, 5}, 5, {.newest = 0, .best_step = 2, .every = 4}, {1, 2, 3, 4, 5}},
    /* the best beside the newest, or one of them */
    {{1, 2, 3, 4, 5}, 5, {.newest = 2, .best_step = 1}, {1, 4, 5}},
    {{1, 2, 3, 4, 5}, 5, {.newest = 2, .best_step = 4}, {4, 5}},
    {{1, 2, 3, 4, 5}, 5, {.newest = 1, .best_step = 3, .marked_step = 2}, {2, 3, 5}},
    {{1, 2, 3, 4, 5}, 5, {.newest = 1, .marked_step = 2}, {2, 5}},
    {{1, 2, 3}, 3, {.newest = 1, .best_step = 7}, {3}},
    /* those for good */
    {{2, 4, 6, 8, 10}, 10, {.newest = 1, .every = 4}, {4, 8, 10}},
    {{2, 4, 6, 8, 10}, 10, {.newest = 2, .every = 100}, {8, 10}},
    {{2, 4, 6, 8, 10}, 10, {.newest = 1, .every = 1}, {2, 4, 6, 8, 10}},
    /* each rule by itself is enough, and none counts against another */
    {{1, 2, 3, 4, 5, 6, 7}, 7, {.newest = 2, .best_step = 1, .marked_step = 5, .every = 4}, {1, 4, 5, 6, 7}},
    {{1, 2, 3, 4, 5, 6, 7}, 7, {.newest = 1, .best_step = 4, .every = 4}, {4, 7}},
    /* damaged ones beyond the step of the save neither count nor go */
    {{1, 2, 3, 4, 5}, 3, {.newest = 1}, {3, 4, 5}},
    {{1, 2, 3, 4, 5}, 3, {.newest = 2}, {2, 3, 4, 5}},
    {{1, 2, 3, 4, 5}, 3, {.newest = 2, .best_step = 1}, {1, 2, 3, 4, 5}},
    {{4, 5}, 3, {.newest = 1}, {4, 5}},
};

Test(prune, what_no_rule_keeps_goes_and_nothing_else) {
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        make(rules[i].present);
        ae_checkpoint_prune(run, rules[i].step, &rules[i].keep);
        holds(&rules[i], i);
        cr_assert_eq(ae_folder_empty(run), AE_OK);
    }
}

/* The best stays whatever comes behind it, until another one is that. */
Test(prune, the_best_outlives_many_saves) {
    for (int64_t step = 1; step <= 40; step++) {
        const int64_t best = step < 3 ? step : step < 30 ? 3 : 30;
        make((int64_t[]){step, 0});
        ae_checkpoint_prune(run, step, &(ae_checkpoint_keep){.newest = 2, .best_step = best});
        char *folder = ae_checkpoint_path(run, best);
        cr_assert(ae_path_has(folder, "DONE"), "step %lld: the best, %lld, is gone", (long long)step,
                  (long long)best);
        free(folder);
    }
    holds(&(rule){.left = {30, 39, 40}}, 0);
}

/* Other things in the folder are not checkpoints. */
Test(prune, names_that_are_not_ours_stay) {
    char *all = ae_path_join(run, "checkpoints");
    static const char *const others[] = {"step-1", "step-000001.kept", "notes", "step-00000a"};
    make((int64_t[]){1, 2, 0});
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        char *path = ae_path_join(all, others[i]);
        cr_assert_eq(ae_folder_make(path), AE_OK);
        free(path);
    }
    ae_checkpoint_prune(run, 2, &(ae_checkpoint_keep){.newest = 1});
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        cr_assert(ae_path_has(all, others[i]), "%s is gone", others[i]);
    cr_assert_not(ae_path_has(all, "step-000001"));
    cr_assert_not(ae_path_has(all, "step-000001.partial"));
    free(all);
}
