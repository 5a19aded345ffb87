#include "cli/eval_flags.h"
#include "cli/eval_verbs.h"
#include "cli/example_flags.h"
#include "cli/token_print.h"
#include "core/file.h"
#include "core/json.h"
#include "core/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] = "aerie eval show TASK DATA [--flags]\n\n"
                            "What a model is asked about documents of a task: the exact context, the "
                            "continuations that are scored or where an\n"
                            "answer stops. With --model or --tokenizer as tokens: on a terminal scored ones "
                            "are coloured, those of the context\n"
                            "grey; elsewhere [scored] and (context).";

typedef struct {
    int64_t n, first;
    bool json;
    const char *color;
    ae_token_print print;
} show_options;

static ae_status no_memory(void) {
    return AE_FAIL(AE_ERR_RESOURCE, "eval show: out of memory");
}

/* ---- tokens ---- */

/* White space at the context's end belongs to the continuation, since pieces begin with spaces. */
static size_t context_end(const char *context) {
    size_t n = strlen(context);
    while (n > 0 && strchr(" \t\r\n\v\f", context[n - 1]) != NULL) n--;
    return n;
}

/* <bos>, and context and continuation as one text; of its tokens those behind the context's are scored. */
static ae_status print_tokens(const ae_token_print *p, const char *context, const char *continuation) {
    ae_ids ids = {0}, head = {0};
    char *whole = NULL;
    ae_status st;
    const int32_t bos = ae_tokenizer_special(p->tokenizer).bos;
    if (asprintf(&whole, "%s%s", context, continuation) < 0) return no_memory();
    if (bos >= 0) AE_TRY(ae_ids_append(&ids, bos));
    AE_TRY(ae_tokenizer_encode(p->tokenizer, whole, strlen(whole), &ids));
    AE_TRY(ae_tokenizer_encode(p->tokenizer, context,
                               continuation[0] != '\0' ? context_end(context) : strlen(context), &head));
    const ptrdiff_t scored = head.n + (bos >= 0);
    uint8_t *mask = calloc((size_t)ids.n + 1, 1);
    if (mask == NULL) {
        st = no_memory();
        goto out;
    }
    for (ptrdiff_t i = scored; i < ids.n; i++) mask[i] = 1;
    ae_print_run(p, &(ae_token_run){.ids = ids.ids, .mask = mask, .n = ids.n, .begins = true});
    free(mask);
out:
    ae_ids_free(&ids);
    ae_ids_free(&head);
    free(whole);
    return st;
}

/* ---- for people ---- */

static void print_quoted(const char *text) {
    json_t *s = json_string(text);
    char *quoted = json_dumps(s, JSON_ENCODE_ANY);
    printf("%s\n", quoted != NULL ? quoted : "");
    free(quoted);
    json_decref(s);
}

static ae_status print_choices(const show_options *o, const ae_request *r) {
    ae_status st = AE_OK;
    for (ptrdiff_t c = 0; c < r->n_choices && st == AE_OK; c++) {
        printf("%s choice %td%s: ", r->gold[c] ? "*" : " ", c, r->gold[c] ? ", right" : "");
        print_quoted(r->continuations[c]);
        if (o->print.tokenizer != NULL)
            st = print_tokens(&o->print, r->contexts[c], r->continuations[c]);
        else if (r->partial)
            printf("context: %s\n", r->contexts[c]);
    }
    return st;
}

static ae_status print_answer(const show_options *o, const ae_task *leaf, const ae_request *r) {
    ae_status st = AE_OK;
    if (o->print.tokenizer != NULL) st = print_tokens(&o->print, r->contexts[0], "");
    for (size_t i = 0; i < r->n_references; i++) {
        printf("reference %zu: ", i);
        print_quoted(r->references[i]);
    }
    printf("at most %d tokens, %s, %d answer%s; stops before\n", leaf->max_new,
           leaf->temperature > 0 ? "drawn" : "greedy", leaf->repeats, ae_plural(leaf->repeats));
    for (size_t i = 0; i < leaf->n_stops; i++) print_quoted(leaf->stops[i]);
    return st;
}

static ae_status print_request(const show_options *o, const ae_task *leaf, const ae_task_documents *d,
                               ptrdiff_t i, const ae_request *r) {
    char where[AE_WHERE_BYTES];
    ae_task_documents_where(where, sizeof where, d, i);
    printf("=== %s, document %td: %s%s%s\n", leaf->name, i, where, r->group[0] != '\0' ? ", group " : "",
           r->group);
    if (r->text != NULL && o->print.tokenizer != NULL) return print_tokens(&o->print, "", r->text);
    if (r->text != NULL) {
        printf("%s\n", r->text);
        return AE_OK;
    }
    if (o->print.tokenizer == NULL && !r->partial) printf("%s\n--- end of the context\n", r->contexts[0]);
    return r->n_choices > 0 ? print_choices(o, r) : print_answer(o, leaf, r);
}

/* ---- for programs ---- */

static json_t *texts_json(char *const *texts, size_t n) {
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) json_array_append_new(list, json_string(texts[i]));
    return list;
}

static json_t *gold_json(const ae_request *r) {
    json_t *list = json_array();
    for (ptrdiff_t c = 0; c < r->n_choices; c++)
        if (r->gold[c]) json_array_append_new(list, json_integer(c));
    return list;
}

