#include "core/file.h"
#include "core/h5.h"
#include "core/json.h"
#include "data/utf8.h"
#include "eval/conversation_parts.h"
#include "model/fingerprint.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Attributes: kind and format; of the model shape, fingerprint, tokenizer, weights and activations; settings;
 * model, the path of the model, which older files lack; system_bytes (-1: none), position and
 * before_position (-1: none) of the two states. Data sets: tokens; turns, seven fields each; text, the system
 * message and then those of the turns; state and before, as ae_decode_state_pack gives them; probe, some
 * logits of the model. */
static const char kind[] = "aerie conversation";
enum { FORMAT = 1, CHUNK = 1 << 14, PROBE = 256, PROBE_TOKENS = 12 };
enum { BEGIN, ANSWER_BEGIN, END, HOW, RETRIES, USER_BYTES, ANSWER_BYTES, TURN_FIELDS };

static const char *const dtype_names[] = {"f32", "bf16"};

static ae_status out_of_memory(const char *path) {
    return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
}

/* ---- the model ---- */

static ptrdiff_t probe_size(const ae_model *m) {
    return ae_min(PROBE, m->config.V);
}

/* Logits, spread over the vocabulary, after <bos> and some tokens: one alone would not see what reaches from
 * token to token. */
static ae_status probe_model(ae_conversation *c, float probe[PROBE]) {
    const ptrdiff_t n = probe_size(c->model), V = c->model->config.V,
                    pieces = ae_tokenizer_size(c->tokenizer);
    int32_t tokens[PROBE_TOKENS] = {ae_tokenizer_special(c->tokenizer).bos};
    ae_decode_state s;
    ae_status st = ae_decode_state_init(&s, c->model, 1);
    if (st != AE_OK) return st;
    for (ptrdiff_t i = 1; i < PROBE_TOKENS; i++) tokens[i] = (int32_t)(i * (pieces - 1) / PROBE_TOKENS);
    st = ae_decoder_prefill(c->decoder, &s, 0, tokens, PROBE_TOKENS, c->logits, NULL);
    if (st == AE_OK) st = c->model->be->sync(c->model->be);
    for (ptrdiff_t i = 0; i < n; i++) probe[i] = c->logits[i * V / n];
    ae_decode_state_free(&s);
    return st;
}

/* Other kernels give other roundings. */
static bool is_near(const ae_model *m, const float *a, const float *b, ptrdiff_t n) {
    const double share = m->be->dtype == AE_DTYPE_F32 ? 1e-4 : 2e-2;
    double most = 0, furthest = 0;
    for (ptrdiff_t i = 0; i < n; i++) {
        const double distance = fabs((double)a[i] - (double)b[i]);
        if (!isfinite(distance)) return false;
        most = fmax(most, fabs((double)a[i]));
        furthest = fmax(furthest, distance);
    }
    return furthest <= share * most;
}

/* ---- settings ---- */

static json_t *settings_json(const ae_answer_settings *s) {
    return json_pack("{s:f, s:I, s:f, s:f, s:I, s:I}", "temperature", s->sampling.temperature, "top_k",
                     (json_int_t)s->sampling.top_k, "top_p", s->sampling.top_p, "repetition_penalty",
                     s->repetition_penalty, "seed", (json_int_t)s->seed, "max_new", (json_int_t)s->max_new);
}

static ae_status parse_settings(ae_answer_settings *s, const char *text, const char *path) {
    json_t *o = NULL;
    int64_t seed = 0;
    ae_status st;
    AE_TRY(ae_json_parse(&o, text, strlen(text), path));
    AE_TRY(ae_json_real(o, "temperature", path, &s->sampling.temperature));
    AE_TRY(ae_json_int(o, "top_k", path, &s->sampling.top_k));
    AE_TRY(ae_json_real(o, "top_p", path, &s->sampling.top_p));
    AE_TRY(ae_json_real(o, "repetition_penalty", path, &s->repetition_penalty));
    AE_TRY(ae_json_int(o, "seed", path, &seed));
    AE_TRY(ae_json_int(o, "max_new", path, &s->max_new));
    s->seed = (uint64_t)seed;
    if (!(s->sampling.temperature >= 0 && s->sampling.top_k >= 0 && s->sampling.top_p > 0 &&
          s->sampling.top_p <= 1 && s->repetition_penalty >= 0 && s->max_new >= 1))
        st = AE_FAIL(AE_ERR_INPUT, "%s: settings: expected numbers that sampling can use, found %s", path,
                     text);
out:
    json_decref(o);
    return st;
}

