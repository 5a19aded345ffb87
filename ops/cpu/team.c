#include "ops/cpu/team.h"

#include "core/threads.h"
#include "ops/backend.h"

#include <immintrin.h>
#include <stdatomic.h>
#include <stdbool.h>

static atomic_bool flushing;
static _Thread_local bool flushed;

/* Denormal numbers cost a hundred cycles each (a saturated softmax is full of them) and mean nothing here: every thread takes and gives 0
 * instead. Threads made later inherit the mode. */
static void flush(void) {
    enum { FLUSH_RESULTS = 0x8000, FLUSH_INPUTS = 0x0040 };
    _mm_setcsr(_mm_getcsr() | FLUSH_RESULTS | FLUSH_INPUTS);
    flushed = true;
}

int ae_team(const ae_backend *be) {
    if (!flushed && atomic_load_explicit(&flushing, memory_order_relaxed)) flush();
    return be->threads;
}

int ae_team_start(int asked) {
    const int threads = ae_threads_start(asked);
    atomic_store(&flushing, true);
#pragma omp parallel num_threads(threads)
    flush();
    return threads;
}
