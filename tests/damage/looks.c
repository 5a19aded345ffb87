#include "tests/damage/looks.h"

#include "cli/inspect.h"
#include "core/file.h"
#include "core/h5.h"
#include "core/json.h"
#include "data/hash.h"
#include "data/token_set.h"
#include "data/tokenizer.h"
#include "formats/tensors.h"
#include "model/params.h"
#include "train/checkpoint.h"
#include "train/config.h"
#include "train/metrics.h"
#include "train/pretrain.h"
#include "train/run_folder.h"
#include "train/state.h"

#include <fcntl.h>
#include <glob.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void mix(uint64_t *digest, const void *bytes, size_t n) {
    *digest = ae_fnv(*digest, bytes, n);
}

static ae_status mix_file(uint64_t *digest, const char *path) {
    char *bytes = NULL;
    size_t n = 0;
    const ae_status st = ae_file_read(path, &bytes, &n);
    if (st == AE_OK) mix(digest, bytes, n);
    free(bytes);
    return st;
}

static void mix_config(uint64_t *digest, const ae_model_config *c) {
    char *text = NULL;
    if (ae_model_config_to_json(c, &text) == AE_OK) mix(digest, text, strlen(text));
    free(text);
}

/* ---- models ---- */

typedef void each_tensor(void *context, const ae_param *p, const float *values);

static ae_status read_all(const ae_model_source *s, each_tensor *call, void *context) {
    ae_params params = {0};
    ae_tensors *t = NULL;
    ae_status st;
    AE_TRY(ae_params_init(&params, &s->config));
    AE_TRY(ae_tensors_open(&t, s->tensors));
    for (ptrdiff_t i = 0; i < params.n; i++) {
        const ae_param *p = &params.items[i];
        float *values = malloc((size_t)p->n * sizeof *values);
        st = ae_tensors_read(t, p->name, p->rank, p->shape, values);
        if (st == AE_OK) call(context, p, values);
        free(values);
        if (st != AE_OK) break;
    }
out:
    ae_tensors_close(t);
    ae_params_free(&params);
    return st;
}

static void mix_tensor(void *context, const ae_param *p, const float *values) {
    mix(context, p->name, strlen(p->name));
    mix(context, values, (size_t)p->n * sizeof *values);
}

static ae_status look_model(const char *path, uint64_t *digest) {
    ae_model_source s = {0};
    ae_status st;
    AE_TRY(ae_run_source_open(&s, path));
    AE_TRY(ae_model_source_verify(&s));
    mix_config(digest, &s.config);
    AE_TRY(read_all(&s, mix_tensor, digest));
    if (s.tokenizer) AE_TRY(mix_file(digest, s.tokenizer));
out:
    ae_model_source_free(&s);
    return st;
}

/* ---- runs ---- */

/* Its warnings are expected. */
static ae_status newest_in_silence(const char *run, char **folder) {
    const int kept = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(null, STDERR_FILENO);
    const ae_status st = ae_checkpoint_newest_intact(run, ae_pretrain_files, true, folder);
    dup2(kept, STDERR_FILENO);
    close(kept);
    close(null);
    return st;
}

/* What a resumed run reads, and what a model of it is: the one may fail where the other needs not what is damaged. */
ae_status look_run(const char *path, const content *bytes, uint64_t *digest, const char **wrong) {
    static uint64_t whole_model;
    uint64_t model = AE_FNV_START;
    char *folder = NULL, *state = NULL, *loader = NULL;
    ae_run_state s = {0};
    ae_status st = look_model(path, &model);
    (void)bytes;
    if (whole_model == 0) whole_model = model;
    if (st == AE_OK && model != whole_model) *wrong = "the model is another";
    if (st != AE_OK && st != AE_ERR_INPUT) return st;
    const ae_status model_st = st;
    AE_TRY(newest_in_silence(path, &folder));
    if (!folder) return AE_FAIL(AE_ERR_DEFECT, "%s: no checkpoint, and no error", path);
    if (model_st != AE_OK) *wrong = "the run goes on from what no model can be made of";
    state = ae_path_join(folder, "state.json");
    AE_TRY(ae_run_state_read(&s, state));
    mix(digest, &model, sizeof model);
    mix(digest, s.config, strlen(s.config));
    loader = json_dumps(json_object_get(s.own, "loader"), JSON_ENCODE_ANY);
    if (loader) mix(digest, loader, strlen(loader));
    mix(digest, &s.step, sizeof s.step);
out:
    ae_run_state_free(&s);
    free(loader);
    free(state);
    free(folder);
    return st;
}

