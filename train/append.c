#include "train/append.h"

#include "core/file.h"
#include "core/lock.h"
#include "core/log.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static ae_status take_lock(FILE *file, const char *path) {
    const ae_lock_state state = ae_lock_file(fileno(file));
    if (state == AE_LOCK_NONE)
        ae_warn("%s: this file system has no locks; see to it that no second process writes this run", path);
    if (state != AE_LOCK_BUSY) return AE_OK;
    return AE_FAIL(AE_ERR_USAGE,
                   "%s: another process is writing this run; wait for its end or choose another "
                   "run.dir",
                   path);
}

static ae_status keep_if(ae_status st, FILE **file) {
    if (st == AE_OK) return AE_OK;
    fclose(*file);
    *file = NULL;
    return st;
}

static ae_status open_locked(FILE **file, const char *path, int flags) {
    int fd = open(path, O_WRONLY | O_CLOEXEC | flags, 0666);
    *file = fd >= 0 ? fdopen(fd, "wb") : NULL;
    if (*file) return keep_if(take_lock(*file, path), file);
    ae_status st = ae_output_failed(path);
    if (fd >= 0) close(fd);
    return st;
}

ae_status ae_append_lock(FILE **file, const char *path, bool make) {
    *file = NULL;
    return make || ae_path_exists(path) ? open_locked(file, path, make ? O_CREAT : 0) : AE_OK;
}

ae_status ae_append_open(FILE **file, const char *path, int64_t offset) {
    ae_status st = *file ? AE_OK : ae_append_lock(file, path, true);
    if (st != AE_OK) return st;
    if (ftruncate(fileno(*file), offset) == 0 && fseeko(*file, offset, SEEK_SET) == 0) return AE_OK;
    return keep_if(ae_output_failed(path), file);
}

ae_status ae_append_commit(FILE *file, const char *path, int written, int64_t *offset) {
    if (fflush(file) == 0 && written) {
        *offset = ftello(file);
        return AE_OK;
    }
    ae_status st = ae_output_failed(path);
    if (ftruncate(fileno(file), *offset) == 0) fseeko(file, *offset, SEEK_SET);
    clearerr(file);
    return st;
}

ae_status ae_append_sync(FILE *file, const char *path) {
    if (fflush(file) == 0 && (fsync(fileno(file)) == 0 || errno == EINVAL)) return AE_OK;
    return ae_output_failed(path);
}
