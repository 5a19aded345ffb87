#include "benchmark/encode.h"
#include "cli/eval_flags.h"
#include "cli/eval_verbs.h"
#include "cli/example_flags.h"
#include "cli/token_print.h"
#include "core/file.h"
#include "core/json.h"
#include "data/render.h"

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
    bool json, chat;
    const char *color;
    ae_token_print print;
} show_options;

static ae_status no_memory(void) {
    return AE_FAIL(AE_ERR_RESOURCE, "eval show: out of memory");
}

/* ---- for people ---- */

static const char BOLD[] = "\033[1m", GREY[] = "\033[38;5;245m", GREEN[] = "\033[32m", PLAIN[] = "\033[0m";

static const char *paint(const show_options *o, const char *color) {
    return o->print.color ? color : "";
}

static void print_quoted(const char *text) {
    json_t *s = json_string(text);
    char *quoted = json_dumps(s, JSON_ENCODE_ANY);
    fputs(quoted != NULL ? quoted : "", stdout);
    free(quoted);
    json_decref(s);
}

static void print_rule(const show_options *o, const char *what) {
    printf("%s--- %s%s\n", paint(o, GREY), what, paint(o, PLAIN));
}

static void print_ids(const show_options *o, const ae_ids *ids, ptrdiff_t from, ptrdiff_t n, bool scored) {
    ae_print_run(&o->print, &(ae_token_run){.ids = ids->ids + from, .n = n, .counted = scored});
}

static void print_choice_head(const show_options *o, const ae_request *r, ptrdiff_t c) {
    const bool right = r->gold[c];
    printf("%s%c choice %td%s:%s ", right ? paint(o, GREEN) : "", right ? '*' : ' ', c,
           right ? ", right" : "", right ? paint(o, PLAIN) : "");
}

static ae_encoding encoding_of(const show_options *o) {
    return (ae_encoding){
        .tokenizer = o->print.tokenizer, .vocab = INT64_MAX, .bos = true, .chat = o->chat, .max_length = 0};
}

/* The context once, but where it differs from choice to choice. */
static ae_status print_choice_tokens(const show_options *o, const ae_task *leaf, const ae_request *r,
                                     const char *where) {
    const ae_encoding how = encoding_of(o);
    ae_ids ids = {0};
    ae_status st = AE_OK;
    for (ptrdiff_t c = 0; c < r->n_choices && st == AE_OK; c++) {
        ae_encoded e;
        st = ae_encode_choice(&e, &ids, &how, leaf, r, c, NULL, false, where);
        if (st != AE_OK) break;
        if (c == 0 || r->partial) {
            print_ids(o, &ids, e.context, e.n_context, false);
            print_rule(o, "end of the context");
        }
        print_choice_head(o, r, c);
        print_ids(o, &ids, e.continuation, e.n_continuation, true);
    }
    ae_ids_free(&ids);
    return st;
}

static void print_choice_texts(const show_options *o, const ae_request *r) {
    for (ptrdiff_t c = 0; c < r->n_choices; c++) {
        if (c == 0 || r->partial) {
            printf("%s\n", r->contexts[c]);
            print_rule(o, "end of the context");
        }
        print_choice_head(o, r, c);
        print_quoted(r->continuations[c]);
        putchar('\n');
    }
}

static ae_status print_context(const show_options *o, const ae_task *leaf, const ae_request *r,
                               const char *where) {
    ae_status st = AE_OK;
    if (o->print.tokenizer == NULL) {
        printf("%s\n", r->contexts[0]);
    } else {
        const ae_encoding how = encoding_of(o);
        ae_encoded e;
        ae_ids ids = {0};
        st = ae_encode_prompt(&e, &ids, &how, r, leaf->max_new, where);
        if (st == AE_OK) print_ids(o, &ids, e.context, e.n_context, false);
        ae_ids_free(&ids);
    }
    print_rule(o, "end of the context");
    return st;
}

/* A text whose first tokens are asked; those behind them are what a model may remember. */
static ae_status print_recall(const show_options *o, const ae_task *leaf, const ae_request *r,
                              const char *where) {
    if (o->print.tokenizer == NULL) {
        printf("%s\n", r->contexts[0]);
        print_rule(o, "end of the document");
        printf("  its first %d tokens are asked, the %d behind them are right\n", leaf->prompt_tokens,
               leaf->max_new);
        return AE_OK;
    }
    const ae_encoding how = encoding_of(o);
    ae_encoded e;
    ae_ids ids = {0};
    const ae_status st =
        ae_encode_recall(&e, &ids, &how, r->contexts[0], leaf->prompt_tokens, leaf->max_new, where);
    if (st == AE_OK && e.n_continuation == 0)
        printf("  shorter than %d tokens: not asked\n", leaf->prompt_tokens + leaf->max_new);
    if (st == AE_OK && e.n_continuation > 0) {
        print_ids(o, &ids, e.context, e.n_context, false);
        print_rule(o, "end of the context; right is");
        print_ids(o, &ids, e.continuation, e.n_continuation, true);
    }
    ae_ids_free(&ids);
    return st;
}

