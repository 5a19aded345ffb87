#include "benchmark/classifier_parts.h"
#include "core/file.h"
#include "core/h5.h"
#include "core/json.h"
#include "core/logistic.h"
#include "data/hash.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FORMAT = 1 };

static ae_status out_of_memory(void) {
    return AE_FAIL(AE_ERR_RESOURCE, "classifier: out of memory");
}

ae_status ae_classifier_new(ae_classifier **out, int bits) {
    ae_classifier *c = *out = calloc(1, sizeof *c);
    if (!c) return out_of_memory();
    c->bits = bits;
    c->weights = calloc(((size_t)1 << bits) + 1, sizeof *c->weights);
    if (c->weights && ae_features_init(&c->features, bits) == AE_OK) return AE_OK;
    ae_classifier_free(c);
    *out = NULL;
    return out_of_memory();
}

void ae_classifier_free(ae_classifier *c) {
    if (!c) return;
    ae_features_free(&c->features);
    json_decref(c->about);
    free(c->weights);
    free(c);
}

double ae_classifier_margin(const ae_classifier *c) {
    const ae_features *f = &c->features;
    double sum = (double)c->weights[(size_t)1 << c->bits];
    for (size_t i = 0; i < f->n; i++) sum += (double)c->weights[f->places[i]] * (double)f->x[i];
    return sum;
}

double ae_classifier_probability(ae_classifier *c, const char *text) {
    return ae_features_of(&c->features, text) == AE_OK ? ae_sigmoid(ae_classifier_margin(c)) : (double)NAN;
}

const ae_classifier_figures *ae_classifier_heldout(const ae_classifier *c) {
    return c->heldout.n > 0 ? &c->heldout : NULL;
}

const json_t *ae_classifier_about(const ae_classifier *c) {
    return c->about;
}

/* ---- the file ---- */

static int64_t weights_shape(const ae_classifier *c) {
    return ((int64_t)1 << c->bits) + 1;
}

static void hash_of(const ae_classifier *c, char hash[17]) {
    const uint64_t h = ae_fnv(AE_FNV_START, c->weights, (size_t)weights_shape(c) * sizeof *c->weights);
    snprintf(hash, 17, "%016llx", (unsigned long long)h);
}

static ae_status write_parts(const ae_classifier *c, const char *about, const char *path) {
    const int64_t shape = weights_shape(c);
    hid_t file;
    ae_status st = ae_h5_create(&file, path);
    if (st != AE_OK) return st;
    st = ae_h5_write(file, path, "weights", H5T_NATIVE_FLOAT, 1, &shape, c->weights);
    if (st == AE_OK) st = ae_h5_set_attr_int(file, path, "classifier_format", FORMAT);
    if (st == AE_OK) st = ae_h5_set_attr_text(file, path, "about", about);
    const ae_status closed = ae_h5_close(file, path);
    return st == AE_OK ? closed : st;
}

ae_status ae_classifier_write(const ae_classifier *c, const char *path) {
    char hash[17], *aside = ae_path_beside(path, ".part"), *text = NULL;
    hash_of(c, hash);
    ae_status st = ae_parent_make(path);
    if (st == AE_OK && (!aside || json_object_set_new(c->about, "weights", json_string(hash)) != 0))
        st = out_of_memory();
    if (st == AE_OK && !(text = json_dumps(c->about, JSON_COMPACT))) st = out_of_memory();
    if (st == AE_OK) st = write_parts(c, text, aside);
    if (st == AE_OK) st = ae_path_sync(aside);
    if (st == AE_OK) st = ae_path_rename(aside, path);
    if (st != AE_OK && aside) (void)unlink(aside);
    free(text);
    free(aside);
    return st;
}

static ae_status read_format(hid_t file, const char *path) {
    int64_t format = 0;
    if (!ae_h5_has_attr(file, "classifier_format"))
        return AE_FAIL(AE_ERR_INPUT,
                       "%s: expected a classifier of `aerie eval classifier train`, found another HDF5 file",
                       path);
    const ae_status st = ae_h5_attr_int(file, path, "classifier_format", &format);
    if (st != AE_OK || format == FORMAT) return st;
    return AE_FAIL(AE_ERR_INPUT, "%s: classifier_format: expected %d, found %lld; train it again", path,
                   FORMAT, (long long)format);
}

static ae_status read_bits(hid_t file, const char *path, int *bits) {
    int64_t n = 0;
    const ae_status st = ae_h5_length(file, path, "weights", &n);
    if (st != AE_OK) return st;
    for (*bits = AE_CLASSIFIER_BITS_MIN; *bits <= AE_CLASSIFIER_BITS_MAX; ++*bits)
        if (((int64_t)1 << *bits) + 1 == n) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT, "%s: weights: expected a power of 2, and 1, found %lld", path, (long long)n);
}

static ae_status read_about(ae_classifier *c, hid_t file, const char *path) {
    char *text = NULL, hash[17];
    ae_status st = ae_h5_attr_text(file, path, "about", &text);
    if (st == AE_OK) st = ae_json_parse(&c->about, text, strlen(text), path);
    free(text);
    if (st != AE_OK) return st;
    hash_of(c, hash);
    const char *told = json_string_value(json_object_get(c->about, "weights"));
    if (told && strcmp(told, hash) == 0) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT,
                   "%s: weights: expected those with the hash %s, found %s: the file is damaged", path,
                   told ? told : "(none)", hash);
}

static ae_status read_parts(ae_classifier **out, hid_t file, const char *path) {
    int bits = 0;
    ae_status st;
    AE_TRY(read_format(file, path));
    AE_TRY(read_bits(file, path, &bits));
    AE_TRY(ae_classifier_new(out, bits));
    const int64_t shape = weights_shape(*out);
    AE_TRY(ae_h5_read(file, path, "weights", H5T_NATIVE_FLOAT, 1, &shape, (*out)->weights));
    st = read_about(*out, file, path);
out:
    return st;
}

ae_status ae_classifier_read(ae_classifier **out, const char *path) {
    hid_t file;
    *out = NULL;
    ae_status st = ae_h5_open(&file, path);
    if (st != AE_OK) return st;
    st = read_parts(out, file, path);
    const ae_status closed = ae_h5_close(file, path);
    if (st == AE_OK) st = closed;
    if (st == AE_OK) return AE_OK;
    ae_classifier_free(*out);
    *out = NULL;
    return st;
}
