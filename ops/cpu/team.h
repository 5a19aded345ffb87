#ifndef AE_OPS_CPU_TEAM_H
#define AE_OPS_CPU_TEAM_H
#include "ops/types.h"

/* The threads of a parallel region, for its num_threads(...): those of the backend. Asked for by the thread
 * that opens the region; denormal numbers are flushed to zero on it and on those that it starts from then
 * on. */
int ae_team(const ae_backend *be);

#endif
