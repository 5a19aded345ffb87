#include "train/rendered.h"

#include "core/dims.h"
#include "core/file.h"
#include "core/log.h"
#include "data/documents.h"
#include "data/examples.h"
#include "data/hash.h"
#include "train/tree_paths.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- one file ---- */

static ae_status mix_file(uint64_t *hash, const char *path) {
    enum { BLOCK = 1 << 20 };
    char *bytes = malloc(BLOCK);
    size_t n = 0;
    FILE *f = fopen(path, "rbe");
    ae_status st = bytes ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
    while (st == AE_OK && f && (n = fread(bytes, 1, BLOCK, f)) > 0) *hash = ae_fnv(*hash, bytes, n);
    if (st == AE_OK && (!f || ferror(f)))
        st = AE_FAIL(AE_ERR_INPUT, "%s: expected a readable file, found: %s", path, strerror(errno));
    if (f) fclose(f);
    free(bytes);
    return st;
}

/* FOLDER/NAME-HASH.h5, NAME without what follows its first dot. */
static ae_status name_set(char **set, const char *path, const ae_rendering *r) {
    uint64_t hash = ae_fnv(AE_FNV_START, r->mapping, strlen(r->mapping) + 1);
    hash = ae_fnv(hash, &r->kind, sizeof r->kind);
    hash = ae_fnv(hash, &r->vocab_size, sizeof r->vocab_size);
    ae_status st = mix_file(&hash, path);
    if (st == AE_OK && r->tokenizer) st = mix_file(&hash, r->tokenizer);
    if (st != AE_OK) return st;
    const char *last = ae_path_last(path);
    char name[300];
    snprintf(name, sizeof name, "%.*s-%016" PRIx64 ".h5", (int)ae_min(200, (ptrdiff_t)strcspn(last, ".")),
             last, hash);
    *set = ae_path_join(r->folder, name);
    return AE_OK;
}

static void tell(const char *path, const ae_examples_report *report) {
    const ae_examples_count *c = &report->train;
    ae_log("%s: %lld rows, %lld tokens, %lld of them count", path, (long long)c->rows, (long long)c->tokens,
           (long long)c->targets);
    if (report->untrained)
        ae_warn("%s: %lld rows have no token that counts", path, (long long)report->untrained);
    if (report->unused_turns)
        ae_warn("%s: %lld turns of the user after the last answer are not used", path,
                (long long)report->unused_turns);
    if (report->duplicates)
        ae_log("%s: %lld row%s came before and %s", path, (long long)report->duplicates,
               ae_plural(report->duplicates), report->duplicates == 1 ? "stays" : "stay");
}

/* Where the fault is one of a row: the message begins with "PATH:LINE". Of dialogues that are answered already
 * often none would be left. */
static void name_remedy(const char *path, const ae_rendering *r) {
    const char *message = ae_error_message();
    const size_t n = strlen(path);
    if (strncmp(message, path, n) != 0 || message[n] != ':' || message[n + 1] < '0' || message[n + 1] > '9')
        return;
    if (r->kind == AE_KIND_PROMPTS && strstr(message, "the user last, found an answer")) return;
    ae_fail_at(__FILE__, __LINE__,
               "%s; `aerie data validate %s --kind %s --tokenizer %s%s%s --fix OUT.jsonl` names every fault "
               "and writes the sound rows",
               message, path, ae_data_kind_name(r->kind), r->tokenizer ? r->tokenizer : "M",
               r->mapping[0] ? " --map " : "", r->mapping);
}

static ae_status render_file(const char *set, const char *path, const ae_rendering *r) {
    ae_status st = AE_OK;
    ae_tokenizer *tokenizer = NULL;
    ae_record_map map = {0};
    ae_examples_report report = {0};
    AE_TRY(ae_record_map_init(&map, r->mapping[0] ? r->mapping : NULL));
    AE_TRY(ae_record_map_check(&map, r->kind));
    if (r->tokenizer) AE_TRY(ae_tokenizer_open(&tokenizer, r->tokenizer));
    const ae_examples_options o = {
        .inputs = &path,
        .n_inputs = 1,
        .rules = {.kind = r->kind, .map = &map, .tokenizer = tokenizer, .vocab_size = r->vocab_size},
        .mapping = r->mapping[0] ? r->mapping : NULL,
        .output = set};
    AE_TRY(ae_folder_make(r->folder));
    st = ae_examples_prepare(&o, &report);
    if (st == AE_ERR_INPUT) name_remedy(path, r);
    AE_TRY(st);
    tell(path, &report);
out:
    ae_bad_lines_free(&report.bad);
    ae_tokenizer_delete(tokenizer);
    ae_record_map_free(&map);
    return st;
}

static ae_status take_path(void *context, const char *path, char **set) {
    const ae_rendering *r = context;
    if (!ae_path_names_jsonl(path)) return AE_OK;
    const ae_status st = name_set(set, path, r);
    return st == AE_OK && !ae_path_exists(*set) ? render_file(*set, path, r) : st;
}

ae_status ae_render_files(char **out, const char *tree, const ae_rendering *r) {
    ae_rendering copy = *r;
    return ae_tree_paths_change(out, tree, "data.train", take_path, &copy);
}
