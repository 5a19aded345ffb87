#include "core/h5.h"
#include "data/token_set.h"
#include "tests/data/sets.h"

TestSuite(token_set, .init = scratch_make, .fini = scratch_remove);

static void check_contents(const plain_set *p, ae_token_set *s) {
    static int32_t ids[SET_TOKENS];
    static uint8_t mask[SET_TOKENS];
    cr_assert_eq(ae_token_set_tokens(s), p->n);
    cr_assert_eq(ae_token_set_documents(s), p->documents);
    cr_assert_eq(ae_token_set_vocab_size(s), p->vocab_size);
    cr_assert_eq(ae_token_set_has_mask(s), p->has_mask);
    int64_t at = 0;
    for (int64_t d = 0; d < p->documents; d++) {
        cr_assert_eq(ae_token_set_doc_starts(s)[d], at);
        cr_assert_eq(ae_token_set_doc_bytes(s)[d], 3 * p->lengths[d]);
        at += p->lengths[d];
    }
    cr_assert_eq(ae_token_set_doc_starts(s)[p->documents], p->n);
    for (int64_t first = 0; first < p->n; first += 97) {
        const int64_t n = p->n - first < 130 ? p->n - first : 130;
        cr_assert_eq(ae_token_set_read(s, first, n, ids, mask), AE_OK, "%s", ae_error_message());
        cr_assert_arr_eq(ids, p->ids + first, (size_t)n * sizeof *ids);
        cr_assert_arr_eq(mask, p->mask + first, (size_t)n);
    }
    cr_assert_eq(ae_token_set_read(s, p->n - 1, 2, ids, mask), AE_ERR_INPUT);
}

Test(token_set, what_is_written_comes_back) {
    static plain_set p;
    for (int k = 0; k < 4; k++) {
        set_random(&p, 3 + (uint64_t)k, 150, 25, k % 2);
        if (k >= 2) p.vocab_size = 256000;
        if (k >= 2) p.ids[5] = 255999;
        ae_token_set *s = set_make(&p, "a.h5");
        check_contents(&p, s);
        size_t n = 1;
        cr_assert_null(ae_token_set_tokenizer(s, &n));
        cr_assert_eq(n, 0);
        cr_assert_str_eq(ae_token_set_manifest(s), "{}");
        ae_token_set_close(s);
    }
}

Test(token_set, parts_and_many_chunks) {
    enum { N = 50000 };
    int32_t *ids = malloc(N * sizeof *ids), *back = malloc(N * sizeof *back);
    for (int i = 0; i < N; i++) ids[i] = (i * 7919) % 65536;
    ae_token_writer *w = NULL;
    const ae_token_set_info info = {
        .vocab_size = 65536, .has_mask = true, .tokenizer = "abc", .tokenizer_bytes = 3};
    const char *path = scratch_path("parts.h5");
    cr_assert_eq(ae_token_writer_open(&w, path, &info), AE_OK);
    for (int at = 0; at < N; at += 1000) cr_assert_eq(ae_token_writer_part(w, ids + at, NULL, 1000), AE_OK);
    cr_assert_eq(ae_token_writer_tokens(w), N);
    cr_assert_eq(ae_token_writer_documents(w), 0);
    cr_assert_eq(ae_token_writer_end_document(w, 12345), AE_OK);
    cr_assert_eq(ae_token_writer_documents(w), 1);
    cr_assert_not(ae_path_exists(path));
    cr_assert_eq(ae_token_writer_finish(w, NULL), AE_OK, "%s", ae_error_message());
    ae_token_set *s = set_open(path);
    cr_assert_eq(ae_token_set_read(s, 0, N, back, NULL), AE_OK, "%s", ae_error_message());
    cr_assert_arr_eq(back, ids, N * sizeof *ids);
    cr_assert_eq(ae_token_set_doc_bytes(s)[0], 12345);
    size_t n = 0;
    cr_assert_arr_eq(ae_token_set_tokenizer(s, &n), "abc", 3);
    cr_assert_eq(n, 3);
    cr_assert_str_eq(ae_token_set_manifest(s), "");
    ae_token_set_close(s);
    free(ids);
    free(back);
}

