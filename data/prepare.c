#include "data/prepare.h"

#include "core/file.h"
#include "core/json.h"
#include "core/machine.h"
#include "core/threads.h"
#include "data/encode.h"
#include "data/inputs.h"
#include "data/set_folder.h"
#include "data/utf8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is held while one folder is made. */
typedef struct {
    const ae_prepare_options *o;
    ae_documents_options input;
    ae_tokenizer *tokenizer;
    ae_documents_count count;
    int64_t first_held, cut;
    json_t *sources;
    ae_set_folder folder;
    ae_token_writer *train, *heldout;
    ae_encoded_count encoded;
    int64_t bad_lines;
} preparation;

/* ---- what there is ---- */

typedef ae_status (*block_visitor)(void *object, const ae_block *b);

static ae_status visit_blocks(const ae_documents_options *input, block_visitor visit, void *object,
                              ae_documents_count *count) {
    ae_documents *d = NULL;
    ae_block block = {0};
    ae_status st = AE_OK;
    AE_TRY(ae_documents_open(&d, input));
    do {
        AE_TRY(ae_documents_next(d, &block));
        if (visit) AE_TRY(visit(object, &block));
    } while (block.n_pieces);
    *count = ae_documents_counted(d);
out:
    ae_block_free(&block);
    ae_documents_close(d);
    return st;
}

typedef struct {
    int64_t target, cut; /* the cut is 0 until it is found */
    bool behind_line;    /* what came before the piece ends a line */
} cut_search;

/* `before` bytes of the piece lie before the target. */
static int64_t cut_in_piece(const char *text, const ae_piece *p, size_t before, bool behind_line) {
    const size_t n = before + 1 < p->n ? before + 1 : p->n, line = ae_text_line_edge(text, n);
    if (line || (behind_line && p->at > 0)) return p->at + (int64_t)line;
    for (size_t i = before; i + 1 < p->n; i++)
        if (text[i] == '\n' && text[i + 1] != '\n' && text[i + 1] != '\r') return p->at + (int64_t)i + 1;
    return p->at + (int64_t)ae_text_edge(text, n);
}

static ae_status search_cut(void *object, const ae_block *b) {
    cut_search *c = object;
    for (size_t i = 0; i < b->n_pieces && !c->cut; i++) {
        const ae_piece *p = &b->pieces[i];
        const char *text = b->text + p->offset;
        if (c->target < p->at + (int64_t)p->n)
            c->cut = cut_in_piece(text, p, (size_t)(c->target - p->at), c->behind_line);
        c->behind_line = p->n > 0 && text[p->n - 1] == '\n';
    }
    return AE_OK;
}

/* The one document is cut in two. */
static ae_status find_cut(preparation *p) {
    const double kept = (1 - p->o->heldout) * (double)p->count.text_bytes;
    cut_search c = {.target = (int64_t)kept};
    ae_documents_count count;
    const ae_status st = visit_blocks(&p->input, search_cut, &c, &count);
    p->cut = c.cut;
    if (st != AE_OK || c.cut > 0) return st;
    return AE_FAIL(AE_ERR_INPUT,
                   "%s: expected text enough to hold a part out, found %lld bytes; give more or --heldout 0",
                   p->o->inputs[0], (long long)p->count.text_bytes);
}

static ae_status count_input(preparation *p) {
    ae_status st = visit_blocks(&p->input, NULL, NULL, &p->count);
    p->bad_lines = p->input.bad->n;
    p->input.bad = NULL; /* told in the first pass */
    if (st != AE_OK) return st;
    const int64_t n = p->count.documents;
    if (n == 0) return AE_FAIL(AE_ERR_INPUT, "%s: expected documents with text, found none", p->o->inputs[0]);
    p->first_held = n;
    if (p->o->heldout <= 0) return AE_OK;
    if (n == 1) return find_cut(p);
    const int64_t held = (int64_t)floor((double)n * p->o->heldout + 1e-9);
    p->first_held = n - (held > 0 ? held : 1);
    return AE_OK;
}

/* ---- where it goes ---- */

static ae_status check_options(preparation *p) {
    const ae_prepare_options *o = p->o;
    if (o->n_inputs == 0) return AE_FAIL(AE_ERR_USAGE, "--input: expected at least one file, found none");
    if (!(o->heldout >= 0 && o->heldout <= 0.5))
        return AE_FAIL(AE_ERR_USAGE, "--heldout: expected a share from 0 to 0.5, found %g", o->heldout);
    if (o->split_on && !*o->split_on) return AE_FAIL(AE_ERR_USAGE, "--split-on: expected text, found none");
    return ae_set_folder_open(&p->folder, o->output, o->force);
}

static ae_status open_tokenizer(preparation *p) {
    const ae_status st = ae_tokenizer_open(&p->tokenizer, p->o->tokenizer);
    if (st != AE_OK) return st;
    const ae_special_ids special = ae_tokenizer_special(p->tokenizer);
    if (special.bos >= 0 && special.eos >= 0) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT, "%s: expected a tokenizer with <bos> and <eos>, found no %s",
                   p->o->tokenizer, special.bos < 0 ? "<bos>" : "<eos>");
}

