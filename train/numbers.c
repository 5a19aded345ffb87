#include "train/numbers.h"

#include "core/json.h"

#include <stdlib.h>
#include <string.h>

void ae_numbers_add(ae_numbers *l, const char *name, double value) {
    if (l->n == l->capacity) {
        const size_t capacity = l->capacity ? 2 * l->capacity : 8;
        ae_number *grown = realloc(l->items, capacity * sizeof *grown);
        l->failed |= grown == NULL;
        if (!grown) return;
        l->items = grown;
        l->capacity = capacity;
    }
    l->items[l->n++] = (ae_number){name, value};
}

bool ae_numbers_find(const ae_numbers *l, const char *name, double *value) {
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->items[i].name, name) == 0) {
            *value = l->items[i].value;
            return true;
        }
    return false;
}

ae_status ae_numbers_to_json(const ae_numbers *l, json_t *object) {
    bool whole = !l->failed;
    for (size_t i = 0; i < l->n && whole; i++)
        whole = json_object_set_new(object, l->items[i].name, ae_json_number(l->items[i].value)) == 0;
    return whole ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "metrics: out of memory");
}

void ae_numbers_clear(ae_numbers *l) {
    l->n = 0;
    l->failed = false;
}

void ae_numbers_free(ae_numbers *l) {
    free(l->items);
    *l = (ae_numbers){0};
}
