#include "core/lock.h"

#include "core/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of the open description, as flock is: a record lock of the process would go with any other descriptor of the file. */
static ae_lock_state lock_record(int fd) {
    struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_SETLK, &all) == 0) return AE_LOCK_HELD;
    return errno == EAGAIN || errno == EACCES ? AE_LOCK_BUSY : AE_LOCK_NONE;
}

ae_lock_state ae_lock_file(int fd) {
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) return AE_LOCK_HELD;
    return errno == EWOULDBLOCK ? AE_LOCK_BUSY : lock_record(fd);
}

/* Descriptors 0 to 2 are left alone, so that 0 is none. */
static int open_folder(const char *path) {
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const int high = fd >= 0 && fd < 3 ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : fd;
    if (high != fd) close(fd);
    return high;
}

ae_status ae_folder_lock(int *lock, const char *path) {
    struct stat held, there;
    *lock = 0;
    const int fd = open_folder(path);
    if (fd < 0) return ae_output_failed(path);
    const bool busy = ae_lock_file(fd) == AE_LOCK_BUSY;
    const bool moved = fstat(fd, &held) != 0 || stat(path, &there) != 0 || held.st_ino != there.st_ino;
    if (!busy && !moved) {
        *lock = fd;
        return AE_OK;
    }
    close(fd);
    return AE_FAIL(AE_ERR_USAGE,
                   "%s: another process is writing there; wait for its end, or choose another place", path);
}