Test(token_set, an_abandoned_file_is_gone) {
    const ae_token_set_info info = {.vocab_size = 10};
    const int32_t ids[] = {1, 2};
    ae_token_writer *w = NULL;
    cr_assert_eq(ae_token_writer_open(&w, scratch_path("x.h5"), &info), AE_OK);
    cr_assert_eq(ae_token_writer_add(w, ids, NULL, 2, 2), AE_OK);
    ae_token_writer_abandon(w);
    ae_token_writer_abandon(NULL);
    cr_assert_eq(rmdir(scratch_folder), 0, "something is left in the folder");
    cr_assert_eq(ae_folder_make(scratch_folder), AE_OK);
}

Test(token_set, places_that_cannot_be_written) {
    const ae_token_set_info info = {.vocab_size = 10};
    ae_token_writer *w = NULL;
    cr_assert_eq(ae_token_writer_open(&w, scratch_path("no/such/x.h5"), &info), AE_ERR_USAGE);
    cr_assert_message("no/such/x.h5");
    cr_assert_null(w);
}

static uint64_t hash_of(const plain_set *p, const char *name) {
    ae_token_set *s = set_make(p, name);
    const uint64_t h = set_hash(s);
    cr_assert_eq(h, set_hash(s));
    ae_token_set_close(s);
    return h;
}

Test(token_set, the_hash_is_of_what_training_sees) {
    static plain_set p, q;
    set_random(&p, 8, 50, 20, true);
    const uint64_t h = hash_of(&p, "a.h5");
    cr_assert_eq(h, hash_of(&p, "b.h5"));
    q = p;
    q.ids[p.n / 2] ^= 1;
    cr_assert_neq(h, hash_of(&q, "a.h5"));
    q = p;
    q.mask[p.n / 2] ^= 1;
    cr_assert_neq(h, hash_of(&q, "a.h5"));
    q = p;
    q.lengths[0]++;
    q.lengths[1]--;
    cr_assert_neq(h, hash_of(&q, "a.h5"));
    q = p;
    q.vocab_size++;
    cr_assert_neq(h, hash_of(&q, "a.h5"));
}

/* ---- sets made elsewhere ---- */

enum { FOREIGN = 10 };

typedef struct {
    bool no_vocab, float_tokens, tokens_2d;
    int64_t vocab_size, n_starts, n_mask;
    int64_t starts[4];
    int32_t bad_id;
    uint8_t bad_mask;
} foreign;

static const foreign fine = {.vocab_size = 20, .n_starts = 3, .starts = {0, 4, FOREIGN}};

static const char *make_foreign(foreign f) {
    const char *path = scratch_path("foreign.h5");
    const int64_t n = FOREIGN, two[] = {5, 2};
    int64_t ids[FOREIGN];
    uint8_t mask[FOREIGN + 1] = {0};
    for (int i = 0; i < FOREIGN; i++) ids[i] = i + 1;
    if (f.bad_id) ids[7] = f.bad_id;
    mask[3] = f.bad_mask;
    hid_t h;
    cr_assert_eq(ae_h5_create(&h, path), AE_OK);
    double reals[FOREIGN] = {0};
    const hid_t type = f.float_tokens ? H5T_NATIVE_DOUBLE : H5T_NATIVE_INT64;
    const void *tokens = f.float_tokens ? (const void *)reals : ids;
    cr_assert_eq(ae_h5_write(h, path, "tokens", type, f.tokens_2d ? 2 : 1, f.tokens_2d ? two : &n, tokens),
                 AE_OK);
    if (f.n_starts)
        cr_assert_eq(ae_h5_write(h, path, "doc_starts", H5T_NATIVE_INT64, 1, &f.n_starts, f.starts), AE_OK);
    if (f.n_mask)
        cr_assert_eq(ae_h5_write(h, path, "loss_mask", H5T_NATIVE_UINT8, 1, &f.n_mask, mask), AE_OK);
    if (!f.no_vocab) cr_assert_eq(ae_h5_set_attr_int(h, path, "vocab_size", f.vocab_size), AE_OK);
    cr_assert_eq(ae_h5_close(h, path), AE_OK);
    return path;
}

Test(token_set, three_things_are_enough) {
    ae_token_set *s = set_open(make_foreign(fine));
    int32_t ids[FOREIGN];
    uint8_t mask[FOREIGN];
    cr_assert_eq(ae_token_set_read(s, 0, FOREIGN, ids, mask), AE_OK, "%s", ae_error_message());
    for (int i = 0; i < FOREIGN; i++) cr_assert(ids[i] == i + 1 && mask[i] == 1);
    cr_assert_eq(ae_token_set_documents(s), 2);
    cr_assert_null(ae_token_set_doc_bytes(s));
    cr_assert_str_eq(ae_token_set_manifest(s), "");
    ae_token_set_close(s);
}

