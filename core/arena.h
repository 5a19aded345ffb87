#ifndef AE_CORE_ARENA_H
#define AE_CORE_ARENA_H
#include "core/status.h"

#include <stddef.h>

/* Memory that is lent, and how much. */
typedef struct {
    void *at;
    size_t bytes;
} ae_room;

/* One block of memory for one lifetime (parameters, gradients, optimiser, a step's activations). The owner
 * measures first and takes later with the same calls: an arena whose base is NULL only counts.
 *
 *   base |--- taken ---|--- free ---| capacity        `high` is the most that was ever taken
 */
typedef struct {
    char *base;
    size_t used, high, capacity;
} ae_arena;

enum { AE_ARENA_ALIGN = 64 };

/* The next `bytes`, aligned to AE_ARENA_ALIGN; NULL in a counting arena. Overrun aborts: the plan was
 * wrong. */
void *ae_arena_take(ae_arena *a, size_t bytes);
/* The same together with its size. */
ae_room ae_arena_room(ae_arena *a, size_t bytes);
/* Marks, and goes back to a mark: what was taken since is free again. */
size_t ae_arena_mark(const ae_arena *a);
void ae_arena_rewind(ae_arena *a, size_t mark);

#endif