/* ---- writing ---- */

typedef struct {
    hid_t file;
    const char *path; /* for messages */
} place;

static ae_status write_set(const place *p, const char *name, hid_t type, int64_t n, const void *x) {
    const ae_status st = ae_h5_create_growing(p->file, p->path, name, type, CHUNK);
    return st == AE_OK && n > 0 ? ae_h5_append(p->file, p->path, name, type, n, x) : st;
}

static ae_status write_settings(const place *p, const ae_answer_settings *s) {
    json_t *o = settings_json(s);
    char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    const ae_status st =
        text ? ae_h5_set_attr_text(p->file, p->path, "settings", text) : out_of_memory(p->path);
    free(text);
    json_decref(o);
    return st;
}

static ae_status write_model(const place *p, ae_conversation *c) {
    const ae_model *m = c->model;
    char fingerprint[AE_FINGERPRINT_BYTES], hash[32], *shape = NULL;
    float probe[PROBE];
    ae_status st;
    snprintf(hash, sizeof hash, "%016" PRIx64, ae_tokenizer_hash(c->tokenizer));
    AE_TRY(ae_model_config_to_json(&m->config, &shape));
    AE_TRY(ae_model_fingerprint(m, fingerprint));
    AE_TRY(probe_model(c, probe));
    AE_TRY(ae_h5_set_attr_text(p->file, p->path, "model", c->model_path));
    AE_TRY(ae_h5_set_attr_text(p->file, p->path, "shape", shape));
    AE_TRY(ae_h5_set_attr_text(p->file, p->path, "fingerprint", fingerprint));
    AE_TRY(ae_h5_set_attr_text(p->file, p->path, "tokenizer", hash));
    AE_TRY(ae_h5_set_attr_text(p->file, p->path, "weights", ae_weight_type_name(m->options.weights)));
    AE_TRY(ae_h5_set_attr_text(p->file, p->path, "activations", dtype_names[m->be->dtype]));
    AE_TRY(write_set(p, "probe", H5T_NATIVE_FLOAT, probe_size(m), probe));
out:
    free(shape);
    return st;
}

static ae_status write_turns(const place *p, const ae_transcript *said) {
    int64_t *fields = malloc((size_t)(said->n * TURN_FIELDS + 1) * sizeof *fields);
    if (!fields) return out_of_memory(p->path);
    for (ptrdiff_t i = 0; i < said->n; i++) {
        const ae_turn *t = &said->turns[i];
        int64_t *to = fields + i * TURN_FIELDS;
        to[BEGIN] = t->begin;
        to[ANSWER_BEGIN] = t->answer_begin;
        to[END] = t->end;
        to[HOW] = t->how;
        to[RETRIES] = t->retries;
        to[USER_BYTES] = (int64_t)t->user_bytes;
        to[ANSWER_BYTES] = (int64_t)t->answer_bytes;
    }
    const ae_status st = write_set(p, "turns", H5T_NATIVE_INT64, said->n * TURN_FIELDS, fields);
    free(fields);
    return st;
}

static ae_status append_text(const place *p, const char *text, size_t n) {
    return ae_h5_append(p->file, p->path, "text", H5T_NATIVE_UINT8, (int64_t)n, text);
}

static ae_status write_texts(const place *p, const ae_transcript *said) {
    ae_status st =
        ae_h5_set_attr_int(p->file, p->path, "system_bytes", said->system ? (int64_t)said->system_bytes : -1);
    if (st == AE_OK) st = write_set(p, "text", H5T_NATIVE_UINT8, 0, NULL);
    if (st == AE_OK && said->system) st = append_text(p, said->system, said->system_bytes);
    for (ptrdiff_t i = 0; st == AE_OK && i < said->n; i++) {
        const ae_turn *t = &said->turns[i];
        st = append_text(p, t->user, t->user_bytes);
        if (st == AE_OK) st = append_text(p, t->answer, t->answer_bytes);
    }
    return st;
}

