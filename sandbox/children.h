#ifndef AE_SANDBOX_CHILDREN_H
#define AE_SANDBOX_CHILDREN_H
#include <stdlib.h>
#include <sys/types.h>

/* The next process of a file `children` of /proc, "12 345 ", which *at moves behind. 0: none is left, or one whose end
 * was not read, as the text was longer than its buffer: a part of its number would be that of another process. */
static inline pid_t ae_children_next(const char **at) {
    char *end;
    const long pid = strtol(*at, &end, 10);
    if (end == *at || *end != ' ') return 0;
    *at = end;
    return (pid_t)pid;
}

#endif
