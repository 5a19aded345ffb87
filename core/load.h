#ifndef AE_CORE_LOAD_H
#define AE_CORE_LOAD_H
#include <stdbool.h>

/* Time that the cores of this machine have spent, in seconds of one core: on anything (a neighbour's that a virtual
 * machine waits for among it), and on this process. */
typedef struct {
    double busy, all, own;
} ae_load;

/* False where nobody says. */
bool ae_load_read(ae_load *now);
/* The first line of /proc/stat; `ticks` a second. */
bool ae_load_parse(ae_load *now, const char *line, double ticks);
/* The part of all cores' time between two readings that others took, 0 to 1. */
double ae_load_others(const ae_load *before, const ae_load *after);

#endif
