#ifndef AE_FORMATS_TENSORS_SET_H
#define AE_FORMATS_TENSORS_SET_H
#include "core/h5.h"
#include "formats/google_names.h"
#include "formats/safetensors.h"
#include "formats/tensors.h"

/* What the files of a set of tensors share among themselves. */

/* Where a tensor of the set lies: in one of the safetensors files, or in the HDF5 file. */
typedef struct {
    char *name;
    const ae_safetensors *file;
    const ae_safetensor *item;
    ae_tensor_layout layout; /* in the file */
    int half;
} ae_located;

struct ae_tensors {
    char *path;
    ae_located *items;
    size_t n;
    ae_safetensors *files;
    size_t n_files;
    hid_t h5;
};

static inline ae_status ae_tensors_out_of_memory(const char *path) {
    return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
}
/* Room for n items, of which there are none yet. */
ae_status ae_tensors_make_items(ae_tensors *t, size_t n);
ae_status ae_tensors_add_item(ae_tensors *t, const char *name, const ae_safetensors *file,
                              const ae_safetensor *item);
void ae_tensors_free_items(ae_located *items, size_t n);

/* Names that others give to the same tensors become those of a whole model of transformers: of wrappers of
 * PyTorch, then of Google's release. */
ae_status ae_tensors_unwrap_names(ae_tensors *t);
/* Of an adapter: only what wrappers have put before all names goes. */
void ae_tensors_unwrap_adapter(ae_tensors *t);
ae_status ae_tensors_rename_google(ae_tensors *t);

#endif
