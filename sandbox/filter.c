#include "sandbox/filter.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* Names, not numbers: a call that this libseccomp does not know yet cannot be refused, and is passed over. */
static const char *const refused[] = {
    /* other processes */
    "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp", "pidfd_getfd",
    /* mounts, namespaces, files by handle */
    "mount", "umount", "umount2", "mount_setattr", "move_mount", "open_tree", "fsopen", "fsconfig", "fsmount",
    "fspick", "pivot_root", "chroot", "unshare", "setns", "name_to_handle_at", "open_by_handle_at",
    "fanotify_init", "quotactl", "quotactl_fd", "mknod", "mknodat",
    /* parts of the kernel that have been a way in */
    "keyctl", "add_key", "request_key", "bpf", "perf_event_open", "io_uring_setup", "io_uring_enter",
    "io_uring_register", "userfaultfd", "modify_ldt", "lookup_dcookie", "vmsplice", "personality",
    /* the machine */
    "init_module", "finit_module", "delete_module", "create_module", "kexec_load", "kexec_file_load",
    "reboot", "swapon", "swapoff", "acct", "syslog", "iopl", "ioperm", "settimeofday", "clock_settime",
    "clock_settime64", "clock_adjtime", "clock_adjtime64", "adjtimex", "stime", "sethostname",
    "setdomainname", "vhangup", "nfsservctl", "uselib", "ustat", "sysfs", "_sysctl", "move_pages",
    "migrate_pages", "mbind", "set_mempolicy",
    /* talking to others; a socket of some families leaves the network namespace */
    "socket",
    /* memory that belongs to no process, which nobody counts */
    "shmget", "shmat", "msgget", "semget", "mq_open", "memfd_create", "memfd_secret"};

enum {
    NAMESPACES = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |
                 CLONE_NEWNET
};

/* An argument of a call may have its upper half set, which the kernel does not look at. */
static int refuse_ioctl(scmp_filter_ctx filter, unsigned long request) {
    return seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
                            SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffffU, request));
}

static int refuse_namespaces(scmp_filter_ctx filter) {
    int error = 0;
    for (unsigned bit = 1; bit != 0 && error == 0; bit <<= 1)
        if ((unsigned)NAMESPACES & bit)
            error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                                     SCMP_A0(SCMP_CMP_MASKED_EQ, bit, bit));
    return error;
}

static int add_rules(scmp_filter_ctx filter) {
    int error = 0;
    for (size_t i = 0; i < sizeof refused / sizeof *refused && error == 0; i++) {
        const int call = seccomp_syscall_resolve_name(refused[i]);
        if (call >= 0) error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), call, 0);
    }
    if (error == 0) error = refuse_namespaces(filter);
    if (error == 0) error = refuse_ioctl(filter, TIOCSTI);
    if (error == 0) error = refuse_ioctl(filter, TIOCLINUX);
    if (error == 0) error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    return error;
}

ae_status ae_filter_open(int *fd) {
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    int error = filter ? add_rules(filter) : -ENOMEM;
    *fd = -1;
    if (error == 0) *fd = memfd_create("filter", MFD_CLOEXEC);
    if (error == 0 && *fd < 0) error = -errno;
    if (error == 0) error = seccomp_export_bpf(filter, *fd);
    if (error == 0 && lseek(*fd, 0, SEEK_SET) != 0) error = -errno;
    seccomp_release(filter);
    if (error == 0) return AE_OK;
    if (*fd >= 0) close(*fd);
    *fd = -1;
    return AE_FAIL(AE_ERR_RESOURCE, "sandbox: the filter of system calls cannot be made: %s",
                   strerror(-error));
}
