#include "train/append.h"

#include "core/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

static ae_status cut(FILE *file, const char *path, int64_t offset) {
    if (flock(fileno(file), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        return AE_FAIL(AE_ERR_USAGE,
                       "%s: another process is writing this run; wait for its end or choose another "
                       "run.dir",
                       path);
    }
    if (ftruncate(fileno(file), offset) == 0 && fseeko(file, offset, SEEK_SET) == 0) return AE_OK;
    return ae_output_failed(path);
}

ae_status ae_append_open(FILE **file, const char *path, int64_t offset) {
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    *file = fd >= 0 ? fdopen(fd, "wb") : NULL;
    if (!*file) {
        ae_status st = ae_output_failed(path);
        if (fd >= 0) close(fd);
        return st;
    }
    ae_status st = cut(*file, path, offset);
    if (st == AE_OK) return AE_OK;
    fclose(*file);
    *file = NULL;
    return st;
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