/* Elements that deflate sees through best: those of the rings. */
static hid_t state_type(const ae_model *m) {
    return m->be->act_bytes == 2 ? H5T_NATIVE_UINT16 : H5T_NATIVE_UINT32;
}

/* `s` NULL: there is none. */
static ae_status write_state(const place *p, const ae_model *m, const ae_decode_state *s, const char *name,
                             const char *position_name) {
    ae_status st = ae_h5_set_attr_int(p->file, p->path, position_name, s ? s->positions[0] : -1);
    if (st != AE_OK || !s) return st;
    const size_t bytes = ae_decode_state_packed_bytes(m, s->positions[0]);
    void *packed = malloc(bytes + 1);
    if (!packed) return out_of_memory(p->path);
    ae_decode_state_pack(s, 0, packed);
    st = m->be->sync(m->be);
    if (st == AE_OK) st = write_set(p, name, state_type(m), (int64_t)(bytes / m->be->act_bytes), packed);
    free(packed);
    return st;
}

static ae_status write_all(const place *p, ae_conversation *c) {
    const ae_transcript *said = &c->said;
    const ae_snapshot *before = said->n > 0 ? ae_conversation_snapshot(c, said->n - 1) : NULL;
    const bool kept = before && before->turn == said->n - 1;
    ae_status st;
    AE_TRY(ae_h5_set_attr_text(p->file, p->path, "kind", kind));
    AE_TRY(ae_h5_set_attr_int(p->file, p->path, "format", FORMAT));
    AE_TRY(write_model(p, c));
    AE_TRY(write_settings(p, &c->settings));
    AE_TRY(write_set(p, "tokens", H5T_NATIVE_INT32, said->ids.n, said->ids.ids));
    AE_TRY(write_turns(p, said));
    AE_TRY(write_texts(p, said));
    AE_TRY(write_state(p, c->model, &c->state, "state", "position"));
    AE_TRY(write_state(p, c->model, kept ? &before->state : NULL, "before", "before_position"));
out:
    return st;
}

static ae_status write_aside(ae_conversation *c, const char *path, const char *aside) {
    place p = {.file = H5I_INVALID_HID, .path = path};
    ae_status st = ae_h5_create(&p.file, aside);
    if (st == AE_OK) st = write_all(&p, c);
    const ae_status closed = ae_h5_close(p.file, path);
    if (st == AE_OK) st = closed;
    return st == AE_OK ? ae_path_sync(aside) : st;
}

/* ---- reading ---- */

bool ae_conversation_is_file(hid_t file, const char *path) {
    char *found = NULL;
    const bool is = ae_h5_has_attr(file, "kind") && ae_h5_attr_text(file, path, "kind", &found) == AE_OK &&
                    strcmp(found, kind) == 0;
    free(found);
    return is;
}

static ae_status expect_kind(const place *p) {
    int64_t format = 0;
    ae_status st;
    if (!ae_conversation_is_file(p->file, p->path))
        AE_TRY(AE_FAIL(AE_ERR_INPUT, "%s: expected a conversation that was saved, found another HDF5 file",
                       p->path));
    AE_TRY(ae_h5_attr_int(p->file, p->path, "format", &format));
    if (format != FORMAT)
        st = AE_FAIL(AE_ERR_INPUT, "%s: expected format %d, found %lld, of another version", p->path, FORMAT,
                     (long long)format);
out:
    return st;
}

/* Only a conversation is replaced: a mistyped name costs no other file. */
static ae_status check_replaced(const char *path, bool replace) {
    place p = {.path = path};
    if (!ae_path_exists(path)) return AE_OK;
    if (!replace) return AE_FAIL(AE_ERR_USAGE, "%s: exists already", path);
    ae_status st = ae_h5_open(&p.file, path);
    if (st == AE_OK) st = expect_kind(&p);
    if (p.file > 0) ae_h5_close(p.file, path);
    if (st == AE_OK) return AE_OK;
    return AE_FAIL(AE_ERR_USAGE, "%s: exists already and is no conversation that was saved; it stays", path);
}