/* Opens and reads everything. */
static ae_status open_and_read(const char *path) {
    ae_token_set *s = NULL;
    ae_status st = ae_token_set_open(&s, path);
    if (st != AE_OK) {
        cr_assert_null(s);
        return st;
    }
    const int64_t n = ae_token_set_tokens(s);
    int32_t *ids = malloc((size_t)n * sizeof *ids);
    uint8_t *mask = malloc((size_t)n);
    st = ids && mask ? ae_token_set_read(s, 0, n, ids, mask) : AE_ERR_INPUT;
    if (st == AE_OK)
        for (int64_t i = 0; i < n; i++)
            cr_assert(ids[i] >= 0 && ids[i] < ae_token_set_vocab_size(s) && mask[i] <= 1);
    free(ids);
    free(mask);
    ae_token_set_close(s);
    return st;
}

static void refuse(foreign f, const char *message) {
    cr_assert_eq(open_and_read(make_foreign(f)), AE_ERR_INPUT);
    cr_assert_message(message);
    cr_assert_message("foreign.h5: ");
}

Test(token_set, malformed_sets_are_refused) {
    foreign f = fine;
    f.no_vocab = true;
    refuse(f, "vocab_size");
    f = fine;
    f.vocab_size = 0;
    refuse(f, "vocab_size: expected 1 to 2147483647, found 0");
    f = fine;
    f.vocab_size = 9;
    refuse(f, "tokens: expected ids below 9, found 9 at 8");
    f = fine;
    f.bad_id = -3;
    refuse(f, "tokens: expected ids below 20, found -3 at 7");
    f = fine;
    f.float_tokens = true;
    refuse(f, "tokens: expected whole numbers, found floating-point numbers");
    f = fine;
    f.tokens_2d = true;
    refuse(f, "tokens: expected 1 dimensions, found 2");
    f = fine;
    f.n_starts = 0;
    refuse(f, "doc_starts: expected a data set");
    f = fine;
    f.n_starts = 1;
    refuse(f, "doc_starts: expected at least 2 entries, found 1");
    f = fine;
    f.starts[0] = 1;
    refuse(f, "doc_starts: expected 0 first, found 1");
    f = fine;
    f.starts[1] = 11;
    refuse(f, "doc_starts: expected ascending entries, found 10 after 11 at 2");
    f = fine;
    f.starts[2] = 9;
    refuse(f, "doc_starts: expected the number of tokens, 10, as its last entry, found 9");
    f = fine;
    f.n_mask = FOREIGN + 1;
    refuse(f, "loss_mask: expected 10 entries, one a token, found 11");
    f = fine;
    f.n_mask = FOREIGN;
    f.bad_mask = 2;
    refuse(f, "loss_mask: expected 0 or 1, found 2 at 3");
}

/* A set that says it has `n` entries and holds one chunk of them, or none. */
static void claim(hid_t f, const char *name, hsize_t n, bool chunked) {
    const hsize_t one = 1, chunk = 64, at = 0, any = H5S_UNLIMITED;
    const int64_t value = 0;
    const hid_t space = H5Screate_simple(1, &n, chunked ? &any : NULL),
                memory = H5Screate_simple(1, &one, NULL);
    const hid_t layout = H5Pcreate(H5P_DATASET_CREATE);
    if (chunked) H5Pset_chunk(layout, 1, &chunk);
    const hid_t set = H5Dcreate2(f, name, H5T_NATIVE_INT64, space, H5P_DEFAULT, layout, H5P_DEFAULT);
    cr_assert(set >= 0);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, &at, NULL, &one, NULL);
    if (chunked) cr_assert_geq(H5Dwrite(set, H5T_NATIVE_INT64, memory, space, H5P_DEFAULT, &value), 0);
    H5Dclose(set);
    H5Pclose(layout);
    H5Sclose(memory);
    H5Sclose(space);
}

