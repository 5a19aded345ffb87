#include "ops/cpu/team.h"

#include "ops/backend.h"

#include <immintrin.h>

static _Thread_local int flushed; /* so many threads of a team of this one's */

/* Denormal numbers cost a hundred cycles each (a saturated softmax is full of them) and mean nothing here: every thread takes and gives 0
 * instead. Threads made later inherit the mode. */
static void flush(void) {
    enum { FLUSH_RESULTS = 0x8000, FLUSH_INPUTS = 0x0040 };
    _mm_setcsr(_mm_getcsr() | FLUSH_RESULTS | FLUSH_INPUTS);
}

static void flush_team(int threads) {
    flush();
#pragma omp parallel num_threads(threads)
    flush();
    flushed = threads;
}

int ae_team(const ae_backend *be) {
    if (flushed < be->threads) flush_team(be->threads);
    return be->threads;
}