ae_status ae_conversation_save(ae_conversation *c, const char *path, bool replace) {
    char ending[32], *real = NULL, *aside = NULL;
    ae_status st;
    snprintf(ending, sizeof ending, ".part-%ld", (long)getpid());
    AE_TRY(ae_path_follow(&real, path));
    AE_TRY(check_replaced(real, replace));
    AE_TRY(ae_parent_make(real));
    aside = ae_path_beside(real, ending);
    if (!aside) AE_TRY(out_of_memory(path));
    st = write_aside(c, path, aside);
    if (st == AE_OK)
        st = replace ? ae_path_rename(aside, real) : ae_path_rename_new(aside, real);
    else
        unlink(aside);
out:
    free(real);
    free(aside);
    return st;
}

/* A text in an attribute of the file is the one that is wanted. */
static ae_status expect_text(const place *p, const char *name, const char *want, const char *what,
                             const char *remedy) {
    char *found = NULL;
    ae_status st = ae_h5_attr_text(p->file, p->path, name, &found);
    if (st == AE_OK && strcmp(found, want) != 0)
        st = AE_FAIL(AE_ERR_INPUT, "%s: %s: expected %s, %s, found %s%s", p->path, name, want, what, found,
                     remedy);
    free(found);
    return st;
}

static ae_status expect_shape(const place *p, const ae_model *m) {
    char *text = NULL;
    ae_model_config config;
    ae_status st;
    AE_TRY(ae_h5_attr_text(p->file, p->path, "shape", &text));
    AE_TRY(ae_model_config_from_json(&config, text, p->path));
    AE_TRY(ae_model_config_agree(&config, p->path, &m->config, "the model"));
out:
    free(text);
    return st;
}

/* n entries, or as many as there are (n < 0, at most `most`). `x` points at a pointer that gets them; the
 * caller frees it. */
static ae_status read_set(const place *p, const char *name, hid_t type, size_t bytes, int64_t *n,
                          int64_t most, void *x) {
    int64_t found = 0;
    ae_status st = ae_h5_length(p->file, p->path, name, &found);
    if (st != AE_OK) return st;
    if (*n >= 0 ? found != *n : found > most)
        return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected %s%lld entries, found %lld", p->path, name,
                       *n >= 0 ? "" : "at most ", (long long)(*n >= 0 ? *n : most), (long long)found);
    *n = found;
    void *memory = malloc((size_t)found * bytes + 1);
    memcpy(x, &memory, sizeof memory);
    if (!memory) return out_of_memory(p->path);
    return ae_h5_read_range(p->file, p->path, name, type, 0, found, memory);
}

static ae_status expect_probe(const place *p, ae_conversation *c) {
    int64_t n = probe_size(c->model);
    float *want = NULL, found[PROBE];
    ae_status st;
    AE_TRY(read_set(p, "probe", H5T_NATIVE_FLOAT, sizeof *want, &n, 0, &want));
    AE_TRY(probe_model(c, found));
    if (!is_near(c->model, want, found, n))
        st = AE_FAIL(AE_ERR_INPUT,
                     "%s: expected the model of this conversation, found one whose logits are others: "
                     "another model or adapter",
                     p->path);
out:
    free(want);
    return st;
}

static ae_status expect_values(const place *p, const ae_conversation *c) {
    const ae_model *m = c->model;
    char fingerprint[AE_FINGERPRINT_BYTES], hash[32];
    ae_status st;
    snprintf(hash, sizeof hash, "%016" PRIx64, ae_tokenizer_hash(c->tokenizer));
    AE_TRY(expect_shape(p, m));
    AE_TRY(ae_model_fingerprint(m, fingerprint));
    AE_TRY(expect_text(p, "fingerprint", fingerprint, "the model's", ": another model"));
    AE_TRY(expect_text(p, "tokenizer", hash, "the tokenizer's hash", ": another tokenizer"));
out:
    return st;
}

/* Types in memory: of the model as it is open now, and of the one that the conversation was held with. */
static ae_status expect_type(const place *p, const char *name, const char *open, const char *remedy) {
    char *kept = NULL;
    ae_status st = ae_h5_attr_text(p->file, p->path, name, &kept);
    if (st == AE_OK && strcmp(kept, open) != 0)
        st = AE_FAIL(AE_ERR_INPUT,
                     "%s: %s: expected %s, those of the model as it is open now, found %s, those that the "
                     "conversation was held with%s%s",
                     p->path, name, open, kept, remedy, *remedy ? kept : "");
    free(kept);
    return st;
}

