#ifndef AE_DATA_SEEN_ROWS_H
#define AE_DATA_SEEN_ROWS_H
#include "data/example.h"

/* Rows that came before: a hash table over all that training sees of a row. Two rows of equal hashes (64 bits)
 * are taken to be alike. */
typedef struct {
    uint64_t hash; /* 0: free */
    size_t file;   /* where the row was seen first; the caller's own numbers */
    int64_t line;
} ae_seen_row;

typedef struct {
    ae_seen_row *slots; /* a power of two, at most half of it taken */
    size_t n, room;
} ae_seen_rows;

/* *first is the row like this one that came before, valid until the next call; else NULL, and this one is
 * noted. */
ae_status ae_seen_rows_find(ae_seen_rows *s, const ae_example *e, size_t file, int64_t line,
                            const ae_seen_row **first);
void ae_seen_rows_free(ae_seen_rows *s);

#endif