/* Lengths that a file cannot hold are no reason to take memory for them. */
Test(token_set, claims_of_length_are_held_against_the_file) {
    static const struct {
        hsize_t n;
        bool chunked;
    } cases[] = {{UINT64_C(1) << 61, true},  {(UINT64_C(1) << 61) + 2, true},
                 {UINT64_C(1) << 40, true},  {200, true},
                 {UINT64_C(1) << 60, false}, {100000, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int starts = 0; starts < 2; starts++) {
            hid_t f = H5I_INVALID_HID;
            const char *path = scratch_path("claim.h5");
            cr_assert_eq(ae_h5_create(&f, path), AE_OK);
            cr_assert_eq(ae_h5_set_attr_int(f, path, "vocab_size", 20), AE_OK);
            claim(f, "tokens", starts ? 1 : cases[i].n, starts || cases[i].chunked);
            claim(f, "doc_starts", cases[i].n, cases[i].chunked);
            cr_assert_eq(ae_h5_close(f, path), AE_OK);
            cr_assert_eq(open_and_read(path), AE_ERR_INPUT, "case %zu", i);
            cr_assert_message(starts ? "doc_starts: expected no more entries than the file holds"
                                     : "tokens: expected no more entries than the file holds");
        }
}

Test(token_set, other_files_are_refused) {
    cr_assert_eq(open_and_read(scratch_path("none.h5")), AE_ERR_INPUT);
    cr_assert_message("none.h5: ");
    cr_assert_eq(open_and_read(scratch_write("text.h5", "no HDF5 at all", 14)), AE_ERR_INPUT);
    cr_assert_message("text.h5: expected an HDF5 file");
    cr_assert_eq(open_and_read(scratch_write("empty.h5", "", 0)), AE_ERR_INPUT);
    cr_assert_eq(open_and_read(scratch_folder), AE_ERR_INPUT);
    cr_assert_message("found a folder; name a file such as");
}

static void read_sample(char **bytes, size_t *n) {
    static plain_set p;
    set_random(&p, 5, 200, 30, true);
    const char *path = scratch_path("whole.h5");
    set_write(&p, path);
    cr_assert_eq(ae_file_read(path, bytes, n), AE_OK);
}

Test(token_set, truncated_files_are_refused, .timeout = 120) {
    char *bytes = NULL;
    size_t n = 0;
    read_sample(&bytes, &n);
    for (size_t length = 0; length < n; length += length < 64 ? 8 : n / 60) {
        const ae_status st = open_and_read(scratch_write("cut.h5", bytes, length));
        cr_assert_eq(st, AE_ERR_INPUT, "%zu of %zu bytes: %d", length, n, st);
        cr_assert_message("cut.h5: ");
    }
    free(bytes);
}

/* Where the packed tokens (or the mask) lie in the file. */
static void find_chunk(const char *path, const char *name, size_t *at, size_t *n) {
    hid_t f = H5I_INVALID_HID;
    cr_assert_eq(ae_h5_open(&f, path), AE_OK);
    const hid_t set = H5Dopen2(f, name, H5P_DEFAULT), space = H5Dget_space(set);
    hsize_t offset = 0, bytes = 0;
    unsigned filters = 0;
    haddr_t address = 0;
    cr_assert_geq(H5Dget_chunk_info(set, space, 0, &offset, &filters, &address, &bytes), 0);
    H5Sclose(space);
    H5Dclose(set);
    cr_assert_eq(ae_h5_close(f, path), AE_OK);
    *at = (size_t)address;
    *n = (size_t)bytes;
}

/* Removes the hash that the writer has left, so that the next one reads everything. */
static void forget_hash(const char *path) {
    const hid_t f = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    cr_assert_geq(H5Adelete(f, "content_hash"), 0);
    cr_assert_geq(H5Fclose(f), 0);
}

static ae_status hash_of_file(const char *path, uint64_t *hash) {
    ae_token_set *s = set_open(path);
    const ae_status st = ae_token_set_hash(s, hash);
    ae_token_set_close(s);
    return st;
}

Test(token_set, the_hash_kept_is_the_hash_read) {
    static plain_set p;
    uint64_t kept = 0, read = 0;
    for (int k = 0; k < 2; k++) {
        set_random(&p, 11, 150, 25, k == 1);
        set_write(&p, scratch_path("a.h5"));
        cr_assert_eq(hash_of_file(scratch_path("a.h5"), &kept), AE_OK);
        forget_hash(scratch_path("a.h5"));
        cr_assert_eq(hash_of_file(scratch_path("a.h5"), &read), AE_OK);
        cr_assert_eq(kept, read);
    }
}

Test(token_set, a_set_that_cannot_be_read_has_no_hash) {
    static plain_set p;
    char *bytes = NULL;
    size_t n = 0, begin = 0, length = 0;
    uint64_t hash = 0;
    set_random(&p, 5, 200, 30, false);
    set_write(&p, scratch_path("a.h5"));
    forget_hash(scratch_path("a.h5"));
    find_chunk(scratch_path("a.h5"), "tokens", &begin, &length);
    cr_assert_eq(ae_file_read(scratch_path("a.h5"), &bytes, &n), AE_OK);
    memset(bytes + begin, 0x55, length);
    cr_assert_eq(hash_of_file(scratch_write("bad.h5", bytes, n), &hash), AE_ERR_INPUT);
    cr_assert_message("bad.h5: tokens");
    free(bytes);
}

Test(token_set, a_hash_of_other_form_is_refused) {
    uint64_t hash = 0;
    const char *path = make_foreign(fine);
    cr_assert_eq(hash_of_file(path, &hash), AE_OK, "a set made elsewhere has one too");
    const hid_t f = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    cr_assert_eq(ae_h5_set_attr_text(f, path, "content_hash", "of old"), AE_OK);
    cr_assert_geq(H5Fclose(f), 0);
    cr_assert_eq(hash_of_file(path, &hash), AE_ERR_INPUT);
    cr_assert_message("content_hash: expected 16 hexadecimal digits");
}

/* Well-formed, and not what was written. */
Test(token_set, a_set_is_held_against_its_own_hash) {
    const int32_t ids[] = {2, 9, 8, 1};
    const ae_token_set_info info = {.vocab_size = 10};
    ae_token_writer *w = NULL;
    const char *path = scratch_path("kept.h5");
    cr_assert_eq(ae_token_writer_open(&w, path, &info), AE_OK);
    cr_assert_eq(ae_token_writer_add(w, ids, NULL, 4, 5), AE_OK);
    cr_assert_eq(ae_token_writer_finish(w, NULL), AE_OK);
    ae_token_set *s = set_open(path);
    cr_assert(ae_token_set_keeps_hash(s));
    cr_assert_eq(ae_token_set_verify(s), AE_OK, "%s", ae_error_message());
    ae_token_set_close(s);
    const hid_t f = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    cr_assert_eq(ae_h5_set_attr_text(f, path, "content_hash", "0123456789abcdef"), AE_OK);
    cr_assert_geq(H5Fclose(f), 0);
    s = set_open(path);
    cr_assert_eq(ae_token_set_verify(s), AE_ERR_INPUT);
    cr_assert_message("found 0123456789abcdef: changed since it was written");
    ae_token_set_close(s);
    forget_hash(path);
    s = set_open(path);
    cr_assert_not(ae_token_set_keeps_hash(s));
    cr_assert_eq(ae_token_set_verify(s), AE_OK, "%s", ae_error_message());
    ae_token_set_close(s);
}

/* A few bits at the end of the packed stream mean nothing. */
Test(token_set, damaged_data_is_noticed, .timeout = 120) {
    static const char *const names[] = {"tokens", "loss_mask", "doc_starts"};
    char *bytes = NULL;
    size_t n = 0, begin = 0, length = 0;
    ae_rng rng = ae_rng_make(1, 2);
    read_sample(&bytes, &n);
    uint64_t whole = 0, hash = 0;
    forget_hash(scratch_path("whole.h5"));
    free(bytes);
    cr_assert_eq(ae_file_read(scratch_path("whole.h5"), &bytes, &n), AE_OK);
    cr_assert_eq(hash_of_file(scratch_path("whole.h5"), &whole), AE_OK);
    int refused = 0;
    for (int i = 0; i < 90; i++) {
        find_chunk(scratch_path("whole.h5"), names[i % 3], &begin, &length);
        const size_t at = begin + ae_rng_below(&rng, length);
        const char before = bytes[at];
        bytes[at] ^= (char)(1 + ae_rng_below(&rng, 255));
        const char *path = scratch_write("bad.h5", bytes, n);
        bytes[at] = before;
        if (open_and_read(path) == AE_OK) {
            cr_assert_eq(hash_of_file(path, &hash), AE_OK);
            cr_assert_eq(hash, whole, "byte %zu of %zu", at - begin, length);
            continue;
        }
        refused++;
        cr_assert_message("bad.h5: ");
        cr_assert_message(names[i % 3]);
    }
    cr_assert_gt(refused, 80);
    free(bytes);
}
