#include "core/file.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { BLOCK_BYTES = 1 << 20 };

bool ae_path_exists(const char *path) {
    struct stat s;
    return stat(path, &s) == 0;
}

bool ae_path_is_folder(const char *path) {
    struct stat s;
    return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

bool ae_path_same(const char *a, const char *b) {
    char *real_a = realpath(a, NULL), *real_b = realpath(b, NULL);
    const bool same = real_a && real_b && strcmp(real_a, real_b) == 0;
    free(real_a);
    free(real_b);
    return same;
}

int64_t ae_file_size(const char *path) {
    struct stat s;
    return stat(path, &s) == 0 && S_ISREG(s.st_mode) ? s.st_size : -1;
}

char *ae_path_join(const char *folder, const char *name) {
    size_t n = strlen(folder), bytes = n + strlen(name) + 2;
    const char *slash = n > 0 && folder[n - 1] != '/' ? "/" : "";
    char *path = malloc(bytes);
    if (path == NULL) abort();
    snprintf(path, bytes, "%s%s%s", folder, slash, name);
    return path;
}

/* A name that is shortened is one byte shorter than can be, so it is never the path itself. */
char *ae_path_beside(const char *path, const char *ending) {
    const size_t last = (size_t)(ae_path_last(path) - path), n = strlen(path),
                 room = NAME_MAX - strlen(ending);
    const size_t kept = n - last > room ? last + room - 1 : n;
    char *beside = malloc(kept + strlen(ending) + 1);
    if (beside != NULL) sprintf(beside, "%.*s%s", (int)kept, path, ending);
    return beside;
}

char *ae_path_pattern(const char *folder, const char *pattern) {
    char *escaped = malloc(2 * strlen(folder) + 1), *to = escaped;
    if (!escaped) abort();
    for (const char *c = folder; *c; c++) {
        if (strchr("*?[\\", *c)) *to++ = '\\';
        *to++ = *c;
    }
    *to = '\0';
    char *all = ae_path_join(escaped, pattern);
    free(escaped);
    return all;
}

bool ae_path_has(const char *folder, const char *name) {
    char *path = ae_path_join(folder, name);
    const bool there = ae_path_exists(path);
    free(path);
    return there;
}

const char *ae_path_last(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL && slash[1] != '\0' ? slash + 1 : path;
}

ae_status ae_output_failed(const char *path) {
    int error = errno;
    switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return AE_FAIL(AE_ERR_RESOURCE, "%s: no space left on the disk; free some or choose another place",
                       path);
    case ENOMEM:
    case EMFILE:
    case ENFILE:
    case EIO:
        return AE_FAIL(AE_ERR_RESOURCE, "%s: writing failed: %s", path, strerror(error));
    default:
        return AE_FAIL(AE_ERR_USAGE, "%s: expected a place that can be written, found: %s", path,
                       strerror(error));
    }
}

static ae_status input_failed(const char *path) {
    int error = errno;
    if (error == ENOENT) return AE_FAIL(AE_ERR_INPUT, "%s: expected a file, found nothing there", path);
    if (error == EISDIR) return AE_FAIL(AE_ERR_INPUT, "%s: expected a file, found a folder", path);
    if (error == ENOMEM) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
    return AE_FAIL(AE_ERR_INPUT, "%s: expected a readable file, found: %s", path, strerror(error));
}

ae_status ae_path_follow(char **real, const char *path) {
    struct stat s;
    const bool is_link = lstat(path, &s) == 0 && S_ISLNK(s.st_mode);
    *real = is_link ? realpath(path, NULL) : strdup(path);
    if (*real != NULL) return AE_OK;
    if (!is_link || errno == ENOMEM) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
    return AE_FAIL(AE_ERR_USAGE, "%s: a link that leads nowhere; remove it, or name the place itself", path);
}

/* What stands before the last slash; NULL without one. The caller frees it. */
static char *parent_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : NULL;
}

static ae_status sync_parent(const char *path) {
    if (strchr(path, '/') == NULL) return ae_path_sync(".");
    char *folder = parent_of(path);
    if (folder == NULL) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
    ae_status st = ae_path_sync(folder);
    free(folder);
    return st;
}

