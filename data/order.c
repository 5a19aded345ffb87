#include "data/order.h"

#include "core/json.h"
#include "core/rng.h"

#include <string.h>

/* ---- positions ---- */

static ae_status tell_position(const int64_t *taken, size_t n_sets, char **json) {
    json_t *rows = json_array();
    bool whole = rows != NULL;
    for (size_t i = 0; i < n_sets && whole; i++)
        whole = json_array_append_new(rows, json_integer(taken ? taken[i] : 0)) == 0;
    json_t *root = json_pack("{s:o}", "rows", rows);
    *json = root && whole ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    return *json ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "data position: out of memory");
}

ae_status ae_order_position(const ae_order *o, char **json) {
    return tell_position(o->taken, o->mixture->n_sets, json);
}

ae_status ae_order_beginning(size_t n_sets, char **json) {
    return tell_position(NULL, n_sets, json);
}

static ae_status read_position(ae_order *o, const json_t *rows) {
    const size_t n = o->mixture->n_sets;
    if (json_array_size(rows) != n)
        return AE_FAIL(AE_ERR_INPUT,
                       "data position: expected rows of %zu token sets, found %zu; data.train has changed", n,
                       json_array_size(rows));
    for (size_t i = 0; i < n; i++) {
        const json_t *taken = json_array_get(rows, i);
        o->taken[i] = json_integer_value(taken);
        if (!json_is_integer(taken) || o->taken[i] < 0)
            return AE_FAIL(AE_ERR_INPUT,
                           "data position: expected whole numbers of rows, found something else at %zu", i);
    }
    return AE_OK;
}

ae_status ae_order_begin(ae_order *o, int64_t first_step, const char *position) {
    o->step = first_step;
    memset(o->taken, 0, sizeof o->taken);
    if (!position) {
        ae_mixture_count(o->mixture, first_step, o->per_step, o->taken);
        return AE_OK;
    }
    json_t *root = NULL;
    ae_status st = ae_json_parse(&root, position, strlen(position), "data position");
    if (st == AE_OK) st = read_position(o, json_object_get(root, "rows"));
    json_decref(root);
    return st;
}

/* ---- pieces ---- */

/* The piece that comes after `taken` others of its set. */
static int64_t ordered(const ae_order *o, size_t set, int64_t taken) {
    const int64_t n = o->pieces[set], epoch = taken / n, index = taken % n;
    if (!o->shuffle) return index;
    const uint64_t stream = (uint64_t)set << 40 | (uint64_t)epoch;
    return (int64_t)ae_rng_permute(o->seed, stream, (uint64_t)n, (uint64_t)index);
}

ae_ordered ae_order_next(ae_order *o, ptrdiff_t at) {
    const size_t set = ae_mixture_draw(o->mixture, o->step, (o->step - 1) * o->per_step + at);
    return (ae_ordered){set, ordered(o, set, o->taken[set]++)};
}

void ae_order_end_step(ae_order *o) {
    o->step++;
}
