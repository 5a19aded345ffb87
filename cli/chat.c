#include "cli/chat.h"

#include "cli/line_input.h"
#include "cli/results.h"
#include "core/config.h"
#include "core/json.h"
#include "core/log.h"
#include "core/process.h"

#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- signals ---- */

enum { INSISTS = 3 }; /* so many SIGINT in a row end the program when nothing answers to them */

static volatile sig_atomic_t interrupts; /* SIGINT since the last turn or line */
static volatile sig_atomic_t ending;     /* another signal that asks the program to stop; 0: none */

static void take_signal(int number) {
    if (number == SIGINT && ++interrupts < INSISTS) return;
    if (number == SIGINT || (ending && ae_stop_signal_insists(number))) _exit(AE_ERR_INTERRUPTED);
    ending = number;
}

static bool is_interrupted(void) {
    return interrupts > 0 || ending;
}

static ae_status stopped_by_signal(void) {
    return AE_FAIL(AE_ERR_INTERRUPTED, "stopped by SIG%s", sigabbrev_np(ending ? (int)ending : SIGINT));
}

/* ---- the desk ---- */

typedef struct {
    const ae_chat_options *o;
    ae_conversation *c;
    ae_line_input *in;
    ae_results out;
    bool screen, dims; /* answers, or what is said about them, go to a terminal */
    bool ends;         /* /quit */
    bool warned;       /* that one more Ctrl-C ends */
    char *file;        /* where the conversation was saved or loaded last; NULL: nowhere */
} desk;

/* A line about the conversation, not of it. */
__attribute__((format(printf, 2, 3))) static void say(const desk *d, const char *fmt, ...) {
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    ae_log(d->dims ? "\033[2m%s\033[0m" : "%s", text);
}

/* ---- answers ---- */

/* Bytes of a control character at the beginning of a text, 0: none. By such characters an answer could steer
 * the terminal. */
static size_t control_bytes(const char *text, size_t n) {
    const unsigned char a = (unsigned char)text[0], b = n > 1 ? (unsigned char)text[1] : 0;
    if ((a < 0x20 && a != '\n' && a != '\t') || a == 0x7f) return 1;
    return a == 0xc2 && b >= 0x80 && b < 0xa0 ? 2 : 0;
}

static void write_visible(const char *text, size_t n, FILE *out) {
    for (size_t i = 0; i < n;) {
        const size_t control = control_bytes(text + i, n - i);
        if (control)
            fputs("\xEF\xBF\xBD", out);
        else
            fputc(text[i], out);
        i += control ? control : 1;
    }
}

static ae_status show_piece(void *context, const char *text, size_t n) {
    desk *d = context;
    if (d->screen)
        write_visible(text, n, d->out.file);
    else
        fwrite(text, 1, n, d->out.file);
    return ae_results_flush(&d->out);
}

static bool is_stopped(void *context) {
    (void)context;
    return is_interrupted();
}

static ae_status write_json(desk *d, const ae_turn *t) {
    static const char *const finish[] = {
        [AE_ANSWER_STOPPED] = "stop", [AE_ANSWER_FULL] = "length", [AE_ANSWER_CANCELLED] = "interrupted"};
    json_t *tokens = json_array();
    for (ptrdiff_t i = t->answer_begin; i < t->end; i++)
        json_array_append_new(tokens, json_integer(ae_conversation_ids(d->c)->ids[i]));
    json_t *answer = json_pack("{s:o, s:o, s:s}", "text", json_stringn(t->answer, t->answer_bytes), "tokens",
                               tokens, "finish", finish[t->how]);
    ae_status st = answer ? ae_json_write_line(answer, d->out.file, d->out.name)
                          : AE_FAIL(AE_ERR_RESOURCE, "answer: out of memory");
    json_decref(answer);
    return st == AE_OK ? ae_results_flush(&d->out) : st;
}