static ae_status expect_types(const place *p, const ae_model *m) {
    const ae_status st =
        expect_type(p, "weights", ae_weight_type_name(m->options.weights), "; open the model with --dtype ");
    return st == AE_OK ? expect_type(p, "activations", dtype_names[m->be->dtype], "") : st;
}

/* After a refusal for the model's sake. */
static void name_model(const place *p) {
    char *path = NULL;
    if (!ae_h5_has_attr(p->file, "model")) return;
    char *message = strdup(ae_error_message());
    if (message && ae_h5_attr_text(p->file, p->path, "model", &path) == AE_OK)
        ae_fail_at(__FILE__, __LINE__, "%s; the conversation was held with %s", message, path);
    free(message);
    free(path);
}

static ae_status expect_model(const place *p, ae_conversation *c) {
    ae_status st = expect_values(p, c);
    if (st == AE_ERR_INPUT) name_model(p);
    if (st == AE_OK) st = expect_types(p, c->model);
    if (st != AE_OK) return st;
    st = expect_probe(p, c);
    if (st == AE_ERR_INPUT) name_model(p);
    return st;
}

static ae_status malformed(const place *p, ptrdiff_t turn) {
    return AE_FAIL(AE_ERR_INPUT, "%s: turn %td: expected places of tokens and text in order, found others",
                   p->path, turn + 1);
}

/* The next text of `bytes`, in its own memory. */
static ae_status take_text(const place *p, const char **from, int64_t *left, int64_t bytes, char **to,
                           size_t *n) {
    if (bytes < 0 || bytes > *left || ae_utf8_prefix(*from, (size_t)bytes) != (size_t)bytes)
        return AE_FAIL(AE_ERR_INPUT, "%s: text: expected %lld bytes of UTF-8, found other ones", p->path,
                       (long long)bytes);
    *to = ae_text_copy(*from, (size_t)bytes);
    if (!*to) return out_of_memory(p->path);
    *n = (size_t)bytes;
    *from += bytes;
    *left -= bytes;
    return AE_OK;
}

static bool is_in_order(const int64_t *f, int64_t begin, int64_t n) {
    return f[BEGIN] == begin && f[ANSWER_BEGIN] > begin && f[END] > f[ANSWER_BEGIN] && f[END] <= n &&
           f[HOW] >= AE_ANSWER_STOPPED && f[HOW] <= AE_ANSWER_CANCELLED && f[RETRIES] >= 0;
}

static ae_status take_turns(const place *p, ae_transcript *said, const int64_t *fields, int64_t n,
                            const char *text, int64_t left) {
    int64_t begin = 0;
    ae_status st = AE_OK;
    for (int64_t i = 0; st == AE_OK && i < n; i++) {
        const int64_t *f = fields + i * TURN_FIELDS;
        if (!is_in_order(f, begin, said->ids.n)) return malformed(p, (ptrdiff_t)i);
        st = ae_transcript_reserve(said);
        if (st != AE_OK) return st;
        ae_turn *t = &said->turns[said->n++];
        *t = (ae_turn){.begin = f[BEGIN],
                       .answer_begin = f[ANSWER_BEGIN],
                       .end = f[END],
                       .retries = f[RETRIES],
                       .how = (ae_answer_end)f[HOW]};
        st = take_text(p, &text, &left, f[USER_BYTES], &t->user, &t->user_bytes);
        if (st == AE_OK) st = take_text(p, &text, &left, f[ANSWER_BYTES], &t->answer, &t->answer_bytes);
        begin = f[END];
    }
    return st == AE_OK && (begin != said->ids.n || left != 0) ? malformed(p, (ptrdiff_t)n) : st;
}

static ae_status read_tokens(const place *p, ae_ids *ids, ptrdiff_t V) {
    int64_t n = -1;
    const ae_status st = read_set(p, "tokens", H5T_NATIVE_INT32, sizeof *ids->ids, &n, INT32_MAX, &ids->ids);
    ids->n = ids->capacity = st == AE_OK ? (ptrdiff_t)n : 0;
    for (int64_t i = 0; i < ids->n; i++)
        if (ids->ids[i] < 0 || ids->ids[i] >= V)
            return AE_FAIL(AE_ERR_INPUT, "%s: tokens[%lld]: expected 0 to %td, found %d", p->path,
                           (long long)i, V - 1, (int)ids->ids[i]);
    return st;
}