static ae_status write_request(const ae_task *leaf, const ae_task_documents *d, ptrdiff_t i,
                               const ae_request *r) {
    char where[AE_WHERE_BYTES];
    const size_t n = (size_t)r->n_choices;
    ae_task_documents_where(where, sizeof where, d, i);
    json_t *o = json_pack("{s:s, s:I, s:s, s:s, s:O}", "task", leaf->name, "doc_id", (json_int_t)i, "where",
                          where, "group", r->group, "facts", r->facts);
    if (o == NULL) return no_memory();
    if (r->text != NULL) json_object_set_new(o, "text", json_string(r->text));
    if (n > 0) {
        json_object_set_new(o, "contexts", texts_json(r->contexts, n));
        json_object_set_new(o, "continuations", texts_json(r->continuations, n));
        json_object_set_new(o, "gold", gold_json(r));
    } else if (r->contexts != NULL) {
        json_object_set_new(o, "context", json_string(r->contexts[0]));
        json_object_set_new(o, "references", texts_json(r->references, r->n_references));
        json_object_set_new(o, "stop", texts_json(leaf->stops, leaf->n_stops));
        json_object_set_new(o, "max_new", json_integer(leaf->max_new));
    }
    const ae_status st = ae_json_write_line(o, stdout, "standard output");
    json_decref(o);
    return st;
}

static ae_status show_leaf(const show_options *o, const ae_eval_target *t, const ae_task *leaf) {
    ae_task_documents *d = NULL;
    ae_status st = ae_task_documents_open(&d, leaf, t->data, &t->options);
    if (st == AE_OK && o->first >= ae_task_documents_count(d))
        st = AE_FAIL(AE_ERR_USAGE, "--first: expected a document below %td of %s, found %lld",
                     ae_task_documents_count(d), leaf->name, (long long)o->first);
    for (int64_t i = o->first; st == AE_OK && i < o->first + o->n && i < ae_task_documents_count(d); i++) {
        ae_request r;
        st = ae_request_make(&r, d, (ptrdiff_t)i);
        if (st != AE_OK) break;
        st = o->json ? write_request(leaf, d, (ptrdiff_t)i, &r) : print_request(o, leaf, d, (ptrdiff_t)i, &r);
        ae_request_free(&r);
    }
    ae_task_documents_close(d);
    return st;
}

static ae_status set_print(show_options *o, const ae_example_flags *tokens) {
    const bool never = strcmp(o->color, "never") == 0, always = strcmp(o->color, "always") == 0;
    if (!never && !always && strcmp(o->color, "auto") != 0)
        return AE_FAIL(AE_ERR_USAGE, "--color: expected auto, always or never, found '%s'", o->color);
    o->print.tokenizer = tokens->opened;
    o->print.color = always || (!never && isatty(STDOUT_FILENO) && !getenv("NO_COLOR"));
    return AE_OK;
}

static ae_status show(show_options *o, const ae_eval_flags *flags, ae_example_flags *tokens,
                      const ae_arg_list *words) {
    ae_eval_target t = {0};
    ae_status st;
    if (tokens->tokenizer != NULL || tokens->model != NULL) AE_TRY(ae_example_flags_open(tokens));
    AE_TRY(set_print(o, tokens));
    AE_TRY(ae_eval_target_open(&t, words, flags, "eval show"));
    /* Documents behind those shown change none of the draws before them. */
    t.options.limit = (ptrdiff_t)(o->first + o->n);
    for (size_t i = 0; i < t.n && st == AE_OK; i++) st = show_leaf(o, &t, t.leaves[i]);
out:
    ae_eval_target_close(&t);
    ae_example_flags_close(tokens);
    return st;
}

ae_status ae_verb_eval_show(int argc, char **argv) {
    show_options o = {.n = 1, .color = "auto"};
    ae_eval_flags flags = AE_EVAL_FLAGS;
    ae_example_flags tokens = {0};
    ae_arg_list words = {0};
    bool help = false;
    const ae_arg table[] = {
        {.name = "n",
         .type = AE_ARG_INT,
         .to = &o.n,
         .min = 1,
         .max = 1e9,
         .fallback = "1",
         .help = "documents of each part"},
        {.name = "first",
         .type = AE_ARG_INT,
         .to = &o.first,
         .min = 0,
         .max = 1e9,
         .fallback = "0",
         .help = "the first one shown"},
        ae_arg_num_fewshot(&flags),
        ae_arg_fewshot_seed(&flags),
        ae_arg_tokenizer(&tokens),
        ae_arg_tokenizer_of_model(&tokens),
        {.name = "color",
         .type = AE_ARG_TEXT,
         .to = &o.color,
         .value = "WHEN",
         .fallback = "auto",
         .help = "colours: auto, always or never"},
        {.name = "json",
         .type = AE_ARG_FLAG,
         .to = &o.json,
         .help = "one JSON object for each document, without tokens"},
    };
    const size_t n = sizeof table / sizeof *table;
    ae_status st = ae_args_parse(argc, argv, table, n, &words, &help);
    if (st == AE_OK && help)
        ae_args_help(usage, table, n, stdout);
    else if (st == AE_OK)
        st = show(&o, &flags, &tokens, &words);
    ae_arg_list_free(&words);
    return st;
}
