#include "core/file.h"
#include "core/file_kind.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { READ_BYTES = 1 << 18 };

/* buffer |-- returned --| begin -- not yet returned -- end |-- room --| capacity, and one byte more for a NUL */
struct ae_reader {
    gzFile gz; /* zlib reads plain files as they are; NULL where `fd` is read */
    int fd;    /* standard input from a terminal or pipe, plain: lines come as they are written; else -1 */
    char *name, *buffer;
    size_t begin, end, capacity;
    int64_t lines, returned_bytes;
    bool at_end, started;
};

/* Whether what comes through a pipe is gzip: its first two bytes are looked at and stay there. Only zlib reads such a pipe; it waits
 * for whole buffers, which would keep a line from who has written it and waits for the answer. */
static bool pipe_is_gzip(int fd) {
    unsigned char head[2] = {0};
    int copy[2];
    if (pipe(copy) != 0) return false;
    ssize_t n = tee(fd, copy[1], sizeof head, 0);
    if (n > 0) n = read(copy[0], head, sizeof head);
    close(copy[0]);
    close(copy[1]);
    return n == (ssize_t)sizeof head && head[0] == 0x1f && head[1] == 0x8b;
}

static bool stdin_is_interactive(void) {
    struct stat s;
    if (fstat(STDIN_FILENO, &s) != 0) return false;
    return isatty(STDIN_FILENO) || (S_ISFIFO(s.st_mode) && !pipe_is_gzip(STDIN_FILENO));
}

static ae_status open_gz(ae_reader *r, const char *path) {
    bool is_stdin = strcmp(path, "-") == 0;
    struct stat s;
    if (is_stdin && stdin_is_interactive()) {
        r->fd = dup(STDIN_FILENO);
        return r->fd >= 0 ? AE_OK
                          : AE_FAIL(AE_ERR_RESOURCE, "%s: cannot be opened: %s", r->name, strerror(errno));
    }
    if (!is_stdin && stat(path, &s) != 0) {
        return AE_FAIL(AE_ERR_INPUT, "%s: expected a file, found: %s", path, strerror(errno));
    }
    if (!is_stdin && S_ISDIR(s.st_mode))
        return AE_FAIL(AE_ERR_INPUT, "%s: expected a file, found a folder", path);
    int fd = is_stdin ? dup(STDIN_FILENO) : -1;
    errno = 0;
    r->gz = is_stdin ? gzdopen(fd, "rb") : gzopen(path, "rbe");
    if (r->gz == NULL) {
        if (fd >= 0) close(fd);
        return AE_FAIL(errno == 0 ? AE_ERR_RESOURCE : AE_ERR_INPUT, "%s: cannot be opened: %s", r->name,
                       errno == 0 ? "out of memory" : strerror(errno));
    }
    gzbuffer(r->gz, READ_BYTES);
    return AE_OK;
}

ae_status ae_reader_open(ae_reader **reader, const char *path) {
    *reader = NULL;
    ae_reader *r = calloc(1, sizeof *r);
    if (r == NULL) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
    r->fd = -1;
    r->capacity = READ_BYTES;
    r->buffer = malloc(r->capacity + 1);
    r->name = strdup(strcmp(path, "-") == 0 ? "standard input" : path);
    ae_status st = r->buffer != NULL && r->name != NULL ? open_gz(r, path)
                                                        : AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
    if (st != AE_OK) {
        ae_reader_close(r);
        return st;
    }
    *reader = r;
    return AE_OK;
}

static ae_status read_failed(const ae_reader *r) {
    int code = Z_OK;
    const char *text = gzerror(r->gz, &code);
    if (code == Z_ERRNO) return AE_FAIL(AE_ERR_INPUT, "%s: reading failed: %s", r->name, strerror(errno));
    if (code == Z_MEM_ERROR) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", r->name);
    if (code == Z_BUF_ERROR) {
        return AE_FAIL(AE_ERR_INPUT, "%s: expected a whole gzip file, found its end missing; fetch it again",
                       r->name);
    }
    return AE_FAIL(AE_ERR_INPUT, "%s: expected a gzip file, found damaged data (%s)", r->name, text);
}

static ae_status read_plain(ae_reader *r, char *buf, size_t n, size_t *got) {
    ssize_t k = read(r->fd, buf, n);
    *got = k > 0 ? (size_t)k : 0;
    r->at_end = k == 0;
    return k >= 0 ? AE_OK : AE_FAIL(AE_ERR_INPUT, "%s: reading failed: %s", r->name, strerror(errno));
}

/* zlib hands out what it has of a truncated file and tells only afterwards. */
static ae_status read_some(ae_reader *r, char *buf, size_t n, size_t *got) {
    if (r->fd >= 0) return read_plain(r, buf, n, got);
    int code = Z_OK;
    int k = gzread(r->gz, buf, n > READ_BYTES ? READ_BYTES : (unsigned)n);
    *got = k > 0 ? (size_t)k : 0;
    if (k < 0) return read_failed(r);
    if (k > 0) return AE_OK;
    r->at_end = true;
    gzerror(r->gz, &code);
    return code == Z_OK || code == Z_STREAM_END ? AE_OK : read_failed(r);
}

