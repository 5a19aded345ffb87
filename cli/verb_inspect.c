#include "cli/args.h"
#include "cli/facts.h"
#include "cli/inspect.h"
#include "cli/verbs.h"
#include "core/file.h"
#include "core/h5.h"
#include "eval/conversation.h"
#include "formats/tensors.h"

#include <stdlib.h>
#include <string.h>

static const char usage[] = "aerie inspect PATH [--tensors] [--quick] [--json]\n\n"
                            "What a model's folder, a checkpoint, a run, a token set, a safetensors file, a "
                            "tokenizer.model or a saved\n"
                            "conversation is: shapes, counts, types, hashes, where it comes from, and "
                            "whether it is whole. Ends with\n"
                            "status 3 when it is not, after saying what is wrong.";

/* ---- what a path is ---- */

static bool ends_with(const char *text, const char *tail) {
    const size_t n = strlen(text), k = strlen(tail);
    return n >= k && strcmp(text + n - k, tail) == 0;
}

static ae_status unknown(const char *path) {
    return AE_FAIL(AE_ERR_INPUT,
                   "%s: expected a model's folder, a checkpoint, a run, a token set, a safetensors file, a "
                   "tokenizer.model or a conversation, found none of them",
                   path);
}

static ae_status look_at_folder(ae_inspection *i, const char *path) {
    if (ae_path_has(path, "model.json") || ae_path_has(path, "DONE") ||
        strncmp(ae_path_last(path), "step-", 5) == 0)
        return ae_inspect_checkpoint(i, path);
    if (ae_path_has(path, "config.json")) return ae_inspect_hf(i, path);
    if (ae_path_has(path, "adapter_config.json")) return ae_inspect_peft(i, path);
    if (ae_path_has(path, "members.json")) return ae_inspect_members(i, path);
    if (ae_path_has(path, "warp.json")) return ae_inspect_warp(i, path);
    return ae_path_has(path, "checkpoints") ? ae_inspect_run(i, path) : unknown(path);
}

static ae_status look_at_h5(ae_inspection *i, const char *path) {
    hid_t h5 = H5I_INVALID_HID;
    const bool opened = ae_h5_open(&h5, path) == AE_OK;
    const bool conversation = opened && ae_conversation_is_file(h5, path);
    const bool tensors = opened && !ae_h5_has(h5, "tokens") && !ae_h5_has(h5, "doc_starts");
    if (opened) (void)ae_h5_close(h5, path); /* read only: nothing to lose */
    if (conversation) return ae_inspect_conversation(i, path);
    const char *name = ae_path_last(path);
    const bool named = strcmp(name, "weights.h5") == 0 || strcmp(name, "optimizer.h5") == 0;
    return tensors || (!opened && named) ? ae_inspect_tensor_file(i, path) : ae_inspect_token_set(i, path);
}

/* By what a file begins with, and by its name where it is too damaged for that. */
static ae_status look_at_file(ae_inspection *i, const char *path) {
    char start[9] = "";
    FILE *f = fopen(path, "rbe");
    const size_t n = f ? fread(start, 1, sizeof start, f) : 0;
    if (f) fclose(f);
    if (ae_file_is_h5(path)) return look_at_h5(i, path);
    if (ends_with(path, ".safetensors") || (n == 9 && start[8] == '{'))
        return ae_inspect_tensor_file(i, path);
    if (ends_with(path, ".model")) return ae_inspect_tokenizer(i, path);
    return unknown(path);
}

/* ---- the verb ---- */

static ae_status look(ae_inspection *i, const char *path) {
    if (!ae_path_exists(path))
        return AE_FAIL(AE_ERR_INPUT, "%s: expected a file or folder, found nothing there", path);
    return ae_path_is_folder(path) ? look_at_folder(i, path) : look_at_file(i, path);
}

/* The report has said what they are. */
static ae_status not_whole(const char *path, size_t faults) {
    return AE_FAIL(AE_ERR_INPUT, "%s: not whole: %zu fault%s", path, faults, faults == 1 ? "" : "s");
}

static void replace_true(json_t *o, const char *text) {
    if (json_is_true(json_object_get(o, "whole"))) json_object_set_new(o, "whole", json_string(text));
}

/* To a reader "yes" would promise what was not looked at. */
static void say_sizes(json_t *facts) {
    static const char *const tables[] = {"checkpoints", "files"};
    json_t *row;
    size_t k;
    replace_true(facts, "sizes agree; contents not read");
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++) {
        json_array_foreach(json_object_get(facts, tables[t]), k, row) {
            replace_true(row, "sizes agree");
        }
    }
}

static ae_status inspect(const char *given, ae_inspection *i, bool json) {
    char *path = ae_path_join("", given);
    ae_status st;
    for (size_t n = strlen(path); n > 1 && path[n - 1] == '/'; n--) path[n - 1] = '\0';
    i->faults = json_array();
    i->facts = json_pack("{s:s, s:n, s:n, s:O}", "path", path, "kind", "whole", "faults", i->faults);
    if (!i->facts) AE_TRY(AE_FAIL(AE_ERR_USAGE, "PATH: expected a name in UTF-8"));
    AE_TRY(look(i, path));
    json_object_set_new(i->facts, "whole", json_boolean(json_array_size(i->faults) == 0));
    if (i->quick && !json) say_sizes(i->facts);
    AE_TRY(ae_facts_print(i->facts, json));
    const size_t faults = json_array_size(i->faults);
    if (faults > 0) st = not_whole(path, faults);
out:
    json_decref(i->facts);
    json_decref(i->faults);
    free(path);
    return st;
}

ae_status ae_verb_inspect(int argc, char **argv) {
    ae_inspection i = {0};
    ae_arg_list words = {0};
    bool json = false, help = false;
    const ae_arg table[] = {
        {.name = "tensors",
         .type = AE_ARG_FLAG,
         .to = &i.tensors,
         .help = "list every tensor with its type, shape and file"},
        {.name = "quick",
         .type = AE_ARG_FLAG,
         .to = &i.quick,
         .help = "headers and sizes only: no checksum is computed, no token read"},
        {.name = "json", .type = AE_ARG_FLAG, .to = &json, .help = "one JSON object"},
    };
    const size_t n = sizeof table / sizeof *table;
    ae_status st = ae_args_parse(argc, argv, table, n, &words, &help);
    if (st == AE_OK && help)
        ae_args_help(usage, table, n, stdout);
    else if (st == AE_OK && words.n != 1)
        st = AE_FAIL(AE_ERR_USAGE, "inspect: expected one path, found %zu", words.n);
    else if (st == AE_OK)
        st = inspect(words.items[0], &i, json);
    ae_arg_list_free(&words);
    return st;
}