static ae_status read_transcript(const place *p, ae_transcript *said, ptrdiff_t V) {
    int64_t n_fields = -1, n_text = -1, system_bytes = -1, *fields = NULL;
    char *text = NULL;
    const char *at;
    ae_status st;
    AE_TRY(read_tokens(p, &said->ids, V));
    AE_TRY(read_set(p, "turns", H5T_NATIVE_INT64, sizeof *fields, &n_fields, INT32_MAX, &fields));
    AE_TRY(read_set(p, "text", H5T_NATIVE_UINT8, 1, &n_text, INT64_MAX, &text));
    AE_TRY(ae_h5_attr_int(p->file, p->path, "system_bytes", &system_bytes));
    if (n_fields % TURN_FIELDS != 0) AE_TRY(malformed(p, (ptrdiff_t)(n_fields / TURN_FIELDS)));
    at = text;
    if (system_bytes >= 0)
        AE_TRY(take_text(p, &at, &n_text, system_bytes, &said->system, &said->system_bytes));
    AE_TRY(take_turns(p, said, fields, n_fields / TURN_FIELDS, at, n_text));
out:
    free(fields);
    free(text);
    return st;
}

/* A state on its way from the file; position -1: there is none. */
typedef struct {
    int64_t position;
    void *packed;
} packed_state;

static ae_status read_state(const place *p, const ae_model *m, packed_state *s, const char *name,
                            const char *position_name, int64_t least, int64_t most) {
    ae_status st = ae_h5_attr_int(p->file, p->path, position_name, &s->position);
    if (st != AE_OK) return st;
    if (s->position < least || s->position > most)
        return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected %lld to %lld, found %lld", p->path, position_name,
                       (long long)least, (long long)most, (long long)s->position);
    if (s->position < 0) return AE_OK;
    int64_t n = (int64_t)(ae_decode_state_packed_bytes(m, (int32_t)s->position) / m->be->act_bytes);
    return read_set(p, name, state_type(m), m->be->act_bytes, &n, 0, &s->packed);
}

static ae_status read_all(const place *p, ae_conversation *c, ae_transcript *said,
                          ae_answer_settings *settings, packed_state states[2]) {
    char *text = NULL;
    ae_status st;
    AE_TRY(expect_kind(p));
    AE_TRY(expect_model(p, c));
    AE_TRY(ae_h5_attr_text(p->file, p->path, "settings", &text));
    AE_TRY(parse_settings(settings, text, p->path));
    AE_TRY(read_transcript(p, said, c->model->config.V));
    AE_TRY(read_state(p, c->model, &states[0], "state", "position", 0, said->n > 0 ? said->ids.n - 1 : 0));
    AE_TRY(read_state(p, c->model, &states[1], "before", "before_position", -1,
                      said->n > 0 ? said->turns[said->n - 1].begin : -1));
out:
    free(text);
    return st;
}

/* All is read; nothing fails from here on but the backend. */
static ae_status take_over(ae_conversation *c, ae_transcript *said, const packed_state states[2]) {
    ae_snapshot *before = said->n > 0 ? ae_conversation_snapshot(c, said->n - 1) : NULL;
    const bool kept = before && states[1].position >= 0;
    ae_status st = ae_decode_state_reserve(&c->state, (ptrdiff_t)states[0].position);
    if (st == AE_OK && kept) st = ae_snapshot_reserve(before, c->model);
    if (st == AE_OK && kept) st = ae_decode_state_reserve(&before->state, (ptrdiff_t)states[1].position);
    if (st != AE_OK) return st;
    ae_transcript_free(&c->said);
    c->said = *said;
    *said = (ae_transcript){0};
    ae_conversation_forget(c, 0);
    (void)ae_decode_state_unpack(&c->state, 0, (int32_t)states[0].position, states[0].packed);
    if (kept) {
        (void)ae_decode_state_unpack(&before->state, 0, (int32_t)states[1].position, states[1].packed);
        before->turn = c->said.n - 1;
    }
    return c->model->be->sync(c->model->be);
}

