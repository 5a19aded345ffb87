#ifndef AE_CLI_EVAL_JUDGE_H
#define AE_CLI_EVAL_JUDGE_H
#include "core/status.h"

#include <jansson.h>
#include <stddef.h>

/* One classifier of answers, from a file or as a program. */
typedef struct ae_eval_judge ae_eval_judge;

/* `flag` is "toxicity" or "sentiment", `given` its value; values lie between `least` and 1. AE_ERR_INPUT. */
ae_status ae_eval_judge_open(ae_eval_judge **j, const char *flag, const char *given, double least);
void ae_eval_judge_close(ae_eval_judge *j);

ae_status ae_eval_judge_give(ae_eval_judge *j, const char *const *texts, size_t n, double *values);
/* Which one it is; NULL: no memory. */
json_t *ae_eval_judge_facts(const ae_eval_judge *j);
/* The same in words; the caller frees them, NULL: no memory. */
char *ae_eval_judge_words(const ae_eval_judge *j);

#endif
