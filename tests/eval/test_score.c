#include "core/h5.h"
#include "eval/score.h"
#include "exchange/source.h"
#include "ops/cpu/memory.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A fixture with what an independent implementation computed for it in float64. */
typedef struct {
    ae_backend be;
    ae_model model;
    int64_t B, T, V;
    int32_t *tokens, *positions;
    double *logits;
} fixture;

static void *loaded(hid_t file, const char *path, const char *name, hid_t type, size_t size, int rank,
                    const int64_t *shape) {
    int64_t n = 1;
    for (int i = 0; i < rank; i++) n *= shape[i];
    void *x = malloc((size_t)n * size);
    cr_assert_eq(ae_h5_read(file, path, name, type, rank, shape, x), AE_OK, "%s", ae_error_message());
    return x;
}

static void fixture_open(fixture *f, const char *name) {
    char folder[512], path[600];
    hid_t file;
    snprintf(folder, sizeof folder, AERIE_FIXTURES "/%s", name);
    snprintf(path, sizeof path, "%s/expected.h5", folder);
    cr_assert_eq(ae_backend_cpu(&f->be, &(ae_backend_options){.threads = 2}), AE_OK);
    cr_assert_eq(ae_model_open(&f->model, &f->be, folder, &(ae_model_options){0}), AE_OK, "%s",
                 ae_error_message());
    cr_assert_eq(ae_h5_open(&file, path), AE_OK, "%s", ae_error_message());
    int64_t shape[3];
    cr_assert_eq(ae_h5_shape(file, path, "logits", 3, shape), AE_OK, "%s", ae_error_message());
    f->B = shape[0];
    f->T = shape[1];
    f->V = shape[2];
    f->tokens = loaded(file, path, "tokens", H5T_NATIVE_INT32, sizeof(int32_t), 2, shape);
    f->positions = loaded(file, path, "positions", H5T_NATIVE_INT32, sizeof(int32_t), 2, shape);
    f->logits = loaded(file, path, "logits", H5T_NATIVE_DOUBLE, sizeof(double), 3, shape);
    cr_assert_eq(ae_h5_close(file, path), AE_OK);
}

static void fixture_close(fixture *f) {
    ae_model_free(&f->model);
    ae_backend_free(&f->be);
    free(f->tokens);
    free(f->positions);
    free(f->logits);
}

/* The expected log-probability of `id` at row b, place t. */
static double expected(const fixture *f, int64_t b, int64_t t, int32_t id) {
    const double *logits = f->logits + (b * f->T + t) * f->V;
    double sum = 0;
    for (int64_t v = 0; v < f->V; v++) sum += exp(logits[v]);
    return logits[id] - log(sum);
}

static void check_row(const fixture *f, int64_t b, const ae_scores *s, ptrdiff_t top) {
    const int32_t *tokens = f->tokens + b * f->T, *positions = f->positions + b * f->T;
    cr_assert_eq(s->n, f->T - 1);
    for (int64_t t = 0; t < s->n; t++) {
        if (positions[t + 1] == 0)
            cr_assert(isnan(s->logprobs[t]));
        else
            cr_assert_float_eq((double)s->logprobs[t], expected(f, b, t, tokens[t + 1]), 2e-5);
        for (ptrdiff_t k = t * top; k < (t + 1) * top; k++) {
            cr_assert_float_eq((double)s->top_logprobs[k], expected(f, b, t, s->top_ids[k]), 2e-5);
            cr_assert(k % top == 0 || s->top_logprobs[k] <= s->top_logprobs[k - 1]);
        }
    }
}

static void check_fixture(const char *name) {
    enum { TOP = 5 };
    fixture f = {0};
    fixture_open(&f, name);
    ae_scorer *scorer = NULL;
    ae_scores scores;
    cr_assert_eq(ae_scorer_new(&scorer, &f.model, TOP), AE_OK);
    for (int64_t b = 0; b < f.B; b++) {
        cr_assert_eq(ae_scorer_run(scorer, f.tokens + b * f.T, f.positions + b * f.T, f.T, &scores), AE_OK,
                     "%s", ae_error_message());
        check_row(&f, b, &scores, TOP);
    }
    ae_scorer_delete(scorer);
    fixture_close(&f);
}

Test(score, agrees_with_float64_tiny) {
    check_fixture("tiny");
}
Test(score, agrees_with_float64_window) {
    check_fixture("window");
}
Test(score, agrees_with_float64_hawk) {
    check_fixture("hawk");
}
Test(score, agrees_with_float64_attention) {
    check_fixture("attention");
}
Test(score, agrees_with_float64_gemma) {
    check_fixture("gemma");
}

