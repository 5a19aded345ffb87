#ifndef AE_CLI_SAMPLING_FLAGS_H
#define AE_CLI_SAMPLING_FLAGS_H
#include "cli/args.h"
#include "eval/generator.h"

/* The flags of verbs that draw answers: --max-new, --temperature, --top-k, --top-p, --repetition-penalty,
 * --seed. */
typedef struct {
    int64_t max_new, top_k, seed;
    double temperature, top_p, repetition_penalty;
    bool given[6]; /* which of them the command line has, in the order above */
} ae_sampling_flags;
#define AE_SAMPLING_FLAGS                                                                                    \
    ((ae_sampling_flags){.max_new = 256, .temperature = 0.8, .top_p = 1, .repetition_penalty = 1})

/* Flag i of them; all of them, for a table. */
ae_arg ae_sampling_arg(ae_sampling_flags *flags, int i);
#define AE_SAMPLING_ARGS(flags)                                                                              \
    ae_sampling_arg(flags, 0), ae_sampling_arg(flags, 1), ae_sampling_arg(flags, 2),                         \
        ae_sampling_arg(flags, 3), ae_sampling_arg(flags, 4), ae_sampling_arg(flags, 5)

/* What the flags say over the settings: all of it, or what `given` says. */
void ae_sampling_apply(const ae_sampling_flags *flags, bool all, ae_answer_settings *settings);

#endif
