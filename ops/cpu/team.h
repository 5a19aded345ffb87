#ifndef AE_OPS_CPU_TEAM_H
#define AE_OPS_CPU_TEAM_H

/* The threads of a parallel region, for its num_threads(...), and asked for by the thread that opens it: ae_threads(). Denormal numbers
 * are flushed to zero on that thread then, as on those that it starts, if a backend has been made: a thread that was there before it would
 * give other bits. */
int ae_team(void);

/* As ae_threads_start; and denormal numbers are flushed from now on. */
int ae_team_start(int asked);

#endif
