#ifndef AE_CORE_CLOCK_H
#define AE_CORE_CLOCK_H

/* Seconds since some moment before the program began, which only grow: for durations. */
double ae_now_s(void);

#endif
