#ifndef AE_OPS_CPU_FORKS_H
#define AE_OPS_CPU_FORKS_H
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Forks of a row (ops/types.h). `positions` are those of the row, T its tokens. */

static inline bool ae_forks_at(const int32_t *positions, ptrdiff_t t) {
    return t > 0 && positions[t] != 0 && positions[t] != positions[t - 1] + 1;
}

/* The place of the token before that at t; -1: not in the row. */
static inline ptrdiff_t ae_place_before(const int32_t *positions, ptrdiff_t t) {
    if (!ae_forks_at(positions, t)) return t - 1;
    ptrdiff_t begin = t - 1;
    while (begin > 0 && positions[begin] != 0) begin--;
    assert(positions[begin] == 0 && begin + positions[t] < t);
    return begin + positions[t] - 1;
}

/* Where the document that begins at t is forked: the trunk's last place; -1: nowhere. */
static inline ptrdiff_t ae_trunk_end(const int32_t *positions, ptrdiff_t T, ptrdiff_t t) {
    ptrdiff_t end = -1;
    for (ptrdiff_t s = t + 1; s < T && positions[s] != 0; s++) {
        if (!ae_forks_at(positions, s)) continue;
        assert(end < 0 || end == t + positions[s] - 1);
        end = t + positions[s] - 1;
    }
    return end;
}

/* Places [first, last) from a row's start or a fork up to the next fork: each follows the one before it or
 * begins a document. */
typedef struct {
    ptrdiff_t first, last;
    ptrdiff_t before; /* ae_place_before of the first */
} ae_stretch;

/* The one that begins at `first`; an empty one at the row's end. */
static inline ae_stretch ae_stretch_from(const int32_t *positions, ptrdiff_t T, ptrdiff_t first) {
    if (first == T) return (ae_stretch){T, T, -1};
    ae_stretch s = {first, first + 1, ae_place_before(positions, first)};
    while (s.last < T && !ae_forks_at(positions, s.last)) s.last++;
    return s;
}

#endif
