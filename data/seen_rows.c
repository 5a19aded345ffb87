#include "data/seen_rows.h"

#include "data/hash.h"

#include <stdlib.h>
#include <string.h>

static ae_seen_row *slot_of(const ae_seen_rows *s, uint64_t hash) {
    size_t i = (size_t)hash & (s->room - 1);
    while (s->slots[i].hash && s->slots[i].hash != hash) i = (i + 1) & (s->room - 1);
    return &s->slots[i];
}

static ae_status grow(ae_seen_rows *s) {
    ae_seen_rows grown = {.room = s->room ? 2 * s->room : 1024, .n = s->n};
    grown.slots = calloc(grown.room, sizeof *grown.slots);
    if (!grown.slots) return AE_FAIL(AE_ERR_RESOURCE, "rows: out of memory for %zu", s->n);
    for (size_t i = 0; i < s->room; i++)
        if (s->slots[i].hash) *slot_of(&grown, s->slots[i].hash) = s->slots[i];
    free(s->slots);
    *s = grown;
    return AE_OK;
}

static uint64_t mix_ids(uint64_t h, const ae_ids *ids) {
    h = ae_hash_mix(h, (uint64_t)ids->n);
    for (ptrdiff_t i = 0; i < ids->n; i++) h = ae_hash_mix(h, (uint64_t)ids->ids[i]);
    return h;
}

/* Of all that training sees of a row. */
static uint64_t hash_of(const ae_example *e) {
    uint64_t h = mix_ids(mix_ids(mix_ids(AE_FNV_START, &e->tokens), &e->chosen), &e->rejected);
    if (e->mask) h = ae_hash_mix(h, ae_fnv(AE_FNV_START, e->mask, (size_t)e->tokens.n));
    if (e->meta) h = ae_hash_mix(h, ae_fnv(AE_FNV_START, e->meta, strlen(e->meta)));
    if (e->margin != 0) h = ae_hash_mix(h, ae_fnv(AE_FNV_START, &e->margin, sizeof e->margin));
    return h ? h : 1;
}

ae_status ae_seen_rows_find(ae_seen_rows *s, const ae_example *e, size_t file, int64_t line,
                            const ae_seen_row **first) {
    *first = NULL;
    const ae_status st = 2 * (s->n + 1) > s->room ? grow(s) : AE_OK;
    if (st != AE_OK) return st;
    const uint64_t hash = hash_of(e);
    ae_seen_row *slot = slot_of(s, hash);
    if (slot->hash) {
        *first = slot;
        return AE_OK;
    }
    *slot = (ae_seen_row){hash, file, line};
    s->n++;
    return AE_OK;
}

void ae_seen_rows_free(ae_seen_rows *s) {
    free(s->slots);
    *s = (ae_seen_rows){0};
}
