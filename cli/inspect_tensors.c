#include "cli/inspect.h"
#include "core/file.h"
#include "core/h5.h"
#include "formats/safetensors.h"
#include "formats/tensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *shape_json(int rank, const int64_t *shape) {
    json_t *list = json_array();
    for (int k = 0; k < rank; k++) json_array_append_new(list, json_integer(shape[k]));
    return list;
}

static void add_row(ae_tensor_list *l, const char *tensor, const char *dtype, int rank, const int64_t *shape,
                    int64_t bytes_each, const char *file) {
    int64_t n = 1;
    for (int k = 0; k < rank; k++) n *= shape[k];
    if (!l->rows) l->rows = json_array();
    json_array_append_new(l->rows,
                          json_pack("{s:s, s:s, s:o, s:I, s:I, s:s}", "tensor", tensor, "dtype", dtype,
                                    "shape", shape_json(rank, shape), "elements", (json_int_t)n, "bytes",
                                    (json_int_t)(n * bytes_each), "file", file));
}

/* ---- safetensors ---- */

static ae_status check_data(ae_inspection *i, ae_tensor_list *l, const char *path) {
    ae_tensors *t = NULL;
    bool covered = false;
    if (i->quick) return AE_OK;
    const bool adapter = strcmp(ae_path_last(path), "adapter_model.safetensors") == 0;
    ae_status st = adapter ? ae_tensors_open_adapter(&t, path) : ae_tensors_open(&t, path);
    if (st == AE_OK) st = ae_tensors_check_data(t, &covered);
    ae_tensors_close(t);
    l->read++;
    l->covered += covered;
    return ae_inspect_note(i, st);
}

static ae_status list_safetensors(ae_inspection *i, ae_tensor_list *l, const char *path, const char *name) {
    static const struct {
        const char *name;
        int bytes;
    } types[] = {[AE_FILE_F32] = {"F32", 4},
                 [AE_FILE_BF16] = {"BF16", 2},
                 [AE_FILE_F16] = {"F16", 2},
                 [AE_FILE_I8] = {"I8", 1},
                 [AE_FILE_U8] = {"U8", 1}};
    ae_safetensors f;
    const ae_status st = ae_safetensors_open(&f, path);
    if (st != AE_OK) return st;
    for (size_t k = 0; k < f.n; k++) {
        const ae_safetensor *t = &f.items[k];
        add_row(l, t->name, types[t->dtype].name, t->rank, t->shape, types[t->dtype].bytes, name);
    }
    ae_safetensors_close(&f);
    return check_data(i, l, path);
}

/* ---- HDF5 ---- */

static ae_status list_set(ae_inspection *i, ae_tensor_list *l, hid_t h5, const char *path, const char *set,
                          const char *name) {
    ae_h5_set s;
    char dtype[16];
    const ae_status st = ae_h5_describe(h5, path, set, &s);
    if (st != AE_OK) {
        l->whole = false;
        return ae_inspect_note(i, st);
    }
    snprintf(dtype, sizeof dtype, "%c%zu", s.real ? 'F' : 'I', 8 * s.bytes);
    add_row(l, set, dtype, s.rank, s.shape, (int64_t)s.bytes, name);
    return AE_OK;
}

static ae_status list_h5(ae_inspection *i, ae_tensor_list *l, const char *path, const char *name) {
    hid_t h5 = H5I_INVALID_HID;
    char **sets = NULL;
    size_t n = 0;
    ae_status st;
    AE_TRY(ae_h5_open(&h5, path));
    AE_TRY(ae_h5_names(h5, path, &sets, &n));
    for (size_t k = 0; k < n; k++) AE_TRY(list_set(i, l, h5, path, sets[k], name));
out:
    ae_h5_free_names(sets, n);
    if (h5 >= 0) (void)ae_h5_close(h5, path); /* read only: nothing to lose */
    return st;
}

/* ---- both ---- */

ae_status ae_inspect_list(ae_inspection *i, ae_tensor_list *l, const char *folder, const char *name) {
    char *path = ae_path_join(folder, name);
    ae_status st = ae_file_is_h5(path) ? list_h5(i, l, path, name) : list_safetensors(i, l, path, name);
    if (st != AE_OK) l->whole = false;
    st = ae_inspect_note(i, st);
    free(path);
    return st;
}

static void count(json_t *types, const json_t *row) {
    const char *dtype = json_string_value(json_object_get(row, "dtype"));
    json_t *at = NULL, *known;
    size_t k;
    json_array_foreach(types, k, known) {
        if (strcmp(json_string_value(json_object_get(known, "type")), dtype) == 0) at = known;
    }
    if (!at) {
        at = json_pack("{s:s, s:i, s:i, s:i}", "type", dtype, "tensors", 0, "elements", 0, "bytes", 0);
        json_array_append_new(types, at);
    }
    static const char *const sums[] = {"elements", "bytes"};
    json_t *tensors = json_object_get(at, "tensors");
    json_integer_set(tensors, json_integer_value(tensors) + 1);
    for (k = 0; k < 2; k++) {
        json_t *sum = json_object_get(at, sums[k]);
        json_integer_set(sum, json_integer_value(sum) + json_integer_value(json_object_get(row, sums[k])));
    }
}

void ae_inspect_add_checksum(ae_inspection *i, const ae_tensor_list *l) {
    json_object_set_new(i->facts, "data_checksum",
                        l->read > 0 ? json_boolean(l->covered == l->read) : json_null());
}

void ae_inspect_add_list(ae_inspection *i, ae_tensor_list *l) {
    json_t *types = json_array(), *row;
    size_t k;
    json_array_foreach(l->rows, k, row) {
        count(types, row);
    }
    json_object_set_new(i->facts, "types", types);
    if (i->tensors && l->rows) json_object_set(i->facts, "tensors", l->rows);
    json_decref(l->rows);
    *l = (ae_tensor_list){0};
}

ae_status ae_inspect_tensor_file(ae_inspection *i, const char *path) {
    const char *name = ae_path_last(path);
    char *folder = strndup(path, (size_t)(name - path));
    ae_tensor_list list = {.whole = true};
    ae_status st;
    if (!folder) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
    json_object_set_new(i->facts, "kind", json_string(ae_file_is_h5(path) ? "HDF5 tensors" : "safetensors"));
    AE_TRY(ae_inspect_list(i, &list, folder, name));
    AE_TRY(ae_inspect_file(i, folder, name));
    ae_inspect_add_checksum(i, &list);
out:
    ae_inspect_add_list(i, &list);
    free(folder);
    return st;
}