/* ---- token sets ---- */

static void mix_notes(uint64_t *digest, const ae_token_set *s) {
    const int64_t documents = ae_token_set_documents(s);
    const char *kind = ae_data_kind_name(ae_token_set_kind(s));
    mix(digest, kind, strlen(kind));
    if (ae_token_set_margins(s)) mix(digest, ae_token_set_margins(s), (size_t)documents / 2 * sizeof(float));
    for (int64_t d = 0; d < documents; d++) {
        size_t n = 0;
        const char *meta = ae_token_set_meta(s, d, &n);
        mix(digest, &n, sizeof n);
        mix(digest, meta, n);
    }
}

ae_status look_token_set(const char *path, const content *bytes, uint64_t *digest, const char **wrong) {
    ae_token_set *s = NULL;
    size_t n = 0;
    int32_t *tokens = NULL;
    uint8_t *mask = NULL;
    ae_status st;
    (void)bytes;
    (void)wrong;
    AE_TRY(ae_token_set_open(&s, path));
    AE_TRY(ae_token_set_verify(s));
    const int64_t count = ae_token_set_tokens(s), documents = ae_token_set_documents(s),
                  vocab = ae_token_set_vocab_size(s);
    tokens = malloc((size_t)count * sizeof *tokens);
    mask = malloc((size_t)count);
    AE_TRY(ae_token_set_read(s, 0, count, tokens, mask));
    mix(digest, tokens, (size_t)count * sizeof *tokens);
    mix(digest, mask, (size_t)count);
    mix(digest, &vocab, sizeof vocab);
    mix(digest, ae_token_set_doc_starts(s), (size_t)(documents + 1) * sizeof(int64_t));
    if (ae_token_set_doc_bytes(s))
        mix(digest, ae_token_set_doc_bytes(s), (size_t)documents * sizeof(int64_t));
    const void *tokenizer = ae_token_set_tokenizer(s, &n);
    mix(digest, tokenizer, n);
    mix(digest, ae_token_set_manifest(s), strlen(ae_token_set_manifest(s)));
    mix_notes(digest, s);
out:
    free(tokens);
    free(mask);
    ae_token_set_close(s);
    return st;
}

/* ---- Hugging Face folders, read once more by plain means ---- */

enum { FILES_MAX = 16 };

typedef struct {
    char *bytes[FILES_MAX];
    size_t n[FILES_MAX];
    json_t *headers[FILES_MAX];
    int files;
    const char *wrong;
} plain;

static void plain_add(plain *p, const char *path) {
    const int k = p->files;
    uint64_t length = 0;
    if (k == FILES_MAX || ae_file_read(path, &p->bytes[k], &p->n[k]) != AE_OK) return;
    p->files++;
    if (p->n[k] < 8) return;
    memcpy(&length, p->bytes[k], sizeof length);
    if (length <= p->n[k] - 8) p->headers[k] = json_loadb(p->bytes[k] + 8, length, 0, NULL);
}

static void plain_open(plain *p, const char *folder) {
    char *pattern = ae_path_join(folder, "*.safetensors");
    glob_t found;
    *p = (plain){0};
    if (glob(pattern, 0, NULL, &found) == 0)
        for (size_t i = 0; i < found.gl_pathc; i++) plain_add(p, found.gl_pathv[i]);
    globfree(&found);
    free(pattern);
}

static void plain_close(plain *p) {
    for (int k = 0; k < p->files; k++) {
        free(p->bytes[k]);
        json_decref(p->headers[k]);
    }
}

/* Where a tensor's bytes begin, NULL where they are not all there. */
static const char *plain_find(const plain *p, const char *name, const char **dtype, size_t *n) {
    for (int k = 0; k < p->files; k++) {
        const json_t *o = json_object_get(p->headers[k], name), *at = json_object_get(o, "data_offsets");
        if (!o) continue;
        uint64_t length;
        memcpy(&length, p->bytes[k], sizeof length);
        const size_t begin = (size_t)json_integer_value(json_array_get(at, 0)),
                     end = (size_t)json_integer_value(json_array_get(at, 1));
        *dtype = json_string_value(json_object_get(o, "dtype"));
        *n = end - begin;
        return end >= begin && end <= p->n[k] - 8 - length ? p->bytes[k] + 8 + length + begin : NULL;
    }
    return NULL;
}

