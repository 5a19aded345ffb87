#include "train/batch_dump.h"

#include "core/h5.h"

static ae_status write_batch(hid_t file, const char *path, const ae_batch *b) {
    ae_status st = AE_OK;
    const int64_t shape[] = {b->B, b->T};
    AE_TRY(ae_h5_write(file, path, "tokens", H5T_NATIVE_INT32, 2, shape, b->tokens));
    AE_TRY(ae_h5_write(file, path, "targets", H5T_NATIVE_INT32, 2, shape, b->targets));
    AE_TRY(ae_h5_write(file, path, "positions", H5T_NATIVE_INT32, 2, shape, b->positions));
    AE_TRY(ae_h5_write(file, path, "weights", H5T_NATIVE_FLOAT, 2, shape, b->weights));
out:
    return st;
}

ae_status ae_batch_dump(const ae_batch *b, const char *path) {
    hid_t file = -1;
    ae_status st = ae_h5_create(&file, path);
    if (st != AE_OK) return st;
    st = write_batch(file, path, b);
    const ae_status closed = ae_h5_close(file, path);
    return st == AE_OK ? closed : st;
}