ae_status ae_conversation_load(ae_conversation *c, const char *path) {
    place p = {.file = H5I_INVALID_HID, .path = path};
    ae_transcript said = {0};
    packed_state states[2] = {{.position = 0}, {.position = -1}};
    ae_answer_settings settings = c->settings;
    ae_status st;
    AE_TRY(ae_h5_open(&p.file, path));
    AE_TRY(read_all(&p, c, &said, &settings, states));
    AE_TRY(take_over(c, &said, states));
    c->settings = settings;
out:
    ae_h5_close(p.file, path);
    ae_transcript_free(&said);
    free(states[0].packed);
    free(states[1].packed);
    return st;
}

/* ---- without the model ---- */

static ae_status add_text(json_t *facts, const place *p, const char *name, const char *as) {
    char *text = NULL;
    const ae_status st = ae_h5_attr_text(p->file, p->path, name, &text);
    if (st == AE_OK) json_object_set_new(facts, as, json_string(text));
    free(text);
    return st;
}

static void add_message(json_t *list, const char *role, const char *text, size_t n) {
    json_array_append_new(list, json_pack("{s:s, s:o}", "role", role, "content", json_stringn(text, n)));
}

static void add_transcript(json_t *facts, const ae_transcript *said) {
    json_t *list = json_array();
    if (said->system) add_message(list, "system", said->system, said->system_bytes);
    for (ptrdiff_t i = 0; i < said->n; i++) {
        const ae_turn *t = &said->turns[i];
        add_message(list, "user", t->user, t->user_bytes);
        add_message(list, "model", t->answer, t->answer_bytes);
    }
    json_object_set_new(facts, "turns", json_integer(said->n));
    json_object_set_new(facts, "length", json_integer(said->ids.n));
    json_object_set_new(facts, "messages", list);
}

static ae_status add_settings(json_t *facts, const place *p) {
    ae_answer_settings settings = {0};
    char *text = NULL;
    ae_status st = ae_h5_attr_text(p->file, p->path, "settings", &text);
    if (st == AE_OK) st = parse_settings(&settings, text, p->path);
    if (st == AE_OK) json_object_set_new(facts, "settings", settings_json(&settings));
    free(text);
    return st;
}

/* Checksums are compared. */
static ae_status read_over(const place *p, const char *name) {
    int64_t n = -1;
    void *bytes = NULL;
    if (!ae_h5_has(p->file, name)) return AE_OK;
    const ae_status st = read_set(p, name, H5T_NATIVE_UINT32, sizeof(uint32_t), &n, INT64_MAX, &bytes);
    free(bytes);
    return st;
}

static ae_status describe(json_t *facts, const place *p, ae_transcript *said, bool quick) {
    int64_t position = 0;
    ae_status st;
    AE_TRY(expect_kind(p));
    AE_TRY(ae_h5_attr_int(p->file, p->path, "position", &position));
    AE_TRY(read_transcript(p, said, INT32_MAX));
    add_transcript(facts, said);
    json_object_set_new(facts, "position", json_integer(position));
    AE_TRY(add_settings(facts, p));
    if (ae_h5_has_attr(p->file, "model")) AE_TRY(add_text(facts, p, "model", "model"));
    AE_TRY(add_text(facts, p, "fingerprint", "fingerprint"));
    AE_TRY(add_text(facts, p, "tokenizer", "tokenizer_hash"));
    AE_TRY(add_text(facts, p, "weights", "weights"));
    AE_TRY(add_text(facts, p, "activations", "activations"));
    if (!quick) AE_TRY(read_over(p, "state"));
    if (!quick) AE_TRY(read_over(p, "before"));
out:
    return st;
}

ae_status ae_conversation_describe(json_t **facts, const char *path, bool quick) {
    place p = {.file = H5I_INVALID_HID, .path = path};
    ae_transcript said = {0};
    json_t *o = *facts = json_object();
    ae_status st = o ? ae_h5_open(&p.file, path) : out_of_memory(path);
    if (st == AE_OK) st = describe(o, &p, &said, quick);
    ae_h5_close(p.file, path);
    ae_transcript_free(&said);
    return st;
}
