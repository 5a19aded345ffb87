#include "cli/sampling_flags.h"

ae_arg ae_sampling_arg(ae_sampling_flags *flags, int i) {
    ae_arg all[] = {
        {.name = "max-new",
         .type = AE_ARG_INT,
         .to = &flags->max_new,
         .min = 1,
         .max = 1e9,
         .fallback = "256",
         .help = "most new tokens of an answer"},
        {.name = "temperature",
         .type = AE_ARG_REAL,
         .to = &flags->temperature,
         .min = 0,
         .max = 1000,
         .fallback = "0.8",
         .help = "0 is greedy"},
        {.name = "top-k",
         .type = AE_ARG_INT,
         .to = &flags->top_k,
         .min = 0,
         .max = 1e9,
         .fallback = "0",
         .help = "draw from the K most likely tokens; 0: all"},
        {.name = "top-p",
         .type = AE_ARG_REAL,
         .to = &flags->top_p,
         .min = 1e-9,
         .max = 1,
         .fallback = "1",
         .help = "draw from the most likely tokens that reach probability P"},
        {.name = "repetition-penalty",
         .type = AE_ARG_REAL,
         .to = &flags->repetition_penalty,
         .min = 0.01,
         .max = 100,
         .value = "X",
         .fallback = "1",
         .help = "above 1: tokens that have come already are less likely; 1: off"},
        {.name = "seed",
         .type = AE_ARG_INT,
         .to = &flags->seed,
         .fallback = "0",
         .help = "each line or turn draws from a stream of its own under it"},
    };
    all[i].given = &flags->given[i];
    return all[i];
}

void ae_sampling_apply(const ae_sampling_flags *f, bool all, ae_answer_settings *s) {
    if (all || f->given[0]) s->max_new = f->max_new;
    if (all || f->given[1]) s->sampling.temperature = f->temperature;
    if (all || f->given[2]) s->sampling.top_k = f->top_k;
    if (all || f->given[3]) s->sampling.top_p = f->top_p;
    if (all || f->given[4]) s->repetition_penalty = f->repetition_penalty;
    if (all || f->given[5]) s->seed = (uint64_t)f->seed;
}
