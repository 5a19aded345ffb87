#include "train/events.h"

#include "core/clock.h"
#include "core/file.h"
#include "train/append.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- CRC-32C (Castagnoli), reflected polynomial, by bytes ---- */

static const uint32_t POLYNOMIAL = 0x82f63b78u, MASK_DELTA = 0xa282ead8u;

uint32_t ae_crc32c(const void *bytes, size_t n) {
    const unsigned char *p = bytes;
    uint32_t crc = ~0u;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (POLYNOMIAL & (0u - (crc & 1u)));
    }
    return ~crc;
}

uint32_t ae_crc32c_masked(const void *bytes, size_t n) {
    uint32_t crc = ae_crc32c(bytes, n);
    return (crc >> 15 | crc << 17) + MASK_DELTA;
}

/* ---- protobuf ---- */

typedef struct {
    unsigned char *bytes; /* owned */
    size_t n, capacity;
    bool failed; /* no memory for all of it */
} message;

enum { VARINT = 0, FIXED64 = 1, LENGTH = 2, FIXED32 = 5 };

static void put_bytes(message *m, const void *bytes, size_t n) {
    if (n == 0) return; /* from no memory at all */
    if (m->n + n > m->capacity) {
        const size_t capacity = 2 * (m->n + n);
        unsigned char *grown = realloc(m->bytes, capacity);
        m->failed |= grown == NULL;
        if (!grown) return;
        m->bytes = grown;
        m->capacity = capacity;
    }
    memcpy(m->bytes + m->n, bytes, n);
    m->n += n;
}

static void put_varint(message *m, uint64_t x) {
    unsigned char byte;
    do {
        byte = (unsigned char)((x & 0x7f) | (x > 0x7f ? 0x80 : 0));
        put_bytes(m, &byte, 1);
        x >>= 7;
    } while (x);
}

static void put_key(message *m, unsigned field, unsigned wire) {
    put_varint(m, field << 3 | wire);
}

static void put_block(message *m, unsigned field, const void *bytes, size_t n) {
    put_key(m, field, LENGTH);
    put_varint(m, n);
    put_bytes(m, bytes, n);
}

/* Event {double wall_time = 1; int64 step = 2; string file_version = 3; Summary summary = 5}. x86 is
 * little-endian, as the wire. */
static void start_event(message *m, int64_t step, double wall_time) {
    *m = (message){0};
    put_key(m, 1, FIXED64);
    put_bytes(m, &wall_time, sizeof wall_time);
    put_key(m, 2, VARINT);
    put_varint(m, (uint64_t)step);
}

/* Summary {repeated Value value = 1}, Value {string tag = 1; float simple_value = 2}. */
static void put_scalar(message *summary, const char *group, const char *name, double x) {
    message value = {0}, tag = {0};
    float simple = (float)x;
    put_bytes(&tag, group, strlen(group));
    put_bytes(&tag, "/", 1);
    put_bytes(&tag, name, strlen(name));
    put_block(&value, 1, tag.bytes, tag.n);
    put_key(&value, 2, FIXED32);
    put_bytes(&value, &simple, sizeof simple);
    put_block(summary, 1, value.bytes, value.n);
    summary->failed |= value.failed | tag.failed;
    free(value.bytes);
    free(tag.bytes);
}

/* ---- the file ---- */

/* Frees the message. */
static ae_status write_record(ae_events *e, message *m) {
    if (m->failed) {
        free(m->bytes);
        return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", e->path);
    }
    uint64_t length = m->n;
    uint32_t length_crc = ae_crc32c_masked(&length, sizeof length), crc = ae_crc32c_masked(m->bytes, m->n);
    int written = fwrite(&length, sizeof length, 1, e->file) == 1 &&
                  fwrite(&length_crc, sizeof length_crc, 1, e->file) == 1 &&
                  fwrite(m->bytes, m->n, 1, e->file) == 1 && fwrite(&crc, sizeof crc, 1, e->file) == 1;
    free(m->bytes);
    return ae_append_commit(e->file, e->path, written, &e->offset);
}

static ae_status write_version(ae_events *e) {
    static const char version[] = "brain.Event:2";
    message m;
    start_event(&m, 0, (double)time(NULL));
    put_block(&m, 3, version, strlen(version));
    return write_record(e, &m);
}

static void new_name(char *name, size_t n) {
    char host[128] = "host";
    gethostname(host, sizeof host - 1);
    snprintf(name, n, "events.out.tfevents.%010lld.%s", (long long)time(NULL), host);
}

ae_status ae_events_open(ae_events *e, const char *folder, const char *name, int64_t offset) {
    char fresh[256];
    *e = (ae_events){0};
    if (name) {
        e->path = ae_path_join(folder, name);
        if (ae_file_size(e->path) >= offset) e->offset = offset;
    }
    if (e->offset == 0) {
        new_name(fresh, sizeof fresh);
        free(e->path);
        e->path = ae_path_join(folder, fresh);
    }
    ae_status st = ae_append_open(&e->file, e->path, e->offset);
    const bool is_new = st == AE_OK && e->offset == 0;
    if (is_new) st = write_version(e);
    if (is_new && st != AE_OK) remove(e->path);
    if (st != AE_OK) ae_events_close(e);
    return st;
}

ae_status ae_events_scalars(ae_events *e, int64_t step, double wall_time, const char *group,
                            const ae_numbers *numbers) {
    message event, summary = {0};
    for (size_t i = 0; i < numbers->n; i++)
        put_scalar(&summary, group, numbers->items[i].name, numbers->items[i].value);
    start_event(&event, step, wall_time);
    put_block(&event, 5, summary.bytes, summary.n);
    event.failed |= summary.failed | numbers->failed;
    free(summary.bytes);
    return write_record(e, &event);
}

ae_status ae_events_evaluation(ae_events *e, int64_t step, const ae_numbers *numbers) {
    static const char prefix[] = "eval_";
    ae_numbers shown = {.failed = numbers->failed};
    for (size_t i = 0; i < numbers->n; i++) {
        const ae_number *x = &numbers->items[i];
        const bool repeats = strncmp(x->name, prefix, sizeof prefix - 1) == 0;
        if (i == 0 || isfinite(x->value))
            ae_numbers_add(&shown, x->name + (repeats ? sizeof prefix - 1 : 0), x->value);
    }
    const ae_status st = ae_events_scalars(e, step, ae_wall_s(), "eval", &shown);
    ae_numbers_free(&shown);
    return st;
}

ae_status ae_events_sync(ae_events *e) {
    return ae_append_sync(e->file, e->path);
}

const char *ae_events_name(const ae_events *e) {
    return strrchr(e->path, '/') + 1;
}

void ae_events_close(ae_events *e) {
    if (e->file) fclose(e->file);
    free(e->path);
    *e = (ae_events){0};
}
