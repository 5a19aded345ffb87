#include "cli/hf_files.h"

#include "cli/output_folder.h"
#include "core/file.h"
#include "core/json.h"
#include "core/log.h"
#include "data/tokenizer.h"
#include "data/tokenizer_json.h"
#include "exchange/hf_config.h"
#include "model/config_json.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* The dialogue of data/render.h: one <bos>, turns without white space at their ends, a system message at
 * the head of the first user turn. */
static const char chat_template[] =
    "{{ bos_token }}"
    "{% if messages[0]['role'] == 'system' %}"
    "{% set system = messages[0]['content'] | trim + '\\n\\n' %}{% set turns = messages[1:] %}"
    "{% else %}{% set system = '' %}{% set turns = messages %}{% endif %}"
    "{% for message in turns %}"
    "{% if message['role'] not in (['user'] if loop.index0 % 2 == 0 else ['assistant', 'model']) %}"
    "{{ raise_exception('expected turns of user and assistant in alternation, user first') }}{% endif %}"
    "{{ '<start_of_turn>' + ('user' if message['role'] == 'user' else 'model') + '\\n' }}"
    "{{ ((system if loop.first else '') + message['content'] | trim) | trim + '<end_of_turn>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}";

/* Takes `value` over. */
static ae_status write_json(const char *folder, const char *name, json_t *value) {
    char *path = ae_path_join(folder, name), *text = value ? ae_json_text(value) : NULL;
    const ae_status st =
        text ? ae_file_write(path, text, strlen(text)) : AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
    free(text);
    free(path);
    json_decref(value);
    return st;
}

static json_t *id_or_null(int32_t id) {
    return id >= 0 ? json_integer(id) : json_null();
}

static ae_status write_config(const char *folder, const ae_model_config *c, ae_file_dtype type,
                              const ae_special_ids *ids) {
    char *text = NULL;
    const ae_status st =
        ae_model_config_to_hf(c, type == AE_FILE_BF16 ? AE_WEIGHT_BF16 : AE_WEIGHT_F32, 0, &text);
    if (st != AE_OK) return st;
    json_t *o = json_loads(text, 0, NULL);
    free(text);
    const char *half = type == AE_FILE_F16 ? "float16" : NULL;
    const bool whole = (!half || json_object_set_new(o, "torch_dtype", json_string(half)) == 0) &&
                       json_object_set_new(o, "pad_token_id", id_or_null(ids->pad)) == 0 &&
                       json_object_set_new(o, "eos_token_id", id_or_null(ids->eos)) == 0 &&
                       json_object_set_new(o, "bos_token_id", id_or_null(ids->bos)) == 0;
    if (!whole) {
        json_decref(o);
        o = NULL;
    }
    return write_json(folder, "config.json", o);
}

/* What ends an answer here ends it there: <eos>, <end_of_turn>, and what the model's own files name. */
static ae_status write_generation(const char *folder, const ae_model_config *c, const ae_special_ids *ids) {
    const int32_t first[] = {ids->eos, ids->end_of_turn};
    json_t *ends = ae_model_ends_json(c, first, 2);
    if (ends && json_array_size(ends) == 0) {
        json_decref(ends);
        ends = json_null();
    }
    return write_json(folder, "generation_config.json",
                      json_pack("{s:o, s:o, s:o}", "bos_token_id", id_or_null(ids->bos), "eos_token_id", ends,
                                "pad_token_id", id_or_null(ids->pad)));
}

static json_t *control_token(const char *piece) {
    return json_pack("{s:s, s:b, s:b, s:b, s:b, s:b}", "content", piece, "lstrip", 0, "normalized", 0,
                     "rstrip", 0, "single_word", 0, "special", 1);
}

static json_t *control_tokens(const ae_tokenizer *t, const ae_special_ids *ids) {
    const int32_t all[] = {ids->pad, ids->eos, ids->bos, ids->unk, ids->start_of_turn, ids->end_of_turn};
    json_t *o = json_object();
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", (int)all[i]);
        if (all[i] >= 0) json_object_set_new(o, key, control_token(ae_tokenizer_piece(t, all[i])));
    }
    return o;
}

static void set_piece(json_t *o, const char *key, const ae_tokenizer *t, int32_t id) {
    if (id >= 0) json_object_set_new(o, key, json_string(ae_tokenizer_piece(t, id)));
}

/* `own_rules`: of tokenizer.json beside it, which a class of its own would not read. */
static json_t *tokenizer_config(const ae_tokenizer *t, const ae_special_ids *ids, bool own_rules) {
    json_t *o = json_pack("{s:s, s:b, s:b, s:b, s:b, s:o}", "tokenizer_class",
                          own_rules ? "PreTrainedTokenizerFast" : "GemmaTokenizer", "add_bos_token", 1,
                          "add_eos_token", 0, "clean_up_tokenization_spaces", 0,
                          "spaces_between_special_tokens", 0, "added_tokens_decoder", control_tokens(t, ids));
    set_piece(o, "bos_token", t, ids->bos);
    set_piece(o, "eos_token", t, ids->eos);
    set_piece(o, "pad_token", t, ids->pad);
    set_piece(o, "unk_token", t, ids->unk);
    /* GemmaTokenizer would give a missing one an id beyond the table. */
    if (!own_rules && ae_tokenizer_id(t, "<mask>") < 0) json_object_set_new(o, "mask_token", json_null());
    if (ids->start_of_turn < 0 || ids->end_of_turn < 0) return o;
    json_object_set_new(o, "additional_special_tokens",
                        json_pack("[s, s]", ae_tokenizer_piece(t, ids->start_of_turn),
                                  ae_tokenizer_piece(t, ids->end_of_turn)));
    json_object_set_new(o, "chat_template", json_string(chat_template));
    return o;
}

/* tokenizer.json: transformers would take the model for one of Gemma's kind. */
static ae_status write_rules(const char *folder, const ae_tokenizer *t) {
    char *path = ae_path_join(folder, "tokenizer.json"), *text = NULL;
    const char *approximate = NULL;
    ae_status st = ae_tokenizer_json(t, &text, &approximate);
    if (st == AE_OK) st = ae_file_write(path, text, strlen(text));
    if (st == AE_OK && approximate)
        ae_warn("tokenizer.json: transformers differs in %s; ids of other text are the same", approximate);
    free(text);
    free(path);
    return st;
}

static ae_status write_tokenizer(const char *folder, const ae_tokenizer *t, const ae_special_ids *ids) {
    char *path = ae_path_join(folder, "tokenizer.model");
    size_t n = 0;
    bool own_rules = false;
    const void *bytes = ae_tokenizer_bytes(t, &n);
    ae_status st;
    AE_TRY(ae_tokenizer_needs_json(t, &own_rules));
    if (own_rules) AE_TRY(write_rules(folder, t));
    AE_TRY(ae_file_write(path, bytes, n));
    AE_TRY(write_json(folder, "tokenizer_config.json", tokenizer_config(t, ids, own_rules)));
out:
    free(path);
    return st;
}

ae_status ae_hf_files_write(const char *folder, const ae_model_config *c, ae_file_dtype type,
                            const ae_tokenizer *t) {
    ae_special_ids ids = {.pad = 0, .eos = 1, .bos = 2, .unk = 3, .start_of_turn = -1, .end_of_turn = -1};
    ae_status st;
    if (t) ids = ae_tokenizer_special(t);
    AE_TRY(write_config(folder, c, type, &ids));
    AE_TRY(write_generation(folder, c, &ids));
    if (t) AE_TRY(write_tokenizer(folder, t, &ids));
out:
    return st;
}
