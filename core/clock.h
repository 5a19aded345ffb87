#ifndef AE_CORE_CLOCK_H
#define AE_CORE_CLOCK_H

/* Seconds since some moment before the program began, which only grow: for durations. */
double ae_now_s(void);
/* Seconds since 1970: for what people read. */
double ae_wall_s(void);

#endif
