#ifndef AE_TESTS_BENCHMARK_RIG_H
#define AE_TESTS_BENCHMARK_RIG_H
#include "benchmark/task.h"
#include "tests/core/scratch.h"

/* A leaf with its documents below the scratch folder. */
typedef struct {
    ae_task *task;
    ae_task_documents *documents;
    ae_request request;
} asked;

static inline void write_rows(const char *name, const char *text) {
    char folder[512];
    snprintf(folder, sizeof folder, "%s/%s", scratch_folder, name);
    cr_assert_eq(ae_parent_make(folder), AE_OK, "%s", ae_error_message());
    scratch_write(name, text, strlen(text));
}

static inline ae_task_options default_options(void) {
    return (ae_task_options){.shots = -1, .seed = AE_FEWSHOT_SEED, .limit = -1};
}

/* Document `i` of the embedded task `name`, or of the file of that path. */
static inline asked ask(const char *name, ptrdiff_t i, ae_task_options options) {
    asked a = {0};
    cr_assert_eq(ae_task_load(&a.task, name), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_task_documents_open(&a.documents, a.task, scratch_folder, &options), AE_OK, "%s",
                 ae_error_message());
    cr_assert_lt(i, ae_task_documents_count(a.documents));
    cr_assert_eq(ae_request_make(&a.request, a.documents, i), AE_OK, "%s", ae_error_message());
    return a;
}

static inline void asked_free(asked *a) {
    ae_request_free(&a->request);
    ae_task_documents_close(a->documents);
    ae_task_free(a->task);
}

/* Choices with their delimiter, each behind a bar: "| a| b". */
static inline void assert_continuations(const asked *a, const char *expected) {
    char all[8192] = "";
    for (ptrdiff_t c = 0; c < a->request.n_choices; c++) {
        strcat(all, "|");
        strcat(all, a->request.continuations[c]);
    }
    cr_assert_str_eq(all, expected);
}

/* The right ones as 0 and 1: "0010". */
static inline void assert_gold(const asked *a, const char *expected) {
    char all[256] = "";
    for (ptrdiff_t c = 0; c < a->request.n_choices; c++) all[c] = a->request.gold[c] ? '1' : '0';
    cr_assert_str_eq(all, expected);
}

#endif
