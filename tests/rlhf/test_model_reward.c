#include "../eval/small_tokenizer.h"
#include "core/file.h"
#include "core/json.h"
#include "core/rng.h"
#include "eval/score.h"
#include "exchange/adapter.h"
#include "exchange/source.h"
#include "formats/done.h"
#include "model/config_json.h"
#include "rlhf/rewards.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

/* A small reward model with a tokenizer, written as a checkpoint. */

#define ASSERT_OK(expr) cr_assert_eq((expr), AE_OK, "%s", ae_error_message())

enum { MOST = 40, LONGEST = 700, VOCAB = 300 };

static const ae_model_config shape = {.V = VOCAB,
                                      .D = 64,
                                      .C = 96,
                                      .E = 160,
                                      .N = 2,
                                      .G = 1,
                                      .H = 32,
                                      .W = 270,
                                      .K = 4,
                                      .blocks = 3,
                                      .pattern = {AE_RECURRENT, AE_RECURRENT, AE_ATTENTION},
                                      .rope_theta = 10000,
                                      .rope_share = 0.5,
                                      .norm_eps = 1e-6,
                                      .soft_cap = 30,
                                      .reward_shift = 0.25,
                                      .reward_std = 1};

static char folder[64];
static ae_tokenizer *tokenizer;
static ae_backend be;
static int32_t tokens[MOST][LONGEST];
static ae_rewarded_answer answers[MOST];
static ae_reward_of rewards[MOST];
static double parts[MOST];

static char *path_of(const char *name) {
    return ae_path_join(folder, name);
}

/* A checkpoint with the model's weights; `t` may be NULL. */
static void write_model(const char *name, const ae_model *m, const ae_tokenizer *t) {
    static const char *const names[] = {"weights.h5", "model.json", "tokenizer.model"};
    char *at = path_of(name), *paths[3], *text = NULL;
    ASSERT_OK(ae_folder_make(at));
    for (int i = 0; i < 3; i++) paths[i] = ae_path_join(at, names[i]);
    ASSERT_OK(ae_model_save(m, paths[0]));
    ASSERT_OK(ae_model_config_to_json(&m->config, &text));
    ASSERT_OK(ae_file_write(paths[1], text, strlen(text)));
    size_t n = 0;
    const void *bytes = t ? ae_tokenizer_bytes(t, &n) : NULL;
    if (t) ASSERT_OK(ae_file_write(paths[2], bytes, n));
    ASSERT_OK(ae_done_write(at, names, t ? 3 : 2));
    for (int i = 0; i < 3; i++) free(paths[i]);
    free(text);
    free(at);
}

static void write_random(const char *name, bool head, const ae_tokenizer *t, uint64_t seed) {
    ae_model m = {0};
    ae_model_config c = shape;
    if (!head) c.reward_shift = c.reward_std = 0;
    ASSERT_OK(ae_model_init(&m, &be, &c, &(ae_model_options){.params = {.score_head = head}}));
    ASSERT_OK(ae_model_set_initial(&m, seed));
    write_model(name, &m, t);
    ae_model_free(&m);
}

/* Answers of 3 to 600 tokens, one of LONGEST - 1; every third is truncated, every third ends with <eos>, the others
 * with <end_of_turn>. */
static void write_answers(void) {
    const ae_special_ids ids = ae_tokenizer_special(tokenizer);
    ae_rng rng = ae_rng_make(3, 0);
    for (int i = 0; i < MOST; i++) {
        const ptrdiff_t n = i == 7 ? LONGEST - 1 : 3 + (ptrdiff_t)(ae_rng_u64(&rng) % 598);
        for (ptrdiff_t t = 0; t < n; t++) tokens[i][t] = 10 + (int32_t)(ae_rng_u64(&rng) % (VOCAB - 10));
        if (i % 3 > 0) tokens[i][n - 1] = i % 3 == 1 ? ids.eos : ids.end_of_turn;
        answers[i] = (ae_rewarded_answer){
            .tokens = tokens[i], .n_prompt = n / 3, .n = n - n / 3, .truncated = i % 3 == 0};
        rewards[i].parts = &parts[i];
    }
}

