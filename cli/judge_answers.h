#ifndef AE_CLI_JUDGE_ANSWERS_H
#define AE_CLI_JUDGE_ANSWERS_H
#include "cli/sampling_flags.h"
#include "core/json.h"

#include <stdbool.h>

/* Answers of a model to the prompts of a study. */
typedef struct {
    const char *name, *path, *dtype; /* of the model */
    const ae_sampling_flags *sampling;
    int64_t batch, threads;
    bool plain; /* prompts are gone on with; else they are turns of the user */
    /* Where answers are kept until the study is whole: {"probe"}, then {"answer", "finish"} a line. */
    const char *file;
} ae_judge_asked;

/* Adds an answer to each item, answering what the file has not; answer i draws from stream i however often that was
 * broken off. AE_ERR_USAGE where those in the file are of another model. `about`, the model's entry of study.json, gets
 * its fingerprint and how many answers were cut off. */
ae_status ae_judge_answers_make(const ae_judge_asked *a, const json_t *items, json_t *about);

#endif