static void tell(const desk *d, const ae_turn_report *r) {
    const long long most = (long long)ae_conversation_settings(d->c)->max_new;
    if (r->taken_back) {
        say(d, "stopped before the answer began: the turn is as it was before");
        return;
    }
    if (r->end == AE_ANSWER_FULL) say(d, "cut at %lld tokens; --max-new N allows more", most);
    if (r->end == AE_ANSWER_CANCELLED) say(d, "stopped");
    if (d->o->verbose)
        say(d, "%td token%s read in %.2f s, %td written in %.2f s, %.1f tok/s; %td in all", r->read_tokens,
            ae_plural(r->read_tokens), r->read_s, r->answer_tokens, r->answer_s,
            r->answer_s > 0 ? (double)r->answer_tokens / r->answer_s : 0, ae_conversation_ids(d->c)->n);
}

static ae_status finish_turn(desk *d, const ae_turn_report *r) {
    const bool script_ends = interrupts && !ae_line_input_edits(d->in);
    ae_status st = AE_OK;
    interrupts = 0; /* one that comes from here on is the prompt's */
    if (!r->taken_back && d->o->json)
        st = write_json(d, ae_conversation_turn(d->c, ae_conversation_turns(d->c) - 1));
    if (!d->o->json && (!r->taken_back || d->screen)) {
        fputc('\n', d->out.file);
        st = ae_results_flush(&d->out);
    }
    if (st == AE_OK) tell(d, r);
    return ending || script_ends ? stopped_by_signal() : st;
}

static ae_conversation_io io_of(desk *d) {
    return (ae_conversation_io){d->o->json ? NULL : show_piece, is_stopped, d};
}

static ae_status answer(desk *d, const char *text, size_t n) {
    ae_turn_report report;
    const ae_conversation_io io = io_of(d);
    const ae_status st = ae_conversation_ask(d->c, text, n, &io, &report);
    return st == AE_OK ? finish_turn(d, &report) : st;
}

/* ---- commands ---- */

static ae_status expect_nothing(const char *name, const char *rest) {
    if (!*rest) return AE_OK;
    return AE_FAIL(AE_ERR_USAGE, "%s: expected nothing after it, found '%s'", name, rest);
}

static ae_status begin(desk *d, const char *system) {
    const ae_status st = ae_conversation_begin(d->c, system, system ? strlen(system) : 0);
    if (st != AE_OK) return st;
    free(d->file);
    d->file = NULL;
    return AE_OK;
}

static ae_status reset(desk *d, const char *rest) {
    ae_status st = expect_nothing("/reset", rest);
    if (st == AE_OK) st = begin(d, ae_conversation_system(d->c));
    if (st == AE_OK)
        say(d, "a new conversation%s", ae_conversation_system(d->c) ? ", with the same system message" : "");
    return st;
}

static ae_status set_system(desk *d, const char *rest) {
    const ae_status st = begin(d, *rest ? rest : NULL);
    if (st == AE_OK) say(d, "a new conversation, with %s system message", *rest ? "this" : "no");
    return st;
}

/* "~/" is the home, as in a shell; the caller frees it. */
static char *path_of(const char *words) {
    const char *home = getenv("HOME");
    char *path = NULL;
    if (strncmp(words, "~/", 2) != 0 || !home) return strdup(words);
    return asprintf(&path, "%s%s", home, words + 1) < 0 ? NULL : path;
}

static ae_status save(desk *d, const char *rest) {
    static const char force[] = "--force";
    const size_t n = sizeof force - 1;
    const bool forced = strncmp(rest, force, n) == 0 && (rest[n] == ' ' || rest[n] == '\0');
    if (forced) rest += n + strspn(rest + n, " ");
    if (!*rest && !d->file) return AE_FAIL(AE_ERR_USAGE, "/save: expected the name of a file, found none");
    char *path = *rest ? path_of(rest) : strdup(d->file);
    if (!path) return AE_FAIL(AE_ERR_RESOURCE, "/save: out of memory");
    const bool own = d->file && strcmp(path, d->file) == 0;
    const ae_status st = ae_conversation_save(d->c, path, forced || own);
    if (st == AE_ERR_USAGE && !forced && !own && access(path, F_OK) == 0)
        ae_fail_at(__FILE__, __LINE__, "%s: exists already; /save --force %s replaces a conversation there",
                   path, rest);
    if (st != AE_OK) {
        free(path);
        return st;
    }
    say(d, "saved in %s", path);
    free(d->file);
    d->file = path;
    return AE_OK;
}