static void setup(void) {
    strcpy(folder, "/tmp/aerie-rewards-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    ASSERT_OK(ae_backend_cpu(&be, &(ae_backend_options){.threads = 2}));
    tokenizer = small_tokenizer();
    cr_assert_eq(ae_tokenizer_size(tokenizer), VOCAB);
    write_random("judge", true, tokenizer, 1);
    write_answers();
}

static void teardown(void) {
    ASSERT_OK(ae_folder_remove(folder));
    ae_tokenizer_delete(tokenizer);
    ae_backend_free(&be);
}

TestSuite(model_reward, .init = setup, .fini = teardown);

static ae_status open_list(ae_rewards **r, const char *name, const char *more, ptrdiff_t longest) {
    char list[512];
    const ae_rewards_facts facts = {
        .be = &be, .tokenizer = tokenizer, .vocab_size = VOCAB, .longest = longest};
    snprintf(list, sizeof list, "[{\"kind\": \"model\", \"path\": \"%s/%s\"%s}]", folder, name, more);
    return ae_rewards_open(r, list, &facts);
}

static void refused(const char *name, const char *more, ae_status status, const char *words) {
    ae_rewards *r = NULL;
    cr_assert_eq(open_list(&r, name, more, 0), status, "%s", ae_error_message());
    cr_assert_not_null(strstr(ae_error_message(), words), "expected \"%s\", found \"%s\"", words,
                       ae_error_message());
}

/* The reward of one answer as `aerie score --reward` gives it. */
static double scored(const ae_model *m, int i) {
    const ae_special_ids ids = ae_tokenizer_special(tokenizer);
    const ptrdiff_t n = answers[i].n_prompt + answers[i].n;
    int32_t copy[LONGEST + 1];
    ae_scorer *s = NULL;
    double x = 0;
    memcpy(copy, tokens[i], sizeof tokens[i]);
    const bool append = answers[i].truncated;
    copy[append ? n : n - 1] = ids.end_of_turn;
    ASSERT_OK(ae_scorer_new(&s, m, 0));
    ASSERT_OK(ae_scorer_reward(s, copy, n + append, &x));
    ae_scorer_delete(s);
    return x;
}

Test(model_reward, rewards_at_the_end_of_the_turn) {
    ae_rewards *r = NULL;
    ae_model m = {0};
    char *path = path_of("judge");
    ASSERT_OK(ae_model_open(&m, &be, path, &(ae_model_options){.params = {.score_head = true}}));
    ASSERT_OK(open_list(&r, "judge", "", 0));
    cr_assert_str_eq(ae_rewards_name(r, 0), "model");
    cr_assert_str_eq(ae_rewards_model_path(r), path);
    cr_assert_gt(ae_rewards_bytes(r), ae_model_value_bytes(&m.params, &be, &m.options));
    ASSERT_OK(ae_rewards_give(r, answers, MOST, rewards));
    for (int i = 0; i < MOST; i++) {
        cr_assert(rewards[i].has);
        cr_assert_float_eq(rewards[i].total, scored(&m, i), 1e-5, "answer %d: %.9g", i, rewards[i].total);
    }
    cr_assert_neq(rewards[0].total, rewards[1].total);
    ae_rewards_close(r);
    ae_model_free(&m);
    free(path);
}

/* Alone, with others before or after it, in another order. */
static void same_bits(const char *more, ptrdiff_t longest) {
    ae_rewards *r = NULL;
    double all[MOST];
    ASSERT_OK(open_list(&r, "judge", more, longest));
    ASSERT_OK(ae_rewards_give(r, answers, MOST, rewards));
    for (int i = 0; i < MOST; i++) all[i] = rewards[i].total;
    for (int i = 0; i < MOST; i++) {
        ASSERT_OK(ae_rewards_give(r, &answers[i], 1, rewards));
        cr_assert_eq(rewards[0].total, all[i], "longest %td%s: answer %d alone: %.9g, among others %.9g",
                     longest, more, i, rewards[0].total, all[i]);
    }
    ASSERT_OK(ae_rewards_give(r, &answers[11], MOST - 11, rewards));
    for (int i = 11; i < MOST; i++) cr_assert_eq(rewards[i - 11].total, all[i]);
    ae_rewards_close(r);
}

Test(model_reward, the_same_bits_whatever_stands_beside) {
    same_bits("", 0);
    same_bits("", 3 * LONGEST);
    same_bits("", 5 * LONGEST);
    same_bits(", \"dtype\": \"bf16\"", 0);
    same_bits(", \"dtype\": \"int8\"", 0);
}

Test(model_reward, the_same_bits_with_activations_in_bf16) {
    ae_backend_free(&be);
    ASSERT_OK(ae_backend_cpu(&be, &(ae_backend_options){.threads = 2, .dtype = AE_DTYPE_BF16}));
    same_bits("", 0);
    same_bits(", \"dtype\": \"bf16\"", LONGEST);
}

Test(model_reward, token_ids_without_a_tokenizer) {
    ae_rewards *r = NULL;
    char list[256];
    const ae_rewards_facts facts = {.be = &be, .vocab_size = VOCAB};
    snprintf(list, sizeof list, "[{\"kind\": \"model\", \"path\": \"%s/judge\"}]", folder);
    ASSERT_OK(ae_rewards_open(&r, list, &facts));
    ASSERT_OK(ae_rewards_give(r, answers, 3, rewards));
    const double truncated = rewards[0].total, ended = rewards[2].total;
    ae_rewards_close(r);
    ASSERT_OK(open_list(&r, "judge", "", 0));
    ASSERT_OK(ae_rewards_give(r, answers, 3, rewards));
    cr_assert_eq(rewards[2].total, ended);
    cr_assert_neq(rewards[0].total, truncated);
    ae_rewards_close(r);
}

Test(model_reward, models_that_are_refused) {
    ae_model m = {0};
    write_random("plain", false, tokenizer, 1);
    refused("plain", "", AE_ERR_INPUT,
            "plain: expected a reward model, found none: the head score.weight is missing");
    refused("nothing", "", AE_ERR_INPUT, "nothing");
    refused("judge", ", \"adapter\": \"/tmp\"", AE_ERR_INPUT, "expected an adapter");
    refused("judge", ", \"dtype\": \"fp8\"", AE_ERR_USAGE,
            "dtype: expected one of f32, bf16, int8, int4, auto");
    ae_model_config other = shape;
    other.V = VOCAB + 1;
    ASSERT_OK(ae_model_init(&m, &be, &other, &(ae_model_options){.params = {.score_head = true}}));
    ASSERT_OK(ae_model_set_initial(&m, 1));
    write_model("bare", &m, NULL);
    ae_model_free(&m);
    refused("bare", "", AE_ERR_INPUT, "bare: expected the vocabulary of the policy, 300, found 301");
}

/* One byte of the tokenizer's trainer settings is enough for another one: a copy with other bytes at its end. */
Test(model_reward, another_tokenizer_is_refused) {
    size_t n = 0;
    const void *bytes = ae_tokenizer_bytes(tokenizer, &n);
    char *longer = malloc(n + 4);
    static const char unknown_field[] = {(char)0xf8, 0x3f,
                                         0x01}; /* field 127 of a message, which readers skip */
    memcpy(longer, bytes, n);
    memcpy(longer + n, unknown_field, sizeof unknown_field);
    ae_tokenizer *other = NULL;
    ASSERT_OK(ae_tokenizer_from_bytes(&other, longer, n + sizeof unknown_field, "a copy"));
    write_random("stranger", true, other, 1);
    refused("stranger", "", AE_ERR_INPUT, "expected the tokenizer of the policy, found another one");
    ae_tokenizer_delete(other);
    free(longer);
}

Test(model_reward, a_reward_that_is_no_number) {
    ae_rewards *r = NULL;
    ae_model m = {0};
    ASSERT_OK(ae_model_init(&m, &be, &shape, &(ae_model_options){.params = {.score_head = true}}));
    ASSERT_OK(ae_model_set_initial(&m, 1));
    float w[64];
    for (int i = 0; i < 64; i++) w[i] = i % 2 ? 3e38f : -3e38f;
    be.upload(&be, ae_params_find(&m.params, "score.weight")->value, w, sizeof w);
    write_model("huge", &m, tokenizer);
    ae_model_free(&m);
    ASSERT_OK(open_list(&r, "huge", "", 0));
    cr_assert_eq(ae_rewards_give(r, answers, 3, rewards), AE_ERR_INPUT);
    cr_assert_not_null(strstr(ae_error_message(), "huge: expected a reward, found none"), "%s",
                       ae_error_message());
    ae_rewards_close(r);
}
