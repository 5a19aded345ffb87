#include "tests/train/at_sync.h"

#include <sys/syscall.h>
#include <unistd.h>

void (*volatile train_rig_at_sync)(void);

int fsync(int file) {
    if (train_rig_at_sync) train_rig_at_sync();
    return (int)syscall(SYS_fsync, file);
}