static float from_high_half(const char *two) {
    uint16_t half;
    memcpy(&half, two, sizeof half);
    const uint32_t bits = (uint32_t)half << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static float half_to_float(const char *two) {
    uint16_t h;
    memcpy(&h, two, sizeof h);
    const int exponent = h >> 10 & 31, rest = h & 1023;
    const double x = exponent == 31  ? (rest ? (double)NAN : (double)INFINITY)
                     : exponent == 0 ? ldexp(rest, -24)
                                     : ldexp(1024 + rest, exponent - 25);
    return (float)(h >> 15 ? -x : x);
}

/* Element i of a matrix of 4-bit integers or of bytes, with the scale of its group. */
static float plain_integer(const plain *p, const ae_param *param, const char *data, bool four, int64_t i) {
    char name[128];
    const char *dtype = NULL;
    size_t n = 0;
    snprintf(name, sizeof name, "%s_scale", param->name);
    const char *scales = plain_find(p, name, &dtype, &n);
    if (!scales) return NAN;
    const int64_t cols = param->shape[1], row = i / cols, col = i % cols,
                  groups = (int64_t)n / 2 / param->shape[0];
    int64_t group = 8;
    while ((cols + group - 1) / group != groups && group < 512) group *= 2;
    const int byte = four ? (unsigned char)data[row * ((cols + 1) / 2) + col / 2] : (signed char)data[i];
    const int nibble = col % 2 ? byte >> 4 : byte & 15;
    const int q = !four ? byte : nibble < 8 ? nibble : nibble - 16;
    return (float)q * from_high_half(scales + 2 * (row * groups + col / group));
}

static float plain_value(const plain *p, const ae_param *param, const char *dtype, const char *data,
                         int64_t i) {
    float x = NAN;
    if (strcmp(dtype, "F32") == 0) memcpy(&x, data + 4 * i, sizeof x);
    if (strcmp(dtype, "BF16") == 0) x = from_high_half(data + 2 * i);
    if (strcmp(dtype, "F16") == 0) x = half_to_float(data + 2 * i);
    if (strcmp(dtype, "I8") == 0) x = plain_integer(p, param, data, false, i);
    if (strcmp(dtype, "U8") == 0) x = plain_integer(p, param, data, true, i);
    return x;
}

static void compare_tensor(void *context, const ae_param *param, const float *values) {
    plain *p = context;
    const char *dtype = NULL;
    size_t n = 0;
    const char *data = plain_find(p, param->name, &dtype, &n);
    if (!data || !dtype) {
        p->wrong = "a tensor was read that is not there";
        return;
    }
    for (int64_t i = 0; i < param->n; i++) {
        const float x = plain_value(p, param, dtype, data, i);
        if (memcmp(&x, &values[i], sizeof x) != 0 && !(isnan(x) && isnan(values[i])))
            p->wrong = "a tensor has other values than the file";
    }
}

static double number_of(const json_t *root, const char *key, double fallback) {
    const json_t *v = json_object_get(root, key);
    return !v || json_is_null(v) ? fallback : json_is_number(v) ? json_number_value(v) : (double)NAN;
}

static bool same(double a, double b) {
    return fabs(a - b) <= 0;
}

static const char *check_config(const char *path, const ae_model_config *c) {
    json_t *o = json_load_file(path, 0, NULL);
    const double D = number_of(o, "hidden_size", NAN), N = number_of(o, "num_attention_heads", NAN);
    const json_t *types = json_object_get(o, "block_types"), *rope = json_object_get(o, "rope_parameters");
    bool good = same((double)c->D, D) && same((double)c->N, N) &&
                same((double)c->V, number_of(o, "vocab_size", NAN)) &&
                same(2 * (double)c->E, number_of(o, "intermediate_size", NAN)) &&
                same((double)c->blocks, number_of(o, "num_hidden_layers", NAN)) &&
                same((double)c->C, number_of(o, "lru_width", D)) &&
                same((double)c->G, number_of(o, "num_key_value_heads", N)) &&
                same((double)c->H, number_of(o, "head_dim", D / N)) &&
                same((double)c->W, number_of(o, "attention_window_size", 2048)) &&
                same((double)c->K, number_of(o, "conv1d_width", 4)) &&
                same(c->soft_cap, number_of(o, "logits_soft_cap", 30)) &&
                same(c->norm_eps, number_of(o, "rms_norm_eps", 1e-6)) &&
                same(c->rope_theta, number_of(rope, "rope_theta", number_of(o, "rope_theta", 10000))) &&
                same(c->rope_share,
                     number_of(rope, "partial_rotary_factor", number_of(o, "partial_rotary_factor", 0.5)));
    for (ptrdiff_t i = 0; i < c->blocks && json_array_size(types) > 0; i++) {
        const char *kind = json_string_value(json_array_get(types, (size_t)i % json_array_size(types)));
        good = good && kind && strcmp(kind, c->pattern[i] == AE_ATTENTION ? "attention" : "recurrent") == 0;
    }
    json_decref(o);
    return good ? NULL : "the shape is another than config.json says";
}

ae_status look_hf(const char *path, const content *bytes, uint64_t *digest, const char **wrong) {
    ae_model_source s = {0};
    plain p;
    char *config = ae_path_join(path, "config.json");
    ae_status st;
    (void)bytes;
    plain_open(&p, path);
    AE_TRY(ae_run_source_open(&s, path));
    AE_TRY(ae_model_source_verify(&s));
    AE_TRY(read_all(&s, compare_tensor, &p));
    AE_TRY(read_all(&s, mix_tensor, digest));
    *wrong = p.wrong ? p.wrong : check_config(config, &s.config);
out:
    ae_model_source_free(&s);
    plain_close(&p);
    free(config);
    return st;
}

/* ---- HDF5 tensors without DONE ---- */

enum { SETS_MAX = 200 };

typedef struct {
    char name[96];
    haddr_t at;
    size_t bytes;
} place;

/* Where the values lie in the whole file: what is read of a damaged one must be the bytes there. */
static size_t find_places(const char *path, place *places) {
    hid_t f = H5I_INVALID_HID;
    char **names = NULL;
    size_t n = 0;
    if (ae_h5_open(&f, path) != AE_OK || ae_h5_names(f, path, &names, &n) != AE_OK) abort();
    for (size_t i = 0; i < n && i < SETS_MAX; i++) {
        const hid_t set = H5Dopen2(f, names[i], H5P_DEFAULT);
        snprintf(places[i].name, sizeof places[i].name, "%s", names[i]);
        places[i].at = H5Dget_offset(set);
        places[i].bytes = H5Dget_storage_size(set);
        H5Dclose(set);
    }
    ae_h5_free_names(names, n);
    (void)ae_h5_close(f, path);
    return n;
}

static ae_status compare_set(hid_t f, const char *path, const place *p, const content *bytes,
                             const char **wrong) {
    ae_h5_set set;
    int64_t n = 1;
    ae_status st = ae_h5_describe(f, path, p->name, &set);
    if (st != AE_OK) return st;
    for (int i = 0; i < set.rank; i++) n *= set.shape[i];
    if ((size_t)n * sizeof(float) != p->bytes) *wrong = "a tensor has another size";
    if (*wrong) return AE_OK;
    float *values = malloc(p->bytes);
    st = ae_h5_read(f, path, p->name, H5T_NATIVE_FLOAT, set.rank, set.shape, values);
    if (st == AE_OK && (p->at + p->bytes > bytes->n || memcmp(values, bytes->bytes + p->at, p->bytes) != 0))
        *wrong = "a tensor has other values than the file";
    free(values);
    return st;
}

ae_status look_h5(const char *path, const content *bytes, uint64_t *digest, const char **wrong) {
    static place places[SETS_MAX];
    static size_t n;
    hid_t f = H5I_INVALID_HID;
    ae_status st;
    (void)digest;
    if (n == 0) n = find_places(path, places);
    AE_TRY(ae_h5_open(&f, path));
    for (size_t i = 0; i < n; i++) AE_TRY(compare_set(f, path, &places[i], bytes, wrong));
out:
    (void)ae_h5_close(f, path);
    return st;
}

/* ---- tokenizers: a protobuf, read by hand ---- */

static bool read_varint(const unsigned char **at, const unsigned char *end, uint64_t *x) {
    *x = 0;
    for (int shift = 0; *at < end && shift < 64; shift += 7) {
        const unsigned char b = *(*at)++;
        *x |= (uint64_t)(b & 127) << shift;
        if (b < 128) return true;
    }
    return false;
}

/* One field: its number, and the bytes of one with a length. */
static bool next_field(const unsigned char **at, const unsigned char *end, uint64_t *key,
                       const unsigned char **body, uint64_t *n) {
    if (*at >= end || !read_varint(at, end, key)) return false;
    *n = 0;
    const uint64_t fixed = (*key & 7) == 1 ? 8 : (*key & 7) == 5 ? 4 : 0;
    if ((*key & 7) == 0) return read_varint(at, end, n);
    if ((*key & 7) == 2 ? !read_varint(at, end, n) : fixed == 0) return false;
    if (fixed) *n = fixed;
    *body = *at;
    if (*n > (uint64_t)(end - *at)) return false;
    *at += *n;
    return true;
}

/* The n-th entry of field 1, its own field 1. */
static const char *check_pieces(const ae_tokenizer *t, const content *c) {
    const unsigned char *at = (const void *)c->bytes, *end = at + c->n, *body = NULL;
    uint64_t key, n;
    int32_t id = 0;
    while (next_field(&at, end, &key, &body, &n)) {
        if (key != (1 << 3 | 2)) continue;
        const unsigned char *inner = body, *inner_end = body + n, *text = NULL;
        uint64_t inner_key, length, text_bytes = 0;
        while (next_field(&inner, inner_end, &inner_key, &body, &length))
            if (inner_key == (1 << 3 | 2)) {
                text = body;
                text_bytes = length;
            }
        const char *piece = id < ae_tokenizer_size(t) ? ae_tokenizer_piece(t, id) : NULL;
        const size_t shown = text ? strnlen((const char *)text, text_bytes) : 0;
        if (!piece || strlen(piece) != shown || (text && memcmp(piece, text, shown) != 0))
            return "a piece is another than the file says";
        id++;
    }
    return id == ae_tokenizer_size(t) ? NULL : "another number of pieces";
}

ae_status look_tokenizer(const char *path, const content *bytes, uint64_t *digest, const char **wrong) {
    ae_tokenizer *t = NULL;
    ae_ids ids = {0};
    char *text = NULL;
    size_t n = 0;
    ae_status st;
    (void)digest;
    AE_TRY(ae_tokenizer_open(&t, path));
    *wrong = check_pieces(t, bytes);
    AE_TRY(ae_tokenizer_encode(t, "the birds of hill 7", 19, &ids));
    AE_TRY(ae_tokenizer_decode(t, ids.ids, ids.n, &text, &n));
out:
    free(text);
    ae_ids_free(&ids);
    ae_tokenizer_delete(t);
    return st;
}

/* ---- texts without checksums ---- */

/* "key: value" of a section of the resolved configuration against the text's own lines; what is written otherwise is not judged. */
static const char *check_yaml(const char *text, const json_t *config) {
    char section[64] = "", key[64], value[512];
    for (const char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        char one[640] = "";
        snprintf(one, sizeof one, "%.*s", (int)strcspn(line, "\n"), line);
        if (strpbrk(one, "\"'#{}[]&*!|>%@`\\\t\r") || strlen(one) > 600) return NULL;
        if (sscanf(one, "%63[a-z_]:", section) == 1 && one[0] != ' ') continue;
        if (sscanf(one, "  %63[a-z_0-9]: %511s", key, value) != 2) continue;
        const json_t *found = json_object_get(json_object_get(config, section), key);
        char *end;
        const double x = strtod(value, &end);
        if (json_is_number(found) && *end == '\0' && !same(x, json_number_value(found)))
            return "a number is another than the file says";
        if (json_is_string(found) && strcmp(json_string_value(found), value) != 0 && !strchr(one + 2, ' '))
            return "a text is another than the file says";
    }
    return NULL;
}

ae_status look_yaml(const char *path, const content *bytes, uint64_t *digest, const char **wrong) {
    ae_train_config c;
    char *text = NULL;
    json_t *config = NULL;
    ae_status st = ae_train_config_init(&c);
    (void)digest;
    if (st == AE_OK) st = ae_config_read(&c.table, path);
    if (st == AE_OK) st = ae_config_json(&c.table, &text);
    if (st == AE_OK) config = json_loads(text, 0, NULL);
    if (config) *wrong = check_yaml(bytes->bytes, config);
    json_decref(config);
    free(text);
    ae_train_config_free(&c);
    return st;
}

ae_status look_state(const char *path, const content *bytes, uint64_t *digest, const char **wrong) {
    ae_run_state s;
    (void)digest;
    const ae_status st = ae_run_state_read(&s, path);
    if (st != AE_OK) return st;
    json_t *o = json_loadb(bytes->bytes, bytes->n, 0, NULL);
    const double seed = number_of(json_object_get(o, "rng"), "seed", NAN);
    if (!o || !same((double)s.step, number_of(o, "step", NAN)) ||
        !same((double)s.tokens, number_of(o, "tokens", NAN)) || !same((double)(int64_t)s.seed, seed) ||
        !same((double)s.metrics_offset, number_of(o, "metrics_offset", NAN)))
        *wrong = "a number is another than the file says";
    json_decref(o);
    ae_run_state_free(&s);
    return AE_OK;
}

ae_status look_model_json(const char *path, const content *bytes, uint64_t *digest, const char **wrong) {
    ae_model_config c;
    (void)digest;
    const ae_status st = ae_model_config_from_json(&c, bytes->bytes, path);
    if (st != AE_OK) return st;
    json_t *o = json_loadb(bytes->bytes, strlen(bytes->bytes), 0, NULL);
    const char *pattern = json_string_value(json_object_get(o, "pattern"));
    if (!same((double)c.V, number_of(o, "vocab", NAN)) || !same((double)c.D, number_of(o, "width", NAN)) ||
        !same((double)c.C, number_of(o, "recurrent_width", NAN)) ||
        !same((double)c.E, number_of(o, "mlp_width", NAN)) ||
        !same((double)c.W, number_of(o, "window", NAN)) || !same(c.soft_cap, number_of(o, "soft_cap", NAN)) ||
        !same(c.rope_theta, number_of(o, "rope_theta", NAN)) || !pattern ||
        strlen(pattern) != (size_t)c.blocks)
        *wrong = "a number is another than the file says";
    json_decref(o);
    return AE_OK;
}

/* The last line as the evaluation behind a checkpoint: it counts where it is one, and else training makes it again. */
ae_status look_metrics(const char *path, const content *bytes, uint64_t *digest, const char **wrong) {
    int64_t offset = 0, step = 0;
    json_t *line = NULL;
    (void)digest;
    size_t at = bytes->n;
    const char *end = memrchr(bytes->bytes, '\n', bytes->n);
    if (!end) return AE_OK;
    for (at = (size_t)(end - bytes->bytes); at > 0 && bytes->bytes[at - 1] != '\n';) at--;
    offset = (int64_t)at;
    json_t *own = json_loadb(bytes->bytes + at, (size_t)(end - bytes->bytes) - at, 0, NULL);
    step = json_integer_value(json_object_get(own, "step"));
    const ae_status st = ae_metrics_find_evaluation(path, "eval_loss", step, &offset, &line);
    if (line && (!same(number_of(line, "eval_loss", NAN), number_of(own, "eval_loss", NAN)) ||
                 offset != (int64_t)(end - bytes->bytes) + 1))
        *wrong = "the evaluation is another than the line says";
    if (!line && offset != (int64_t)at) *wrong = "no evaluation was found, and the place has moved";
    json_decref(line);
    json_decref(own);
    return st;
}

/* ---- aerie inspect ---- */

static ae_status inspect_with(ae_status (*of)(ae_inspection *, const char *), const char *path,
                              size_t *faults) {
    ae_inspection i = {.tensors = true, .facts = json_object(), .faults = json_array()};
    ae_status st = of(&i, path);
    char *text = json_dumps(i.facts, 0);
    if (st == AE_OK && !text) st = AE_FAIL(AE_ERR_DEFECT, "%s: what was found cannot be printed", path);
    *faults = json_array_size(i.faults);
    free(text);
    json_decref(i.facts);
    json_decref(i.faults);
    return st;
}

ae_status inspect_folder_hf(const char *path, size_t *faults) {
    return inspect_with(ae_inspect_hf, path, faults);
}

ae_status inspect_run(const char *path, size_t *faults) {
    return inspect_with(ae_inspect_run, path, faults);
}

ae_status inspect_token_set(const char *path, size_t *faults) {
    return inspect_with(ae_inspect_token_set, path, faults);
}

ae_status inspect_tensors(const char *path, size_t *faults) {
    return inspect_with(ae_inspect_tensor_file, path, faults);
}

ae_status inspect_tokenizer(const char *path, size_t *faults) {
    return inspect_with(ae_inspect_tokenizer, path, faults);
}
