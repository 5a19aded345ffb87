#include "sandbox/watch.h"

#include "sandbox/children.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { MOST_PROCESSES = 1024, LINE = 8192 };

typedef struct {
    pid_t pids[MOST_PROCESSES];
    int n;
} family;

/* "" where the file cannot be read. */
static void read_text(const char *path, char *text, size_t room) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t n = fd >= 0 ? read(fd, text, room - 1) : 0;
    if (fd >= 0) close(fd);
    text[n > 0 ? n : 0] = '\0';
}

static double resident_bytes(pid_t pid) {
    char path[64], text[256];
    double pages = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    read_text(path, text, sizeof text);
    return sscanf(text, "%*s %lf", &pages) == 1 ? pages * (double)sysconf(_SC_PAGESIZE) : 0;
}

static void add_children_of_thread(family *f, pid_t pid, const char *thread) {
    char path[320], text[LINE];
    snprintf(path, sizeof path, "/proc/%d/task/%s/children", (int)pid, thread);
    read_text(path, text, sizeof text);
    const char *at = text;
    for (pid_t child; f->n < MOST_PROCESSES && (child = ae_children_next(&at)) > 0;) f->pids[f->n++] = child;
}

static void add_children(family *f, pid_t pid) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *threads = opendir(path);
    if (!threads) return;
    for (struct dirent *e; (e = readdir(threads));)
        if (e->d_name[0] != '.') add_children_of_thread(f, pid, e->d_name);
    closedir(threads);
}

double ae_watch_memory_bytes(pid_t root, bool with_root) {
    family f = {.pids = {root}, .n = 1};
    double sum = 0;
    for (int i = 0; i < f.n; i++) {
        if (i > 0 || with_root) sum += resident_bytes(f.pids[i]);
        add_children(&f, f.pids[i]);
    }
    return sum;
}

int64_t ae_watch_files(pid_t process) {
    char path[64];
    struct stat ours, theirs;
    struct statvfs s;
    snprintf(path, sizeof path, "/proc/%d/root/tmp", (int)process);
    if (stat("/tmp", &ours) != 0 || stat(path, &theirs) != 0 || ours.st_dev == theirs.st_dev) return 0;
    return statvfs(path, &s) == 0 ? (int64_t)(s.f_files - s.f_ffree) : 0;
}
