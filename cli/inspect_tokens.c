#include "cli/inspect.h"
#include "data/token_set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static ae_status add_hash(ae_inspection *i, ae_token_set *s) {
    uint64_t hash = 0;
    char text[32];
    ae_status st = ae_inspect_note(i, ae_token_set_hash(s, &hash));
    if (st != AE_OK) return st;
    snprintf(text, sizeof text, "%016llx", (unsigned long long)hash);
    json_object_set_new(i->facts, "hash", json_string(text));
    return AE_OK;
}

/* JSON as it should be, else as the text that it is. */
static void add_manifest(ae_inspection *i, const ae_token_set *s) {
    const char *text = ae_token_set_manifest(s);
    json_t *manifest = *text ? json_loads(text, JSON_DECODE_ANY, NULL) : json_null();
    json_object_set_new(i->facts, "manifest", manifest ? manifest : json_string(text));
}

static json_t *text_bytes(const ae_token_set *s) {
    const int64_t *bytes = ae_token_set_doc_bytes(s);
    int64_t sum = 0;
    for (int64_t d = 0; bytes && d < ae_token_set_documents(s); d++)
        if (__builtin_add_overflow(sum, bytes[d], &sum)) return json_null();
    return bytes ? json_integer(sum) : json_null();
}

static ae_status describe(ae_inspection *i, ae_token_set *s) {
    size_t n = 0;
    ae_status st = AE_OK;
    json_object_set_new(i->facts, "holds", json_string(ae_data_kind_name(ae_token_set_kind(s))));
    json_object_set_new(i->facts, "tokens", json_integer(ae_token_set_tokens(s)));
    json_object_set_new(i->facts, "documents", json_integer(ae_token_set_documents(s)));
    json_object_set_new(i->facts, "vocab_size", json_integer(ae_token_set_vocab_size(s)));
    json_object_set_new(i->facts, "text_bytes", text_bytes(s));
    json_object_set_new(i->facts, "loss_mask", json_boolean(ae_token_set_has_mask(s)));
    const void *tokenizer = ae_token_set_tokenizer(s, &n);
    if (!i->quick) AE_TRY(ae_inspect_note(i, ae_token_set_verify(s)));
    if (!i->quick || ae_token_set_keeps_hash(s)) AE_TRY(add_hash(i, s));
    if (tokenizer)
        AE_TRY(ae_inspect_tokenizer_bytes(i, tokenizer, n, ae_token_set_path(s)));
    else
        json_object_set_new(i->facts, "tokenizer", json_null());
    add_manifest(i, s);
out:
    return st;
}

ae_status ae_inspect_token_set(ae_inspection *i, const char *path) {
    ae_token_set *s = NULL;
    json_object_set_new(i->facts, "kind", json_string("token set"));
    ae_status st = ae_inspect_note(i, ae_token_set_open(&s, path));
    if (s) st = describe(i, s);
    ae_token_set_close(s);
    return st == AE_OK ? ae_inspect_file(i, NULL, path) : st;
}
