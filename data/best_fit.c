#include "data/best_fit.h"

ptrdiff_t ae_best_fit(ptrdiff_t *room, ptrdiff_t *rows, ptrdiff_t n, ptrdiff_t T) {
    ptrdiff_t best = *rows;
    for (ptrdiff_t r = 0; r < *rows; r++)
        if (room[r] >= n && (best == *rows || room[r] < room[best])) best = r;
    if (best == *rows) room[(*rows)++] = T;
    room[best] -= n;
    return best;
}
