#ifndef AE_OPS_CPU_TEAM_H
#define AE_OPS_CPU_TEAM_H

#include "ops/types.h"

/* The threads of a parallel region, for its num_threads(...), and asked for by the thread that opens it: those of the backend. Denormal
 * numbers are flushed to zero on that thread then, as on those that it starts, if a backend has been made: a thread that was there before
 * it would give other bits. */
int ae_team(const ae_backend *be);

/* As ae_threads_start; and denormal numbers are flushed from now on. */
int ae_team_start(int asked);

#endif
