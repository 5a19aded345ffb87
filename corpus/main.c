#include "core/file.h"
#include "core/json.h"
#include "core/process.h"
#include "corpus/chat.h"
#include "corpus/grade.h"
#include "corpus/stories.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "aerie-stories [--bytes N] [--seed S] [--text] > stories.jsonl\n"
    "aerie-stories --chat FOLDER [--rows N] [--seed S]\n"
    "aerie-stories --grade PROMPTS.jsonl ANSWERS.jsonl\n"
    "aerie-stories --grade - < REQUESTS.jsonl\n"
    "writes small stories for children, made from a grammar, to train a first model on; with --chat, "
    "questions\n"
    "and answers about shorter ones, to tune it with\n\n"
    "  --bytes N   stop after the story that reaches N bytes of output; 500k, 3M (default 3M)\n"
    "  --seed S    other stories (default 1); the same seed gives the same bytes\n"
    "  --text      plain text, each story ended by a line <|end|>, instead of JSONL {\"text\": ...}\n"
    "  --chat F    chat, pairs, writing, graded and prompts (-train.jsonl and -heldout.jsonl) into the "
    "folder F\n"
    "  --rows N    rows of each training file (default 10k); the held-out ones get a twentieth of it\n"
    "  --grade P A the reward of each answer {\"text\"} of A to the prompt in the same line of P\n"
    "  --grade -   a line {\"id\", \"reward\"} for each {\"id\", \"prompt\", \"answer\"} of standard input: "
    "a reward\n"
    "              of aerie rlhf, {kind: program, command: aerie-stories --grade -}\n";

typedef struct {
    uint64_t bytes, rows, seed;
    const char *chat, *prompts, *answers;
    bool text, help;
    bool requests; /* --grade - */
} options;

static ae_status parse_number(const char *flag, const char *word, uint64_t *value) {
    char *end = NULL;
    errno = 0;
    const bool digit = word && *word >= '0' && *word <= '9';
    *value = digit ? strtoull(word, &end, 10) : 0;
    uint64_t unit = 1;
    if (digit && (*end == 'k' || *end == 'K')) unit = 1000;
    if (digit && *end == 'M') unit = 1000000;
    if (digit && *end == 'G') unit = 1000000000;
    if (!digit || errno != 0 || end[unit > 1] != '\0' || *value > UINT64_MAX / unit)
        return AE_FAIL(AE_ERR_USAGE, "%s: expected a number such as 3000000 or 3M, found %s", flag,
                       word ? word : "nothing");
    *value *= unit;
    return AE_OK;
}

static ae_status parse(int argc, char **argv, options *o) {
    ae_status st = AE_OK;
    for (int i = 1; i < argc && st == AE_OK; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            o->help = true;
        else if (strcmp(argv[i], "--text") == 0)
            o->text = true;
        else if (strcmp(argv[i], "--bytes") == 0)
            st = parse_number("--bytes", argv[++i], &o->bytes);
        else if (strcmp(argv[i], "--seed") == 0)
            st = parse_number("--seed", argv[++i], &o->seed);
        else if (strcmp(argv[i], "--rows") == 0)
            st = parse_number("--rows", argv[++i], &o->rows);
        else if (strcmp(argv[i], "--chat") == 0) {
            o->chat = argv[++i];
            if (!o->chat) st = AE_FAIL(AE_ERR_USAGE, "--chat: expected a folder, found nothing");
        } else if (strcmp(argv[i], "--grade") == 0) {
            o->prompts = argv[++i];
            o->requests =
                o->prompts && strcmp(o->prompts, "-") == 0 && (!argv[i + 1] || argv[i + 1][0] == '-');
            o->answers = o->prompts && !o->requests ? argv[++i] : NULL;
            if (!o->answers && !o->requests)
                st = AE_FAIL(AE_ERR_USAGE, "--grade: expected two files, prompts and answers, found %s",
                             o->prompts ? "one" : "none");
        } else
            st = AE_FAIL(AE_ERR_USAGE, "%s: no such flag; aerie-stories --help lists those there are",
                         argv[i]);
    }
    return st;
}

static ae_status write_json(const ae_text *story) {
    json_t *line = json_pack("{s:s#}", "text", story->text, (int)story->n);
    if (!line) return AE_FAIL(AE_ERR_RESOURCE, "stories: out of memory");
    const ae_status st = ae_json_write_line(line, stdout, "standard output");
    json_decref(line);
    return st;
}

static ae_status write_text(const ae_text *story) {
    return printf("%s\n<|end|>\n", story->text) < 0 ? ae_output_failed("standard output") : AE_OK;
}

/* Bytes of a story's line, counted without formatting it twice: quotes and newlines take two in JSON. */
static uint64_t line_bytes(const ae_text *story, bool text) {
    uint64_t n = story->n + (text ? strlen("\n<|end|>\n") : strlen("{\"text\":\"\"}\n"));
    for (size_t i = 0; i < story->n && !text; i++) n += story->text[i] == '"' || story->text[i] == '\n';
    return n;
}

static ae_status write_stories(const options *o) {
    ae_status st = AE_OK;
    uint64_t written = 0;
    for (uint64_t number = 0; written < o->bytes && st == AE_OK; number++) {
        ae_text story;
        ae_story(o->seed, number, &story);
        st = o->text ? write_text(&story) : write_json(&story);
        written += line_bytes(&story, o->text);
    }
    if (st == AE_OK && fflush(stdout) != 0) st = ae_output_failed("standard output");
    return st;
}

int main(int argc, char **argv) {
    options o = {.bytes = 3000000, .rows = 10000, .seed = 1};
    ae_process_begin();
    signal(SIGPIPE, SIG_DFL); /* `aerie-stories | head` ends without a word */
    ae_status st = parse(argc, argv, &o);
    if (st == AE_OK && o.help)
        fputs(usage, stdout);
    else if (st == AE_OK && o.requests)
        st = ae_grade_requests();
    else if (st == AE_OK && o.answers)
        st = ae_grade_files(o.prompts, o.answers);
    else if (st == AE_OK)
        st = o.chat ? ae_chat_write(o.chat, o.seed, o.rows) : write_stories(&o);
    if (st != AE_OK) fprintf(stderr, "aerie-stories: %s\n", ae_error_message());
    return (int)st;
}