/* Where the conversation stands. */
static void show_turn(const ae_turn *t) {
    fputs("\033[2m> ", stderr);
    write_visible(t->user, t->user_bytes, stderr);
    fputc('\n', stderr);
    write_visible(t->answer, t->answer_bytes, stderr);
    fputs("\033[0m\n", stderr);
}

static ae_status load(desk *d, const char *rest) {
    if (!*rest) return AE_FAIL(AE_ERR_USAGE, "/load: expected the name of a file, found none");
    char *path = path_of(rest);
    if (!path) return AE_FAIL(AE_ERR_RESOURCE, "/load: out of memory");
    const ae_status st = ae_conversation_load(d->c, path);
    if (st != AE_OK) {
        free(path);
        return st;
    }
    ae_sampling_apply(d->o->sampling, false, ae_conversation_settings(d->c));
    const ptrdiff_t n = ae_conversation_turns(d->c);
    say(d, "%td turn%s, %td tokens", n, ae_plural(n), ae_conversation_ids(d->c)->n);
    if (n > 0 && d->dims) show_turn(ae_conversation_turn(d->c, n - 1));
    free(d->file);
    d->file = path;
    return AE_OK;
}

static ae_status undo(desk *d, const char *rest) {
    ae_status st = expect_nothing("/undo", rest);
    if (st == AE_OK) st = ae_conversation_undo(d->c);
    const ptrdiff_t n = ae_conversation_turns(d->c);
    if (st == AE_OK) say(d, "the last turn is taken back; %td turn%s left", n, n == 1 ? " is" : "s are");
    return st;
}

static ae_status retry(desk *d, const char *rest) {
    ae_turn_report report;
    const ae_conversation_io io = io_of(d);
    ae_status st = expect_nothing("/retry", rest);
    if (st == AE_OK && ae_conversation_settings(d->c)->sampling.temperature <= 0)
        say(d, "at temperature 0 the answer is always the same");
    if (st == AE_OK) st = ae_conversation_retry(d->c, &io, &report);
    return st == AE_OK ? finish_turn(d, &report) : st;
}

static ae_status help(desk *d, const char *rest) {
    const ae_status st = expect_nothing("/help", rest);
    (void)d;
    if (st == AE_OK) ae_chat_list_commands(stderr);
    return st;
}

static ae_status quit(desk *d, const char *rest) {
    const ae_status st = expect_nothing("/quit", rest);
    d->ends = st == AE_OK;
    return st;
}

static const struct {
    const char *name, *takes, *what;
    ae_status (*run)(desk *d, const char *rest);
} commands[] = {
    {"/undo", "", "take back the last turn", undo},
    {"/retry", "", "another answer to the last message", retry},
    {"/reset", "", "a new conversation with the same system message", reset},
    {"/system", " [TEXT]", "a new conversation with this system message, or with none", set_system},
    {"/save", " [--force] [FILE]", "keep the conversation; without FILE where it was saved or loaded last",
     save},
    {"/load", " FILE", "go on with one that was saved", load},
    {"/help", "", "this list", help},
    {"/quit", "", "end, as Ctrl-D does", quit},
};
enum { COMMANDS = sizeof commands / sizeof *commands };

void ae_chat_list_commands(FILE *out) {
    for (int i = 0; i < COMMANDS; i++) {
        char call[40];
        snprintf(call, sizeof call, "%s%s", commands[i].name, commands[i].takes);
        fprintf(out, "  %-24s  %s\n", call, commands[i].what);
    }
    fputs("\nOther lines are messages. One that ends with \\ goes on in the next line; one that begins with "
          "/ needs a "
          "space\nbefore it. Ctrl-C stops an answer, Ctrl-D ends.\n",
          out);
}

static ae_status no_such(const char *name) {
    const char *names[COMMANDS];
    for (int i = 0; i < COMMANDS; i++) names[i] = commands[i].name;
    const char *near = ae_nearest_word(name, names, COMMANDS);
    if (near) return AE_FAIL(AE_ERR_USAGE, "%s: no such command; did you mean %s?", name, near);
    return AE_FAIL(AE_ERR_USAGE,
                   "%s: no such command; /help lists them; a space before it makes it a message", name);
}