/* A long sequence makes the buffers grow; what came before and comes after has the same bits. */
Test(score, numbers_do_not_depend_on_what_was_scored_before) {
    enum { LONG = 700 };
    fixture f = {0};
    fixture_open(&f, "tiny");
    int32_t tokens[LONG], positions[LONG];
    for (int i = 0; i < LONG; i++) {
        tokens[i] = (int32_t)(i * 37 % f.V);
        positions[i] = i;
    }
    ae_scorer *scorer = NULL;
    ae_scores scores;
    cr_assert_eq(ae_scorer_new(&scorer, &f.model, 0), AE_OK);
    cr_assert_eq(ae_scorer_run(scorer, f.tokens, f.positions, f.T, &scores), AE_OK);
    float *before = malloc((size_t)scores.n * sizeof *before);
    memcpy(before, scores.logprobs, (size_t)scores.n * sizeof *before);
    cr_assert_eq(ae_scorer_run(scorer, tokens, positions, LONG, &scores), AE_OK);
    cr_assert_eq(scores.n, LONG - 1);
    cr_assert_eq(ae_scorer_run(scorer, f.tokens, f.positions, f.T, &scores), AE_OK);
    cr_assert_eq(memcmp(before, scores.logprobs, (size_t)scores.n * sizeof *before), 0);
    free(before);
    ae_scorer_delete(scorer);
    fixture_close(&f);
}

static json_t *answer_to(ae_scorer *scorer, const char *line) {
    const ae_request_rules rules = {.vocab = 64, .bos = true};
    json_t *request = NULL, *answer = NULL;
    bool told = true;
    cr_assert_eq(ae_request_parse(&request, line, strlen(line), "F:1", &told), AE_OK);
    cr_assert_eq(ae_score_line(scorer, request, &rules, "F:1", &answer), AE_OK, "%s", ae_error_message());
    json_decref(request);
    return answer;
}

static double sum_of(const json_t *answer) {
    return json_number_value(json_object_get(answer, "sum"));
}

Test(score, sum_and_count_leave_out_masked_and_null_places) {
    fixture f = {0};
    fixture_open(&f, "tiny");
    ae_scorer *scorer = NULL;
    cr_assert_eq(ae_scorer_new(&scorer, &f.model, 0), AE_OK);
    json_t *all = answer_to(scorer, "{\"tokens\": [1, 2, 3, 4]}");
    json_t *some = answer_to(scorer, "{\"tokens\": [1, 2, 3, 4], \"loss_mask\": [0, 0, 1, 1]}");
    json_t *two = answer_to(scorer, "{\"tokens\": [1, 2, 3, 4], \"positions\": [0, 1, 0, 1]}");
    json_t *one = answer_to(scorer, "{\"tokens\": [1]}");
    const json_t *places = json_object_get(all, "logprobs");
    cr_assert(json_equal(places, json_object_get(some, "logprobs")));
    cr_assert_float_eq(sum_of(all) - sum_of(some), json_number_value(json_array_get(places, 0)), 1e-6);
    cr_assert_eq(json_integer_value(json_object_get(some, "count")), 2);
    cr_assert(json_is_null(json_array_get(json_object_get(two, "logprobs"), 1)));
    cr_assert_eq(json_integer_value(json_object_get(two, "count")), 2);
    cr_assert_eq(json_array_size(json_object_get(one, "logprobs")), 0);
    cr_assert_eq(json_integer_value(json_object_get(one, "count")), 0);
    json_decref(all);
    json_decref(some);
    json_decref(two);
    json_decref(one);
    ae_scorer_delete(scorer);
    fixture_close(&f);
}

/* Weights that are numbers and too big: nothing that was counted may be no number. */
Test(score, numbers_that_overflow_are_no_score) {
    fixture f;
    ae_scorer *scorer;
    ae_scores scores;
    fixture_open(&f, "tiny");
    const ae_param *p = ae_params_find(&f.model.params, "model.layers.0.mlp_block.down_proj.weight");
    float *huge = malloc((size_t)p->n * sizeof *huge);
    for (int64_t i = 0; i < p->n; i++) huge[i] = i % 2 ? 3e38f : -3e38f;
    f.be.upload(&f.be, p->value, huge, (size_t)p->n * sizeof *huge);
    ae_model_values_changed(&f.model);
    cr_assert_eq(ae_scorer_new(&scorer, &f.model, 0), AE_OK);
    cr_assert_eq(ae_scorer_run(scorer, f.tokens, f.positions, f.T, &scores), AE_ERR_INPUT);
    cr_assert_not_null(strstr(ae_error_message(), "token 1: expected a log-probability"), "%s",
                       ae_error_message());
    free(huge);
    ae_scorer_delete(scorer);
    fixture_close(&f);
}

/* Scratch that is not to be had is no score, and the next line has its own again. */
Test(score, without_scratch_there_is_no_score) {
    fixture f;
    ae_scorer *scorer;
    ae_scores scores;
    fixture_open(&f, "tiny");
    cr_assert_eq(ae_scorer_new(&scorer, &f.model, 0), AE_OK);
    ae_cpu_rooms_left = 0;
    cr_assert_eq(ae_scorer_run(scorer, f.tokens, f.positions, f.T, &scores), AE_ERR_RESOURCE);
    ae_cpu_rooms_left = -1;
    cr_assert_eq(ae_scorer_run(scorer, f.tokens, f.positions, f.T, &scores), AE_OK, "%s", ae_error_message());
    cr_assert(isfinite(scores.logprobs[0]));
    ae_scorer_delete(scorer);
    fixture_close(&f);
}