/* Makes room behind the unread bytes, moving them down or growing, and reads into it. */
static ae_status fill(ae_reader *r) {
    if (r->begin > 0) {
        memmove(r->buffer, r->buffer + r->begin, r->end - r->begin);
        r->end -= r->begin;
        r->begin = 0;
    }
    if (r->end == r->capacity) {
        char *grown = realloc(r->buffer, 2 * r->capacity + 1);
        if (grown == NULL) {
            return AE_FAIL(AE_ERR_RESOURCE, "%s:%lld: out of memory for a line of more than %zu bytes",
                           r->name, (long long)r->lines + 1, r->capacity);
        }
        r->buffer = grown;
        r->capacity *= 2;
    }
    size_t got;
    ae_status st = read_some(r, r->buffer + r->end, r->capacity - r->end, &got);
    r->end += got;
    return st;
}

/* A byte order mark, as Windows tools write it, is no part of the text. Only as much is read as could still be one: a line that is shorter is
 * handed out as it comes. */
static ae_status start(ae_reader *r) {
    static const char mark[] = "\xef\xbb\xbf";
    const size_t n = sizeof mark - 1;
    ae_status st = AE_OK;
    if (r->started) return AE_OK;
    r->started = true;
    while (st == AE_OK && !r->at_end && r->end < n && memcmp(r->buffer, mark, r->end) == 0) st = fill(r);
    if (st != AE_OK) return st;
    if (r->end >= n && memcmp(r->buffer, mark, n) == 0) {
        r->begin = n;
        r->returned_bytes = (int64_t)n;
    }
    const ae_file_kind *kind = ae_bytes_kind(r->buffer + r->begin, r->end - r->begin);
    if (kind == NULL) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT, "%s: expected text, found %s; %s", r->name, kind->name, kind->hint);
}

ae_status ae_reader_peek(ae_reader *r, size_t wanted, const char **bytes, size_t *n) {
    ae_status st = start(r);
    while (st == AE_OK && !r->at_end && r->end - r->begin < wanted) st = fill(r);
    *bytes = r->buffer + r->begin;
    *n = r->end - r->begin < wanted ? r->end - r->begin : wanted;
    return st;
}

static void take_line(ae_reader *r, size_t length, bool ended, char **line, size_t *n) {
    char *text = r->buffer + r->begin;
    size_t taken = ended ? length + 1 : length;
    r->begin += taken;
    r->returned_bytes += (int64_t)taken;
    r->lines++;
    if (ended && length > 0 && text[length - 1] == '\r') length--;
    text[length] = '\0';
    *line = text;
    *n = length;
}

ae_status ae_reader_line(ae_reader *r, char **line, size_t *n) {
    size_t seen = 0;
    *line = NULL;
    *n = 0;
    ae_status st = start(r);
    if (st != AE_OK) return st;
    for (;;) {
        size_t have = r->end - r->begin;
        char *start = r->buffer + r->begin;
        char *end = have > seen ? memchr(start + seen, '\n', have - seen) : NULL;
        if (end != NULL) {
            take_line(r, (size_t)(end - start), true, line, n);
            return AE_OK;
        }
        if (r->at_end) {
            if (have > 0) take_line(r, have, false, line, n);
            return AE_OK;
        }
        seen = have;
        st = fill(r);
        if (st != AE_OK) return st;
    }
}

ae_status ae_reader_read(ae_reader *r, void *buf, size_t n, size_t *got) {
    *got = 0;
    ae_status st = start(r);
    if (st != AE_OK) return st;
    size_t have = r->end - r->begin;
    *got = have < n ? have : n;
    memcpy(buf, r->buffer + r->begin, *got);
    r->begin += *got;
    while (st == AE_OK && *got < n && !r->at_end) {
        size_t more = 0;
        st = read_some(r, (char *)buf + *got, n - *got, &more);
        *got += more;
    }
    r->returned_bytes += (int64_t)*got;
    return st;
}

int64_t ae_reader_line_number(const ae_reader *r) {
    return r->lines;
}

int64_t ae_reader_offset(const ae_reader *r) {
    return r->fd >= 0 || gzdirect(r->gz) ? r->returned_bytes : (int64_t)gzoffset(r->gz);
}

const char *ae_reader_name(const ae_reader *r) {
    return r->name;
}

void ae_reader_close(ae_reader *r) {
    if (r == NULL) return;
    if (r->gz != NULL) gzclose_r(r->gz);
    if (r->fd >= 0) close(r->fd);
    free(r->name);
    free(r->buffer);
    free(r);
}
