#ifndef AE_TRAIN_STOP_H
#define AE_TRAIN_STOP_H
#include "core/process.h"

#include <stdatomic.h>
#include <stdbool.h>

/* Signals that ask a run to stop (core/process.h). The first asks: the step is finished and saved. A
 * second SIGINT or SIGTERM ends the process at once. */

/* Not 0 once a signal has asked; every thread may read it. */
const atomic_int *ae_stop_asked(void);
/* Forgets what an earlier run of this process was asked; before any thread of the run starts. */
void ae_stop_reset(void);
/* What is going on, for the line that a signal prints. */
void ae_stop_evaluating(bool is);
/* Signals ask from now on, until ae_stop_signals_restore(before). */
void ae_stop_catch(ae_stop_actions *before);

#endif
