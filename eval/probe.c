#include "eval/probe.h"

#include "eval/likelihoods.h"

#include <stdio.h>
#include <string.h>

enum { PROBE_TOKENS = 32 };

static ae_status keep(void *context, ptrdiff_t request, const ae_likelihood *l) {
    (void)request;
    *(double *)context = l->logprob;
    return AE_OK;
}

ae_status ae_model_probe(const ae_model *m, char out[AE_PROBE_BYTES]) {
    int32_t ids[PROBE_TOKENS];
    double logprob = 0;
    uint64_t bits;
    for (uint64_t i = 0; i < PROBE_TOKENS; i++) /* far from each other: Knuth's multiplicative hash */
        ids[i] = (int32_t)((i + 1) * 2654435761u % (uint64_t)m->config.V);
    const ae_likelihood_request r = {ids, 1, ids + 1, PROBE_TOKENS - 1};
    const ae_likelihood_options o = {.batch = 1, .done = keep, .context = &logprob};
    const ae_status st = ae_likelihoods(m, &r, 1, &o, NULL);
    memcpy(&bits, &logprob, sizeof bits);
    snprintf(out, AE_PROBE_BYTES, "%016llx", (unsigned long long)bits);
    return st;
}
