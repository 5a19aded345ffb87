#include "cli/eval_judge.h"

#include "benchmark/classifier.h"
#include "cli/interrupt.h"
#include "core/file.h"
#include "rlhf/rewards.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ae_eval_judge {
    const char *flag, *given;
    const char *command; /* NULL: of the classifier */
    double least;
    ae_classifier *classifier;
    ae_rewards *program;
};

static ae_status out_of_memory(const ae_eval_judge *j) {
    return AE_FAIL(AE_ERR_RESOURCE, "--%s: out of memory", j->flag);
}

static ae_status open_program(ae_eval_judge *j) {
    const ae_rewards_facts facts = {.texts = true, .check = ae_interrupt_check};
    json_t *list = json_pack("[{s:s, s:s}]", "kind", "program", "command", j->command);
    char *text = list ? json_dumps(list, JSON_COMPACT) : NULL;
    ae_status st = text ? ae_rewards_open(&j->program, text, &facts) : out_of_memory(j);
    if (st == AE_OK) st = ae_rewards_start(j->program);
    if (st != AE_OK) ae_fail_prefix("--%s", j->flag);
    json_decref(list);
    free(text);
    return st;
}

ae_status ae_eval_judge_open(ae_eval_judge **out, const char *flag, const char *given, double least) {
    static const char word[] = "program:";
    ae_eval_judge *j = *out = calloc(1, sizeof *j);
    if (!j) return AE_FAIL(AE_ERR_RESOURCE, "--%s: out of memory", flag);
    *j = (ae_eval_judge){.flag = flag, .given = given, .least = least};
    if (strncmp(given, word, strlen(word)) == 0) j->command = given + strlen(word);
    const ae_status st = j->command ? open_program(j) : ae_classifier_read(&j->classifier, given);
    if (st == AE_OK) return AE_OK;
    ae_eval_judge_close(j);
    *out = NULL;
    return st;
}

void ae_eval_judge_close(ae_eval_judge *j) {
    if (!j) return;
    ae_rewards_close(j->program);
    ae_classifier_free(j->classifier);
    free(j);
}

static ae_status check_value(const ae_eval_judge *j, double x) {
    if (x >= j->least && x <= 1) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT, "--%s: %s: expected a reward from %g to 1, found %g", j->flag, j->command,
                   j->least, x);
}

static ae_status ask_program(ae_eval_judge *j, const char *const *texts, size_t n, double *values) {
    ae_rewarded_answer *answers = calloc(n + 1, sizeof *answers);
    ae_reward_of *rewards = calloc(n + 1, sizeof *rewards);
    double *parts = calloc(n + 1, sizeof *parts);
    ae_status st = answers && rewards && parts ? AE_OK : out_of_memory(j);
    for (size_t i = 0; st == AE_OK && i < n; i++) {
        answers[i] = (ae_rewarded_answer){.prompt = "", .answer = texts[i], .answer_bytes = strlen(texts[i])};
        rewards[i].parts = &parts[i];
    }
    if (st == AE_OK) st = ae_rewards_give(j->program, answers, (ptrdiff_t)n, rewards);
    if (st != AE_OK) ae_fail_prefix("--%s", j->flag);
    for (size_t i = 0; st == AE_OK && i < n; i++) {
        values[i] = rewards[i].total;
        st = check_value(j, values[i]);
    }
    free(answers);
    free(rewards);
    free(parts);
    return st;
}

ae_status ae_eval_judge_give(ae_eval_judge *j, const char *const *texts, size_t n, double *values) {
    if (j->program) return ask_program(j, texts, n, values);
    for (size_t i = 0; i < n; i++) {
        const double p = ae_classifier_probability(j->classifier, texts[i]);
        if (isnan(p)) return out_of_memory(j);
        values[i] = j->least + p * (1 - j->least);
    }
    return AE_OK;
}

json_t *ae_eval_judge_facts(const ae_eval_judge *j) {
    if (j->command) return json_pack("{s:s}", "program", j->command);
    return json_pack("{s:s, s:O}", "classifier", j->given, "about", ae_classifier_about(j->classifier));
}

char *ae_eval_judge_words(const ae_eval_judge *j) {
    char *words = NULL;
    if (j->command) return asprintf(&words, "%s: by the program %s", j->flag, j->command) < 0 ? NULL : words;
    const json_t *about = ae_classifier_about(j->classifier), *heldout = json_object_get(about, "heldout");
    const int n = asprintf(
        &words,
        "%s: by the classifier %s, trained on %s; on %lld rows held out of that: accuracy %.3f, area "
        "under ROC %.3f",
        j->flag, j->given, json_string_value(json_object_get(about, "data")),
        (long long)json_integer_value(json_object_get(heldout, "n")),
        json_number_value(json_object_get(heldout, "accuracy")),
        json_number_value(json_object_get(heldout, "auc")));
    return n < 0 ? NULL : words;
}
