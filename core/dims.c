#include "core/dims.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

int ae_int(ptrdiff_t n) {
    if (n < INT_MIN || n > INT_MAX) {
        fprintf(stderr, "aerie: %td does not fit the int of a library\n", n);
        abort();
    }
    return (int)n;
}