/* Where the parent may not be read, making it was still right. */
static ae_status make_one_folder(const char *path) {
    if (mkdir(path, 0777) == 0) {
        (void)sync_parent(path);
        return AE_OK;
    }
    const int error = errno;
    if (ae_path_is_folder(path)) return AE_OK;
    errno = error;
    if (errno == EEXIST || errno == ENOTDIR) {
        return AE_FAIL(AE_ERR_USAGE, "%s: expected a folder, found a file in the way", path);
    }
    return ae_output_failed(path);
}

ae_status ae_folder_make(const char *path) {
    char *copy = strdup(path);
    if (copy == NULL) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
    ae_status st =
        path[0] != '\0' ? AE_OK : AE_FAIL(AE_ERR_USAGE, "expected the name of a folder, found \"\"");
    for (char *c = copy + 1; st == AE_OK && path[0] != '\0' && *c != '\0'; c++) {
        if (*c != '/') continue;
        *c = '\0';
        st = make_one_folder(copy);
        *c = '/';
    }
    if (st == AE_OK) st = make_one_folder(copy);
    free(copy);
    return st;
}

ae_status ae_parent_make(const char *path) {
    if (strchr(path, '/') == NULL) return AE_OK;
    char *folder = parent_of(path);
    if (folder == NULL) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
    const ae_status st = ae_folder_make(folder);
    free(folder);
    return st;
}

/* By a folder that goes at once: some file systems give a right to write that they do not honour. */
static ae_status try_to_write(const char *place) {
    char *name = ae_path_join(place, ".aerie-XXXXXX");
    ae_status st = name != NULL ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", place);
    if (st == AE_OK && mkdtemp(name) == NULL) {
        st = ae_output_failed(place);
    } else if (st == AE_OK) {
        rmdir(name);
    }
    free(name);
    return st;
}

/* The nearest folder on the way that exists decides. */
ae_status ae_folder_check(const char *path) {
    char *at = strdup(path);
    while (at != NULL && !ae_path_exists(at) && strchr(at, '/') != NULL && strcmp(at, "/") != 0) {
        char *parent = parent_of(at);
        free(at);
        at = parent;
    }
    if (at == NULL) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
    const char *place = ae_path_exists(at) ? at : ".";
    ae_status st = AE_OK;
    if (!ae_path_is_folder(place)) {
        st = AE_FAIL(AE_ERR_USAGE, "%s: expected a folder, found a file in the way", place);
    } else if (access(place, W_OK | X_OK) != 0) {
        st = ae_output_failed(place);
    } else if (!ae_path_exists(path)) {
        st = try_to_write(place);
    }
    free(at);
    return st;
}

static int remove_entry(const char *path, const struct stat *s, int type, struct FTW *walk) {
    (void)s;
    (void)type;
    (void)walk;
    return remove(path);
}

static int remove_below(const char *path, const struct stat *s, int type, struct FTW *walk) {
    return walk->level > 0 ? remove_entry(path, s, type, walk) : 0;
}

ae_status ae_folder_empty(const char *path) {
    if (nftw(path, remove_below, 32, FTW_DEPTH | FTW_PHYS) == 0) return AE_OK;
    return AE_FAIL(AE_ERR_USAGE, "%s: cannot be emptied: %s", path, strerror(errno));
}

ae_status ae_folder_remove(const char *path) {
    struct stat s;
    if (lstat(path, &s) != 0 && errno == ENOENT) return AE_OK;
    if (nftw(path, remove_entry, 32, FTW_DEPTH | FTW_PHYS) == 0) return AE_OK;
    return AE_FAIL(AE_ERR_USAGE, "%s: cannot be removed: %s", path, strerror(errno));
}

/* Reads to the end whatever stat says: sizes of pipes and of /proc are not known before. */
static ae_status read_all(int fd, const char *path, char **bytes, size_t *n, size_t expected) {
    size_t capacity = expected + 1;
    for (;;) {
        char *grown = realloc(*bytes, capacity + 1);
        if (grown == NULL) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory for %zu bytes", path, capacity);
        *bytes = grown;
        while (*n < capacity) {
            ssize_t got = read(fd, *bytes + *n, capacity - *n);
            if (got < 0 && errno == EINTR) continue;
            if (got < 0) return input_failed(path);
            if (got == 0) {
                (*bytes)[*n] = '\0';
                return AE_OK;
            }
            *n += (size_t)got;
        }
        capacity = 2 * capacity + BLOCK_BYTES;
    }
}

