#ifndef AE_CLI_RUN_STAGE_H
#define AE_CLI_RUN_STAGE_H
#include <stdint.h>

/* What a run is a stage of, as its config.yaml says. */

typedef enum { AE_STAGE_PRETRAIN, AE_STAGE_SFT, AE_STAGE_REWARD, AE_STAGE_RLHF } ae_stage_kind;

typedef struct {
    ae_stage_kind kind;
    char method[32]; /* of rlhf: "grpo"; else "" */
    int64_t seed;
    char *others; /* owned: all keys but those of section run, as one text; NULL: not known */
} ae_run_stage;

/* The seed that RUN/asked.json of best_of_n tells, which has no config.yaml; 0: none. */
int64_t ae_asked_seed(const char *run);
/* A configuration that is missing or cannot be read tells nothing: pretraining, seed 0. */
void ae_run_stage_read(ae_run_stage *s, const char *run);
void ae_run_stage_free(ae_run_stage *s);
/* "pretraining", "rlhf: grpo" into out[64]. */
void ae_run_stage_title(char *out, const ae_run_stage *s);

#endif
