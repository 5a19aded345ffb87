#include "cli/plot.h"

#include <string.h>

typedef struct {
    const char *name, *words;
} named;

static const named of_engine[] = {{"grad_norm", "gradient norm, before clipping"},
                                  {"lr", "learning rate"},
                                  {"tokens_per_s", "tokens per second"},
                                  {NULL, NULL}};
static const named of_text[] = {{"loss", "loss, nats per token"}, {NULL, NULL}};
static const named of_pairs[] = {{"loss", "loss, nats per pair"},
                                 {"accuracy", "share of pairs that is right"},
                                 {"margin_mean", "reward of the preferred answer less that of the other"},
                                 {"reward_mean", "reward, mean of all answers"},
                                 {"eval_calibration_error", "calibration error"},
                                 {NULL, NULL}};
static const named of_answers[] = {{"reward_mean", "reward, mean of the answers"},
                                   {"reward_std", "reward, standard deviation"},
                                   {"kl", "KL from the reference, nats an answer"},
                                   {"entropy", "entropy, nats a token"},
                                   {"length_mean", "length, tokens an answer"},
                                   {"truncated_fraction", "share of answers that were cut"},
                                   {"dead_groups", "prompts whose answers are all worth the same"},
                                   {"ratio_mean", "probability ratio to the writing policy, mean"},
                                   {"clip_fraction", "share of ratios that were clipped"},
                                   {"beta", "weight of the divergence"},
                                   {"accuracy", "share of pairs that is right"},
                                   {"margin_mean", "margin of the pairs, mean"},
                                   {"chosen_logratio", "log-ratio of chosen answers, nats an answer"},
                                   {"rejected_logratio", "log-ratio of rejected answers, nats an answer"},
                                   {"critic_loss", "loss of the critic"},
                                   {"loss", "loss of the method"},
                                   {"eval_reward", "held-out reward, mean"},
                                   {"eval_reward_std", "held-out reward, standard deviation"},
                                   {"eval_kl", "held-out KL from the reference, nats an answer"},
                                   {NULL, NULL}};

static const char *find(const named *l, const char *name) {
    while (l->name && strcmp(l->name, name) != 0) l++;
    return l->words;
}

const char *ae_plot_words(const char *name, const ae_run_curves *runs) {
    const char *words = find(of_engine, name);
    if (words) return words;
    if (runs[0].stage.kind == AE_STAGE_RLHF) return find(of_answers, name);
    return find(runs[0].stage.kind == AE_STAGE_REWARD || runs[0].calibration.n > 0 ? of_pairs : of_text,
                name);
}
