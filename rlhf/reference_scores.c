#include "rlhf/reference_scores.h"

#include "core/file.h"
#include "core/h5.h"
#include "core/log.h"
#include "data/hash.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char ae_reference_file[] = "reference.h5";
static const char MADE_WITH[] = "reference";

/* ---- parts ---- */

ae_status ae_reference_part_init(ae_reference_part *p, const ae_pair_set *set, const char *role) {
    uint64_t hash = 0;
    const int64_t n = set->count.pairs;
    *p = (ae_reference_part){.set = set};
    const ae_status st = ae_token_set_hash(set->set, &hash);
    if (st != AE_OK) return st;
    for (int64_t i = 0; i < n; i++) hash = ae_hash_mix(hash, (uint64_t)set->usable[i]);
    snprintf(p->name, sizeof p->name, "%s-%016" PRIx64, role, hash);
    p->scores = malloc((size_t)n * sizeof *p->scores);
    if (!p->scores) return AE_FAIL(AE_ERR_RESOURCE, "reference: out of memory");
    for (int64_t i = 0; i < n; i++) p->scores[i] = (ae_pair_scores){(double)NAN, (double)NAN};
    return AE_OK;
}

void ae_reference_part_free(ae_reference_part *p) {
    free(p->scores);
    *p = (ae_reference_part){0};
}

bool ae_reference_is_scored(const ae_reference_part *p, int64_t pair) {
    return !isnan(p->scores[pair].chosen);
}

int64_t ae_reference_missing(const ae_reference_part *p) {
    int64_t missing = 0;
    for (int64_t i = 0; i < p->set->count.pairs; i++) missing += !ae_reference_is_scored(p, i);
    return missing;
}

/* ---- the file ---- */

static ae_status read_part(hid_t file, const char *path, ae_reference_part *p) {
    int64_t n = 0;
    if (!ae_h5_has(file, p->name)) return AE_OK;
    ae_status st = ae_h5_length(file, path, p->name, &n);
    if (st != AE_OK) return st;
    if (n != 2 * p->set->count.pairs)
        return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected %lld numbers, found %lld", path, p->name,
                       (long long)(2 * p->set->count.pairs), (long long)n);
    ae_pair_scores *scores = malloc((size_t)p->set->count.pairs * sizeof *scores);
    st = scores ? ae_h5_read_range(file, path, p->name, H5T_NATIVE_DOUBLE, 0, n, scores)
                : AE_FAIL(AE_ERR_RESOURCE, "reference: out of memory");
    if (st == AE_OK) memcpy(p->scores, scores, (size_t)p->set->count.pairs * sizeof *scores);
    free(scores);
    return st;
}

static ae_status read_parts(hid_t file, const char *path, const char *made_with, ae_reference_part *parts,
                            size_t n) {
    char *found = NULL;
    ae_status st = ae_h5_attr_text(file, path, MADE_WITH, &found);
    const bool same = st == AE_OK && strcmp(found, made_with) == 0;
    for (size_t i = 0; i < n && st == AE_OK && same; i++) st = read_part(file, path, &parts[i]);
    free(found);
    return st;
}

ae_status ae_reference_read(const char *path, const char *made_with, ae_reference_part *parts, size_t n) {
    hid_t file = H5I_INVALID_HID;
    if (!ae_path_exists(path)) return AE_OK;
    ae_status st = ae_h5_open(&file, path);
    if (st == AE_OK) {
        st = read_parts(file, path, made_with, parts, n);
        const ae_status closed = ae_h5_close(file, path);
        st = st == AE_OK ? closed : st;
    }
    if (st != AE_ERR_INPUT) return st;
    ae_warn("%s; the reference scores its pairs again", ae_error_message());
    return AE_OK;
}

static ae_status write_parts(hid_t file, const char *path, const char *made_with,
                             const ae_reference_part *parts, size_t n) {
    enum { CHUNK = 8192 };
    ae_status st = ae_h5_set_attr_text(file, path, MADE_WITH, made_with);
    for (size_t i = 0; i < n && st == AE_OK; i++) {
        st = ae_h5_create_growing(file, path, parts[i].name, H5T_NATIVE_DOUBLE, CHUNK);
        if (st == AE_OK)
            st = ae_h5_append(file, path, parts[i].name, H5T_NATIVE_DOUBLE, 2 * parts[i].set->count.pairs,
                              parts[i].scores);
    }
    return st;
}

ae_status ae_reference_write(const char *path, const char *made_with, const ae_reference_part *parts,
                             size_t n) {
    hid_t file = H5I_INVALID_HID;
    char *aside = ae_path_beside(path, ".partial");
    if (!aside) return AE_FAIL(AE_ERR_RESOURCE, "reference: out of memory");
    ae_status st = ae_h5_create(&file, aside);
    if (st == AE_OK) {
        st = write_parts(file, aside, made_with, parts, n);
        const ae_status closed = ae_h5_close(file, aside);
        st = st == AE_OK ? closed : st;
        if (st == AE_OK) st = ae_path_sync(aside);
        if (st == AE_OK) st = ae_path_rename(aside, path);
        if (st != AE_OK) unlink(aside);
    }
    free(aside);
    return st;
}

/* ---- which reference ---- */

ae_status ae_reference_identity(char out[AE_REFERENCE_IDENTITY_BYTES], const ae_model_source *base,
                                const char *adapter) {
    char fingerprint[AE_FINGERPRINT_BYTES], sample[AE_FINGERPRINT_BYTES], trained[16] = "";
    uint32_t crc = 0;
    int64_t size = 0;
    ae_params params = {0};
    ae_tensors *tensors = NULL;
    ae_status st;
    AE_TRY(ae_params_init(&params, &base->config));
    AE_TRY(ae_tensors_open(&tensors, base->tensors));
    AE_TRY(ae_tensors_fingerprint(&params, tensors, fingerprint));
    AE_TRY(ae_tensors_sample(&params, tensors, sample));
    if (adapter) AE_TRY(ae_file_crc32(adapter, &crc, &size));
    if (adapter) snprintf(trained, sizeof trained, "-%08" PRIx32, crc);
    snprintf(out, AE_REFERENCE_IDENTITY_BYTES, "%s-%s%s", fingerprint, sample, trained);
out:
    ae_tensors_close(tensors);
    ae_params_free(&params);
    return st;
}