/* The program that tests the first reference. */
static ae_status print_program(const show_options *o, const ae_task *leaf, const ae_task_documents *d,
                               ptrdiff_t i, const ae_request *r) {
    char *program = NULL;
    if (!leaf->has_program) return AE_OK;
    const ae_status st = ae_request_program(&program, d, i, r->n_references > 0 ? r->references[0] : "");
    if (st != AE_OK) return st;
    print_rule(o, "the program that tests an answer, here the reference");
    printf("%s\n", program);
    free(program);
    return AE_OK;
}

static ae_status print_answer(const show_options *o, const ae_task *leaf, const ae_task_documents *d,
                              ptrdiff_t i, const ae_request *r, const char *where) {
    ae_status st = print_context(o, leaf, r, where);
    if (st != AE_OK) return st;
    if (leaf->temperature > 0)
        printf("  answers: %d, temperature %g, top-p %g", leaf->repeats, leaf->temperature, leaf->top_p);
    else
        printf("  answer: greedy");
    printf(", up to %d tokens", leaf->max_new);
    for (size_t k = 0; k < leaf->n_stops; k++) {
        fputs(k == 0 ? ", until " : " or ", stdout);
        print_quoted(leaf->stops[k]);
    }
    putchar('\n');
    for (size_t k = 0; k < r->n_references; k++) {
        printf("%s* reference:%s ", paint(o, GREEN), paint(o, PLAIN));
        print_quoted(r->references[k]);
        putchar('\n');
    }
    return print_program(o, leaf, d, i, r);
}

static ae_status print_rolling(const show_options *o, const ae_request *r, const char *where) {
    if (o->print.tokenizer == NULL) {
        printf("%s\n", r->text);
        return AE_OK;
    }
    const ae_encoding how = encoding_of(o);
    ae_encoded *windows = NULL;
    ptrdiff_t n = 0;
    ae_ids ids = {0};
    const ae_status st = ae_encode_rolling(&windows, &n, &ids, &how, r->text, where);
    if (st == AE_OK) print_ids(o, &ids, windows[0].continuation, windows[0].n_continuation, true);
    free(windows);
    ae_ids_free(&ids);
    return st;
}

static void print_facts(const ae_request *r) {
    if (json_object_size(r->facts) == 0) return;
    char *facts = json_dumps(r->facts, 0);
    printf("  facts: %s\n", facts != NULL ? facts : "");
    free(facts);
}

static ae_status print_request(const show_options *o, const ae_task *leaf, const ae_task_documents *d,
                               ptrdiff_t i, const ae_request *r) {
    char where[AE_WHERE_BYTES];
    ae_task_documents_where(where, sizeof where, d, i);
    printf("%s=== %s, document %td: %s%s%s%s\n", paint(o, BOLD), leaf->name, i, where,
           r->group[0] != '\0' ? ", group " : "", r->group, paint(o, PLAIN));
    ae_status st = AE_OK;
    if (r->text != NULL)
        st = print_rolling(o, r, where);
    else if (leaf->prompt_tokens > 0)
        st = print_recall(o, leaf, r, where);
    else if (r->n_choices == 0)
        st = print_answer(o, leaf, d, i, r, where);
    else if (o->print.tokenizer != NULL)
        st = print_choice_tokens(o, leaf, r, where);
    else
        print_choice_texts(o, r);
    if (st == AE_OK) print_facts(r);
    return st;
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
    ae_status st = AE_OK;
    if (!never && !always && strcmp(o->color, "auto") != 0)
        return AE_FAIL(AE_ERR_USAGE, "--color: expected auto, always or never, found '%s'", o->color);
    o->print.tokenizer = tokens->opened;
    if (o->chat && tokens->opened == NULL)
        return AE_FAIL(AE_ERR_USAGE, "--apply-chat-template: expected --tokenizer or --model, found neither");
    if (tokens->opened != NULL && ae_tokenizer_special(tokens->opened).bos < 0)
        return AE_FAIL(AE_ERR_INPUT, "%s: expected a tokenizer with <bos>, found one without",
                       tokens->tokenizer_path);
    if (o->chat) AE_TRY(ae_render_check(tokens->opened, tokens->tokenizer_path));
    o->print.color = always || (!never && isatty(STDOUT_FILENO) && !getenv("NO_COLOR"));
out:
    return st;
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
        {.name = "apply-chat-template",
         .type = AE_ARG_FLAG,
         .to = &o.chat,
         .help = "tokens as `eval --apply-chat-template` makes them"},
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
