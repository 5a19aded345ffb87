#ifndef AE_TESTS_RLHF_ENUMERATED_H
#define AE_TESTS_RLHF_ENUMERATED_H
#include "core/rng.h"
#include "rlhf/method.h"

#include <complex.h>

/* Policies small enough to enumerate: answers of up to three tokens over four letters and an end, cut off
 * after three letters. A policy is a table of logits, five at each of the 21 prefixes that are not whole
 * answers; these logits are its parameters. So every expectation is a sum over answers or tuples of answers,
 * and every objective a function that takes complex logits, whose gradient is a complex step. */

enum {
    LETTERS = 4,
    END = LETTERS,
    VOCAB = LETTERS + 1,
    LONGEST = 3,
    PREFIXES = 1 + LETTERS + LETTERS * LETTERS,
    PARAMS = PREFIXES * VOCAB,
    ANSWERS = PREFIXES + LETTERS * LETTERS * LETTERS, /* with an end, and cut off */
    MOST = 2048                                       /* answers of a batch */
};

typedef double complex number;
typedef number logits[PREFIXES][VOCAB];

typedef struct {
    int n, tokens[LONGEST], prefixes[LONGEST];
    bool truncated;
} enumerated_answer;

/* All of them. enumerate() fills them once. */
extern enumerated_answer answers[ANSWERS];
void enumerate(void);

/* What logits give. */
typedef struct {
    number logp[PREFIXES][VOCAB];
    number p[ANSWERS], s[ANSWERS]; /* probability of an answer, and its logarithm */
    number reach[PREFIXES];        /* the chance that an answer passes there */
} law;
void law_of(law *l, logits z);

/* Per answer and token, as a method sees it. */
typedef float seen_by_token[ANSWERS][LONGEST];

typedef struct {
    logits policy, other[3];  /* other: indexed as below */
    law now, law_of_other[3]; /* of these */
    double reward[ANSWERS];   /* multiples of a half, with ties */
    double value[PREFIXES];   /* of a critic */
    seen_by_token now_seen, other_seen[3], kl_seen[3], value_seen;
} world;
enum { REFERENCE, ANCHOR, TEACHER };

/* Random laws near each other, and rewards; values 0. */
void world_init(world *w, uint64_t seed);
/* After logits or values changed. */
void world_refresh(world *w);

double expected_reward(const world *w, const law *l);
/* KL(l || m) of whole answers, and of the tokens after a prefix. */
number divergence(const law *l, const law *m);
number divergence_at(const law *l, const law *m, int prefix);

/* The answers of a step. */
typedef struct {
    const ae_rl_method *method;
    const ae_rl_keys *keys;
    int n, prompts;
    ae_rl_writer writer[MOST];
    int prompt[MOST];
    double memory[AE_RL_MEMORY]; /* as it stands before each step */
} step_plan;
void plan_init(step_plan *p, const ae_rl_method *method, const ae_rl_keys *keys, int prompts);

/* Gradients with respect to what methods see, of answers and tokens added up. */
typedef struct {
    double ds[ANSWERS][LONGEST], dk[ANSWERS][LONGEST], dv[ANSWERS][LONGEST];
    double loss;
} effect;

/* Runs the method on the drawn answers and adds `weight` times the gradients of the first `count`. */
void add_effect(const world *w, const step_plan *p, const int *drawn, double weight, int count, effect *e);
/* The same for every tuple of answers in the first `count` places, weighed by its probability; the answers
 * behind them stay as they are drawn. */
void add_expectation(const world *w, const step_plan *p, int *drawn, int count, effect *e);
/* An answer of its writer's law for each place. */
void draw(const world *w, const step_plan *p, ae_rng *rng, int *drawn);

/* From gradients with respect to s_t and K_t to those with respect to the policy's logits. */
void chain(const world *w, const step_plan *p, const effect *e, double gradient[PARAMS]);

typedef number (*objective)(const world *w, const law *l, const ae_rl_keys *k);
/* By complex step at the policy's logits. */
void objective_gradient(const world *w, objective f, const ae_rl_keys *k, double gradient[PARAMS]);

#endif
