#include "core/h5.h"
#include "core/h5_library.h"

#include <stdlib.h>
#include <string.h>

static ae_status open_attr(hid_t *attr, hid_t *type, hid_t file, const char *path, const char *name,
                           H5T_class_t want) {
    *attr = *type = H5I_INVALID_HID;
    if (H5Aexists(file, name) <= 0)
        return AE_FAIL(AE_ERR_INPUT, "%s: attribute %s: expected %s, found none", path, name,
                       ae_h5_class_name(want));
    *attr = H5Aopen(file, name, H5P_DEFAULT);
    if (*attr < 0) return ae_h5_read_failed(path, name);
    *type = H5Aget_type(*attr);
    H5T_class_t found = H5Tget_class(*type);
    hid_t space = H5Aget_space(*attr);
    hssize_t n = H5Sget_simple_extent_npoints(space);
    H5Sclose(space);
    if (found != want) {
        return AE_FAIL(AE_ERR_INPUT, "%s: attribute %s: expected %s, found %s", path, name,
                       ae_h5_class_name(want), ae_h5_class_name(found));
    }
    if (n != 1)
        return AE_FAIL(AE_ERR_INPUT, "%s: attribute %s: expected one value, found %lld", path, name,
                       (long long)n);
    return AE_OK;
}

ae_status ae_h5_attr_int(hid_t file, const char *path, const char *name, int64_t *value) {
    ae_h5_enter();
    hid_t attr, type;
    ae_status st = open_attr(&attr, &type, file, path, name, H5T_INTEGER);
    if (st == AE_OK && H5Aread(attr, H5T_NATIVE_INT64, value) < 0) st = ae_h5_read_failed(path, name);
    H5Tclose(type);
    H5Aclose(attr);
    return ae_h5_leave(st);
}

/* Text of variable length lies in a heap without checksums, in which a flipped bit crashes the library. */
static ae_status read_text(hid_t attr, hid_t type, const char *path, const char *name, char **text) {
    if (H5Tis_variable_str(type) != 0)
        return AE_FAIL(
            AE_ERR_INPUT,
            "%s: attribute %s: expected text of a fixed length, found one of variable length; write "
            "it with a fixed length (h5py: numpy.bytes_(text)) or leave it out",
            path, name);
    *text = calloc(H5Tget_size(type) + 1, 1);
    if (*text == NULL) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
    if (H5Aread(attr, type, *text) >= 0) return AE_OK;
    free(*text);
    *text = NULL;
    return ae_h5_read_failed(path, name);
}

ae_status ae_h5_attr_text(hid_t file, const char *path, const char *name, char **text) {
    ae_h5_enter();
    hid_t attr, type;
    *text = NULL;
    ae_status st = open_attr(&attr, &type, file, path, name, H5T_STRING);
    if (st == AE_OK) st = read_text(attr, type, path, name, text);
    H5Tclose(type);
    H5Aclose(attr);
    return ae_h5_leave(st);
}

static ae_status set_attr(hid_t file, const char *path, const char *name, hid_t type, const void *value) {
    if (H5Aexists(file, name) > 0) H5Adelete(file, name);
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t attr = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    ae_status st = attr >= 0 && H5Awrite(attr, type, value) >= 0 ? AE_OK : ae_h5_write_failed(path, name);
    H5Aclose(attr);
    H5Sclose(space);
    return st;
}

ae_status ae_h5_set_attr_int(hid_t file, const char *path, const char *name, int64_t value) {
    ae_h5_enter();
    return ae_h5_leave(set_attr(file, path, name, H5T_NATIVE_INT64, &value));
}

/* Fixed length: it lies under the checksums of the header, or of the heap of long ones. */
ae_status ae_h5_set_attr_text(hid_t file, const char *path, const char *name, const char *text) {
    ae_h5_enter();
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, strlen(text) + 1);
    H5Tset_cset(type, H5T_CSET_UTF8);
    ae_status st = set_attr(file, path, name, type, text);
    H5Tclose(type);
    return ae_h5_leave(st);
}

bool ae_h5_has_attr(hid_t file, const char *name) {
    ae_h5_enter();
    bool has = H5Aexists(file, name) > 0;
    ae_h5_leave(AE_OK);
    return has;
}