ae_status ae_file_read(const char *path, char **bytes, size_t *n) {
    *bytes = NULL;
    *n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return input_failed(path);
    int64_t size = ae_file_size(path);
    ae_status st = read_all(fd, path, bytes, n, size > 0 ? (size_t)size : 0);
    close(fd);
    if (st != AE_OK) {
        free(*bytes);
        *bytes = NULL;
    }
    return st;
}

static ae_status write_all(int fd, const char *path, const char *bytes, size_t n) {
    while (n > 0) {
        ssize_t put = write(fd, bytes, n);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return ae_output_failed(path);
        bytes += put;
        n -= (size_t)put;
    }
    return AE_OK;
}

static ae_status sync_fd(int fd, const char *path) {
    if (fsync(fd) == 0 || errno == EINVAL || errno == EROFS)
        return AE_OK; /* what cannot be synced needs none */
    return ae_output_failed(path);
}

ae_status ae_path_sync(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return ae_output_failed(path);
    ae_status st = sync_fd(fd, path);
    close(fd);
    return st;
}

ae_status ae_path_rename(const char *from, const char *to) {
    if (rename(from, to) != 0) return ae_output_failed(to);
    return sync_parent(to);
}

ae_status ae_path_rename_new(const char *from, const char *to) {
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) return sync_parent(to);
    if (errno == EINVAL && !ae_path_exists(to)) return ae_path_rename(from, to); /* not on this file system */
    if (errno != EEXIST && errno != EINVAL) return ae_output_failed(to);
    return AE_FAIL(AE_ERR_USAGE, "%s: has appeared meanwhile, and stays; what was written is whole in %s", to,
                   from);
}

static ae_status write_and_close(int fd, const char *path, const void *bytes, size_t n) {
    ae_status st = write_all(fd, path, bytes, n);
    if (st == AE_OK) st = sync_fd(fd, path);
    if (close(fd) != 0 && st == AE_OK) st = ae_output_failed(path);
    return st;
}

static ae_status write_aside(const char *path, const void *bytes, size_t n) {
    static atomic_uint serial;
    char ending[64];
    snprintf(ending, sizeof ending, ".%ld-%u.part", (long)getpid(), atomic_fetch_add(&serial, 1));
    char *aside = ae_path_beside(path, ending);
    if (aside == NULL) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
    int fd = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    ae_status st = fd >= 0 ? write_and_close(fd, path, bytes, n) : ae_output_failed(path);
    if (st == AE_OK) st = ae_path_rename(aside, path);
    if (st != AE_OK && fd >= 0) unlink(aside);
    free(aside);
    return st;
}

/* A link stays one: what it leads to is replaced. */
static ae_status replace_file(const char *path, const void *bytes, size_t n) {
    char *real;
    ae_status st = ae_path_follow(&real, path);
    if (st == AE_OK) st = write_aside(real, bytes, n);
    free(real);
    return st;
}

ae_status ae_file_write(const char *path, const void *bytes, size_t n) {
    struct stat s;
    if (stat(path, &s) != 0 || S_ISREG(s.st_mode)) return replace_file(path, bytes, n);
    if (S_ISDIR(s.st_mode))
        return AE_FAIL(AE_ERR_USAGE, "%s: expected a file to write, found a folder", path);
    int fd = open(path, O_WRONLY | O_CLOEXEC); /* a pipe or a device cannot be replaced */
    if (fd < 0) return ae_output_failed(path);
    return write_and_close(fd, path, bytes, n);
}

ae_status ae_file_crc32(const char *path, uint32_t *crc, int64_t *n) {
    *crc = 0;
    *n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return input_failed(path);
    unsigned char *block = malloc(BLOCK_BYTES);
    ae_status st = block != NULL ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
    uLong sum = crc32_z(0, NULL, 0);
    while (st == AE_OK) {
        ssize_t got = read(fd, block, BLOCK_BYTES);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) st = input_failed(path);
        if (got <= 0) break;
        sum = crc32_z(sum, block, (size_t)got);
        *n += got;
    }
    *crc = (uint32_t)sum;
    free(block);
    close(fd);
    return st;
}

void ae_file_uncache(const char *path) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
}