static ae_status open_output(preparation *p) {
    ae_token_set_info info = {.vocab_size = ae_tokenizer_size(p->tokenizer)};
    info.tokenizer = ae_tokenizer_bytes(p->tokenizer, &info.tokenizer_bytes);
    ae_status st = AE_OK;
    AE_TRY(ae_set_folder_stage(&p->folder));
    AE_TRY(ae_token_writer_open(&p->train, p->folder.staged_train, &info));
    if (p->o->heldout > 0) st = ae_token_writer_open(&p->heldout, p->folder.staged_heldout, &info);
out:
    return st;
}

static char *manifest(const preparation *p, const char *name, const ae_token_writer *w) {
    char hash[32];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)ae_tokenizer_hash(p->tokenizer));
    json_t *root = json_pack(
        "{s:s, s:s, s:O, s:{s:s, s:s?, s:f}, s:{s:s, s:s, s:i}, s:{s:I, s:I}, s:{s:I, s:I, s:I, s:I}}",
        "made_by", "aerie " AERIE_VERSION, "part", name, "sources", p->sources, "options", "text_key",
        p->input.text_key, "split_on", p->input.split_on, "heldout", p->o->heldout, "tokenizer", "path",
        p->o->tokenizer, "hash", hash, "vocab_size", (int)ae_tokenizer_size(p->tokenizer), "counts",
        "documents", (json_int_t)ae_token_writer_documents(w), "tokens",
        (json_int_t)ae_token_writer_tokens(w), "input", "documents", (json_int_t)p->count.documents,
        "empty_documents", (json_int_t)p->count.empty_documents, "text_bytes",
        (json_int_t)p->count.text_bytes, "bad_lines", (json_int_t)p->bad_lines);
    char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    return text;
}

static ae_status finish_one(const preparation *p, const char *name, ae_token_writer **w) {
    if (!*w) return AE_OK;
    char *text = manifest(p, name, *w);
    if (!text) return AE_FAIL(AE_ERR_USAGE, "%s: expected names in UTF-8, found other bytes", name);
    const ae_status st = ae_token_writer_finish(*w, text);
    *w = NULL;
    free(text);
    return st;
}

static void fill_report(const preparation *p, ae_prepare_report *r) {
    *r = (ae_prepare_report){.bad = r->bad,
                             .files = (int64_t)p->o->n_inputs,
                             .documents = p->count.documents,
                             .empty_documents = p->count.empty_documents,
                             .text_bytes = p->count.text_bytes,
                             .byte_fallback_tokens = p->encoded.byte_tokens,
                             .unknown_tokens = p->encoded.unknown_tokens,
                             .lost_bytes = p->encoded.lost_bytes,
                             .train_tokens = ae_token_writer_tokens(p->train),
                             .train_documents = ae_token_writer_documents(p->train)};
    if (!p->heldout) return;
    r->heldout_tokens = ae_token_writer_tokens(p->heldout);
    r->heldout_documents = ae_token_writer_documents(p->heldout);
}

/* Both are whole and on disk before either is put in its place. */
static ae_status publish(preparation *p) {
    const bool has_heldout = p->heldout != NULL;
    ae_status st = AE_OK;
    AE_TRY(finish_one(p, "train", &p->train));
    AE_TRY(finish_one(p, "heldout", &p->heldout));
    st = ae_set_folder_publish(&p->folder, has_heldout);
out:
    return st;
}

static void release(preparation *p) {
    ae_token_writer_abandon(p->train);
    ae_token_writer_abandon(p->heldout);
    ae_set_folder_close(&p->folder);
    ae_tokenizer_delete(p->tokenizer);
    json_decref(p->sources);
}

ae_status ae_data_prepare(const ae_prepare_options *o, ae_prepare_report *report) {
    preparation p = {.o = o,
                     .input = {.inputs = o->inputs,
                               .n_inputs = o->n_inputs,
                               .text_key = o->text_key ? o->text_key : "text",
                               .split_on = o->split_on,
                               .check = o->check,
                               .format = o->format,
                               .skip_bad = o->skip_bad,
                               .bad = &report->bad}};
    *report = (ae_prepare_report){0};
    ae_status st = AE_OK;
    AE_TRY(check_options(&p));
    AE_TRY(open_tokenizer(&p));
    AE_TRY(ae_set_folder_take(&p.folder));
    AE_TRY(count_input(&p));
    AE_TRY(ae_inputs_describe(&p.sources, o->inputs, o->n_inputs));
    AE_TRY(open_output(&p));
    const ae_encoding e = {.input = p.input,
                           .tokenizer = p.tokenizer,
                           .train = p.train,
                           .held = p.heldout,
                           .first_held = p.first_held,
                           .cut = p.cut,
                           .text_bytes = p.count.text_bytes,
                           .threads = ae_threads_start(o->threads)};
    AE_TRY(ae_encode_documents(&e, &p.encoded));
    if (p.encoded.documents != p.count.documents || p.encoded.text_bytes != p.count.text_bytes)
        AE_TRY(AE_FAIL(AE_ERR_INPUT,
                       "input: expected the %lld documents that were counted, found %lld: a file changed "
                       "while it was read; run it again",
                       (long long)p.count.documents, (long long)p.encoded.documents));
    fill_report(&p, report);
    st = publish(&p);
out:
    release(&p);
    return st;
}
