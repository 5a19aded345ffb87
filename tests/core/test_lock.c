#include "core/lock.h"
#include "tests/core/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(lock, .init = scratch_make, .fini = scratch_remove);

/* Taken instead of the library's: a file system without them says so by one of several numbers. */
static int no_flock;

int flock(int fd, int operation) {
    if (no_flock == 0) return (int)syscall(SYS_flock, fd, operation);
    errno = no_flock;
    return -1;
}

static ae_lock_state lock_again(const char *path) {
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    const ae_lock_state state = ae_lock_file(fd);
    close(fd);
    return state;
}

static void expect_exclusive(void) {
    const char *path = scratch_write("file", "x", 1);
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    cr_assert_eq(ae_lock_file(fd), AE_LOCK_HELD);
    cr_assert_eq(ae_lock_file(fd), AE_LOCK_HELD, "of the same descriptor");
    cr_assert_eq(lock_again(path), AE_LOCK_BUSY);
    cr_assert_eq(lock_again(path), AE_LOCK_BUSY, "closing another descriptor gives nothing up");
    close(fd);
    cr_assert_eq(lock_again(path), AE_LOCK_HELD);
}

Test(lock, one_has_a_file) {
    expect_exclusive();
}

Test(lock, one_has_it_where_there_is_no_flock) {
    static const int numbers[] = {ENOLCK, ENOSYS, EOPNOTSUPP, EINVAL, EBADF};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        no_flock = numbers[i];
        expect_exclusive();
    }
}

Test(lock, none_is_told) {
    no_flock = ENOLCK;
    const int fd =
        open(scratch_write("file", "x", 1), O_RDONLY | O_CLOEXEC); /* a lock of records wants to write */
    cr_assert_eq(ae_lock_file(fd), AE_LOCK_NONE);
    close(fd);
}

Test(lock, one_has_a_folder_and_another_is_refused) {
    int lock = 0, second = 0;
    cr_assert_eq(ae_folder_lock(&lock, scratch_folder), AE_OK);
    cr_assert_gt(lock, 2);
    cr_assert_eq(ae_folder_lock(&second, scratch_folder), AE_ERR_USAGE);
    cr_assert_eq(second, 0);
    cr_assert_message("another process is writing there");
    close(lock);
    cr_assert_eq(ae_folder_lock(&second, scratch_folder), AE_OK);
    close(second);
    no_flock = ENOLCK;
    cr_assert_eq(ae_folder_lock(&lock, scratch_folder), AE_OK, "where there are none, none is in the way");
    close(lock);
}