static ae_status command(desk *d, char *line) {
    size_t n = strcspn(line, " \t");
    char *rest = line + n + strspn(line + n, " \t");
    for (size_t end = strlen(rest); end > 0 && strchr(" \t", rest[end - 1]); end--) rest[end - 1] = '\0';
    line[n] = '\0';
    for (int i = 0; i < COMMANDS; i++)
        if (strcmp(line, commands[i].name) == 0) return commands[i].run(d, rest);
    return no_such(line);
}

/* ---- lines ---- */

/* A message or command, of several lines where they end with a backslash. */
typedef struct {
    char *text;
    size_t n;
} entry;

static ae_status add_line(entry *e, const char *line, size_t n) {
    char *grown = realloc(e->text, e->n + n + 2);
    if (!grown) return AE_FAIL(AE_ERR_RESOURCE, "message: out of memory");
    e->text = grown;
    memcpy(e->text + e->n, line, n);
    e->n += n;
    e->text[e->n] = '\0';
    return AE_OK;
}

static ae_status read_entry(desk *d, entry *e, ae_line_event *event) {
    const char *line = "";
    size_t n = 0;
    ae_status st = AE_OK;
    e->n = 0;
    for (bool more = true; more && st == AE_OK;) {
        st = ae_line_input_next(d->in, e->n ? ". " : "> ", event, &line, &n);
        if (st != AE_OK || *event != AE_LINE_TEXT) break;
        more = n > 0 && line[n - 1] == '\\';
        st = add_line(e, line, n - more);
        if (st == AE_OK && more) st = add_line(e, "\n", 1);
    }
    if (*event == AE_LINE_END && e->n) *event = AE_LINE_TEXT;
    return st;
}

static ae_status take_entry(desk *d, entry *e) {
    if (strspn(e->text, " \t\n\r") == e->n) return AE_OK;
    return e->text[0] == '/' ? command(d, e->text) : answer(d, e->text, e->n);
}

/* At a terminal a mistake is told, and the conversation goes on; a script ends. */
static ae_status forgive(const desk *d, ae_status st) {
    const bool wrong = st == AE_ERR_USAGE || st == AE_ERR_INPUT || st == AE_ERR_RESOURCE;
    if (!wrong || ferror(d->out.file)) return st;
    if (!ae_line_input_edits(d->in)) {
        ae_fail_prefix("standard input:%lld", (long long)ae_line_input_number(d->in));
        return st;
    }
    ae_log_fresh_line();
    fprintf(stderr, "aerie: %s\n", ae_error_message());
    return AE_OK;
}

static ae_status interrupted(desk *d) {
    if (ending || d->warned || !ae_line_input_edits(d->in)) return stopped_by_signal();
    interrupts = 0;
    d->warned = true;
    say(d, "Ctrl-C again or Ctrl-D ends");
    return AE_OK;
}

static ae_status converse(desk *d) {
    entry e = {0};
    ae_status st = AE_OK;
    while (st == AE_OK && !d->ends) {
        ae_line_event event = AE_LINE_END;
        st = read_entry(d, &e, &event);
        if (st != AE_OK || event == AE_LINE_END) break;
        if (event == AE_LINE_INTERRUPTED) {
            st = interrupted(d);
            continue;
        }
        d->warned = false;
        st = forgive(d, take_entry(d, &e));
    }
    free(e.text);
    return st;
}

ae_status ae_chat_run(ae_conversation *c, const ae_chat_options *o) {
    desk d = {.o = o,
              .c = c,
              .screen = isatty(STDOUT_FILENO),
              .dims = isatty(STDERR_FILENO) && !getenv("NO_COLOR")};
    const ae_line_options lines = {.history = !o->no_history, .interrupted = is_interrupted};
    ae_status st;
    ae_stop_signals_catch(take_signal, 0, NULL);
    AE_TRY(ae_results_open(&d.out, NULL, false));
    ae_sampling_apply(o->sampling, true, ae_conversation_settings(c));
    AE_TRY(begin(&d, o->system));
    AE_TRY(ae_line_input_open(&d.in, &lines));
    if (ae_line_input_edits(d.in)) say(&d, "/help lists the commands; Ctrl-C stops an answer, Ctrl-D ends");
    AE_TRY(converse(&d));
out:
    ae_line_input_close(d.in);
    free(d.file);
    return ae_results_close(&d.out, st);
}
