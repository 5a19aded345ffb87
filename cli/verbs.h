#ifndef AE_CLI_VERBS_H
#define AE_CLI_VERBS_H
#include "core/status.h"

/* One function a verb. argv[0] is the verb's name. The status is the exit code; the message of a failure is
 * the one kept by AE_FAIL, and main prints it. Results go to stdout or a file, everything for people to
 * stderr. */
typedef ae_status ae_verb_fn(int argc, char **argv);

ae_verb_fn ae_verb_tokenizer, ae_verb_data, ae_verb_pretrain, ae_verb_sft, ae_verb_reward, ae_verb_rlhf,
    ae_verb_score, ae_verb_generate, ae_verb_chat, ae_verb_plan, ae_verb_bench, ae_verb_plot,
    ae_verb_quantize, ae_verb_export, ae_verb_inspect, ae_verb_merge, ae_verb_judge, ae_verb_tokenizer_trim,
    ae_verb_eval;

#endif
