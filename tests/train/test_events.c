#include "core/file.h"
#include "tests/train/rig.h"
#include "train/events.h"

#include <string.h>

static train_rig rig;

static void open_it(void) {
    train_rig_open(&rig);
}
static void close_it(void) {
    train_rig_close(&rig);
}
TestSuite(events, .init = open_it, .fini = close_it);

/* RFC 3720, B.4, and the check value of the CRC catalogue. */
Test(events, crc_of_known_bytes) {
    unsigned char bytes[32] = {0};
    cr_assert_eq(ae_crc32c(bytes, 32), 0x8a9136aau);
    memset(bytes, 0xff, 32);
    cr_assert_eq(ae_crc32c(bytes, 32), 0x62a8ab43u);
    for (unsigned i = 0; i < 32; i++) bytes[i] = (unsigned char)i;
    cr_assert_eq(ae_crc32c(bytes, 32), 0x46dd794eu);
    cr_assert_eq(ae_crc32c("123456789", 9), 0xe3069283u);
    cr_assert_eq(ae_crc32c("", 0), 0u);
    cr_assert_eq(ae_crc32c_masked("123456789", 9), ((0xe3069283u >> 15 | 0xe3069283u << 17) + 0xa282ead8u));
}

typedef struct {
    const unsigned char *bytes;
    size_t n;
} record;

/* Record `index` of a file's bytes, its checksums checked. */
static record nth_record(const char *file, size_t n, size_t index) {
    size_t at = 0;
    for (;; index--) {
        uint64_t length;
        uint32_t crc;
        cr_assert_leq(at + 12, n);
        memcpy(&length, file + at, 8);
        memcpy(&crc, file + at + 8, 4);
        cr_assert_eq(crc, ae_crc32c_masked(file + at, 8));
        cr_assert_leq(at + 16 + length, n);
        memcpy(&crc, file + at + 12 + length, 4);
        cr_assert_eq(crc, ae_crc32c_masked(file + at + 12, length));
        if (index == 0) return (record){(const unsigned char *)file + at + 12, length};
        at += 16 + length;
    }
}

static char *read_events(const char *name, size_t *n) {
    char *bytes;
    ASSERT_OK(ae_file_read(train_rig_path(&rig, name), &bytes, n));
    return bytes;
}

/* Event of step 300 with one scalar "a/b" 1.5 at time 2.5, as its protobuf schema encodes it. */
Test(events, bytes_of_a_scalar) {
    static const unsigned char expected[] = {0x09, 0,    0,    0,    0,    0,    0,    0x04, 0x40,
                                             0x10, 0xac, 0x02, 0x2a, 0x0c, 0x0a, 0x0a, 0x0a, 0x03,
                                             'a',  '/',  'b',  0x15, 0,    0,    0xc0, 0x3f};
    const ae_numbers numbers = {.items = &(ae_number){"b", 1.5}, .n = 1};
    ae_events e;
    size_t n;
    ASSERT_OK(ae_events_open(&e, rig.folder, NULL, 0));
    ASSERT_OK(ae_events_scalars(&e, 300, 2.5, "a", &numbers));
    ASSERT_OK(ae_events_sync(&e));
    char *bytes = read_events(ae_events_name(&e), &n);
    cr_assert_eq(n, (size_t)e.offset);
    record version = nth_record(bytes, n, 0), scalar = nth_record(bytes, n, 1);
    cr_assert_eq(memcmp(version.bytes + version.n - 13, "brain.Event:2", 13), 0);
    cr_assert_eq(scalar.n, sizeof expected);
    cr_assert_eq(memcmp(scalar.bytes, expected, scalar.n), 0);
    free(bytes);
    ae_events_close(&e);
}

Test(events, goes_on_at_the_offset_of_a_checkpoint) {
    const ae_numbers numbers = {.items = &(ae_number){"x", 1}, .n = 1};
    ae_events e;
    size_t n;
    char name[256];
    ASSERT_OK(ae_events_open(&e, rig.folder, NULL, 0));
    ASSERT_OK(ae_events_scalars(&e, 1, 0, "train", &numbers));
    int64_t offset = e.offset;
    ASSERT_OK(ae_events_scalars(&e, 2, 0, "train", &numbers));
    snprintf(name, sizeof name, "%s", ae_events_name(&e));
    ae_events_close(&e);
    ASSERT_OK(ae_events_open(&e, rig.folder, name, offset));
    ASSERT_OK(ae_events_scalars(&e, 3, 0, "train", &numbers));
    ae_events_close(&e);
    char *bytes = read_events(name, &n);
    cr_assert_eq(nth_record(bytes, n, 1).bytes[10], 1);
    record last = nth_record(bytes, n, 2);
    cr_assert_eq(last.bytes[10], 3, "step 2 is gone");
    cr_assert_eq((size_t)((const char *)last.bytes - bytes) + last.n + 4, n);
    free(bytes);
}

/* As many numbers as an objective likes. */
Test(events, an_event_has_no_limit) {
    enum { N = 1000 };
    static char names[N][64];
    ae_numbers numbers = {0};
    ae_events e;
    size_t n;
    for (int i = 0; i < N; i++) {
        snprintf(names[i], sizeof names[i], "by_source/number_%d", i);
        ae_numbers_add(&numbers, names[i], i);
    }
    ASSERT_OK(ae_events_open(&e, rig.folder, NULL, 0));
    ASSERT_OK(ae_events_scalars(&e, 1, 0, "reward", &numbers));
    char *bytes = read_events(ae_events_name(&e), &n);
    const record all = nth_record(bytes, n, 1);
    cr_assert_gt(all.n, 30000);
    const float last = N - 1;
    cr_assert_eq(memcmp(all.bytes + all.n - sizeof last, &last, sizeof last), 0);
    free(bytes);
    ae_events_close(&e);
    ae_numbers_free(&numbers);
}
