#include "cli/verbs.h"
#include "core/config.h"
#include "core/file.h"
#include "core/log.h"
#include "core/process.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    const char *name;
    ae_verb_fn *run;
    const char *group, *what;
} verb;

static const verb verbs[] = {
    {"tokenizer", ae_verb_tokenizer, "data", "train a tokenizer; encode, decode, inspect, trim"},
    {"data", ae_verb_data, "data", "text or JSONL to token sets: prepare, render, validate, inspect"},
    {"plan", ae_verb_plan, "training", "parameters, memory, FLOPs and time of a run before it starts"},
    {"pretrain", ae_verb_pretrain, "training", "train on token sets; the same command again resumes"},
    {"sft", ae_verb_sft, "training", "tune a model on the answers of dialogues"},
    {"reward", ae_verb_reward, "training", "train a reward model on pairs of answers"},
    {"rlhf", ae_verb_rlhf, "training", "learn from rewards of a model's own answers, or from pairs"},
    {"plot", ae_verb_plot, "training",
     "pictures and an HTML report of runs, or of results of eval and bench"},
    {"score", ae_verb_score, "using a model", "log-probabilities of given text or tokens"},
    {"eval", ae_verb_eval, "using a model",
     "benchmarks: ask a model; list them, check their data, show prompts"},
    {"generate", ae_verb_generate, "using a model", "sample from a model, one prompt or many at once"},
    {"chat", ae_verb_chat, "using a model", "talk with a model that was tuned on dialogues"},
    {"judge", ae_verb_judge, "using a model", "answers of several models, judged by people on a page"},
    {"quantize", ae_verb_quantize, "using a model", "weights in bfloat16, or in 8 or 4 bits by group"},
    {"export", ae_verb_export, "using a model", "a Hugging Face folder of a checkpoint or run"},
    {"merge", ae_verb_merge, "using a model", "one model of several: averages, interpolation, SLERP"},
    {"inspect", ae_verb_inspect, "using a model",
     "what a model, checkpoint or token set is, and whether it is whole"},
    {"bench", ae_verb_bench, "this machine", "training, decoding and kernels against measured limits"},
};
enum { N_VERBS = sizeof verbs / sizeof *verbs };

static void print_help(FILE *out) {
    fputs("aerie " AERIE_VERSION " - trains RecurrentGemma (Griffin) language models from raw text\n\n"
          "usage: aerie VERB [CONFIG.yaml] [section.key=value ...] [--flags]\n"
          "       aerie VERB --help\n",
          out);
    const char *group = "";
    for (size_t i = 0; i < N_VERBS; i++) {
        if (strcmp(group, verbs[i].group) != 0) fprintf(out, "\n%s\n", verbs[i].group);
        group = verbs[i].group;
        fprintf(out, "  %-10s %s\n", verbs[i].name, verbs[i].what);
    }
    fputs("\nexamples\n"
          "  aerie data prepare --input book.txt --tokenizer book.model --output book\n"
          "  aerie generate --model runs/book --prompt \"It was\" --max-new 100\n",
          out);
}

static ae_status unknown_verb(const char *name) {
    const char *names[N_VERBS];
    for (size_t i = 0; i < N_VERBS; i++) names[i] = verbs[i].name;
    const char *near = ae_nearest_word(name, names, N_VERBS);
    if (near) return AE_FAIL(AE_ERR_USAGE, "%s: no such verb; did you mean %s?", name, near);
    return AE_FAIL(AE_ERR_USAGE, "%s: no such verb; aerie --help lists those there are", name);
}

static ae_status run_verb(int argc, char **argv) {
    for (size_t i = 0; i < N_VERBS; i++)
        if (strcmp(argv[0], verbs[i].name) == 0) return verbs[i].run(argc, argv);
    return unknown_verb(argv[0]);
}

/* `aerie help data prepare` is `aerie data prepare --help`. */
static ae_status help_of(int n, char **words) {
    char flag[] = "--help", *argv[] = {words[0], n > 1 ? words[1] : flag, n > 1 ? flag : NULL, NULL};
    return run_verb(n > 1 ? 3 : 2, argv);
}

static ae_status run(int argc, char **argv) {
    if (argc < 2) {
        print_help(stderr);
        return AE_FAIL(AE_ERR_USAGE, "%s", ""); /* all is said */
    }
    const bool asks_verb = strcmp(argv[1], "help") == 0 && argc > 2 && argv[2][0] != '-';
    if (asks_verb) return help_of(argc - 2, argv + 2);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return AE_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("aerie " AERIE_VERSION);
        return AE_OK;
    }
    return run_verb(argc - 1, argv + 1);
}

/* Whether nobody reads stdout any more: `aerie score ... | head` is no failure. */
static bool stdout_has_no_reader(void) {
    struct pollfd p = {.fd = STDOUT_FILENO};
    return poll(&p, 1, 0) == 1 && (p.revents & POLLERR);
}

/* What was written last may fail only here. */
static ae_status flush_stdout(ae_status st) {
    errno = ae_stdout_is_closed() ? EBADF : EIO; /* for a failure that came before */
    const bool failed = fflush(stdout) != 0 || ferror(stdout);
    if (!failed) return st;
    if (stdout_has_no_reader()) return st == AE_ERR_RESOURCE || st == AE_ERR_USAGE ? AE_OK : st;
    return st == AE_OK ? ae_output_failed("standard output") : st;
}

/* Where no verb has taken signals into its own hands there is nothing to finish, only a status to give. */
static void end_at_once(int number) {
    static const char line[] = "aerie: interrupted\n";
    (void)number;
    const ssize_t put = write(STDERR_FILENO, line, sizeof line - 1);
    (void)put;
    _exit(AE_ERR_INTERRUPTED);
}

int main(int argc, char **argv) {
    ae_process_begin();
    ae_stop_signals_catch(end_at_once, 0, NULL);
    const ae_status st = flush_stdout(run(argc, argv));
    const char *message = ae_error_message();
    ae_log_fresh_line();
    if (st != AE_OK && message[0]) fprintf(stderr, "aerie: %s\n", message);
    return (int)st;
}
