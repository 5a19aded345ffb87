#include "data/dialogue.h"
#include "tests/core/scratch.h"

static ae_record_map plain_map(const char *mapping) {
    ae_record_map m;
    cr_assert_eq(ae_record_map_init(&m, mapping), AE_OK, "%s", ae_error_message());
    return m;
}

static ae_status read_row(json_t **row, ae_data_kind kind, const ae_record_map *m, const char *line) {
    return ae_record_read(row, kind, m, line, strlen(line), "F:3");
}

/* "S system|U user|M answer|m answer that does not count|" */
static void describe(char *to, size_t room, const ae_dialogue *d) {
    *to = '\0';
    for (ptrdiff_t i = 0; i < d->n; i++) {
        const ae_message *m = &d->items[i];
        const char letter = "SUM"[m->role];
        cr_assert_eq(m->text[m->n], '\0');
        snprintf(to + strlen(to), room - strlen(to), "%c %s|", letter == 'M' && !m->counts ? 'm' : letter,
                 m->text);
    }
}

static void expect_chat(const char *mapping, const char *line, const char *want) {
    char found[1024];
    ae_record_map m = plain_map(mapping);
    json_t *row = NULL;
    ae_dialogue d = {0};
    cr_assert_eq(read_row(&row, AE_KIND_CHAT, &m, line), AE_OK, "%s: %s", line, ae_error_message());
    cr_assert_eq(ae_chat_parse(&d, row, &m, "F:3"), AE_OK, "%s: %s", line, ae_error_message());
    describe(found, sizeof found, &d);
    cr_assert_str_eq(found, want, "%s: %s", line, found);
    ae_dialogue_free(&d);
    json_decref(row);
    ae_record_map_free(&m);
}

static void refuse(ae_data_kind kind, const char *mapping, const char *line, const char *says) {
    ae_record_map m = plain_map(mapping);
    json_t *row = NULL;
    ae_dialogue d = {0};
    ae_pair p = {0};
    ae_status st = read_row(&row, kind, &m, line);
    if (st == AE_OK && kind == AE_KIND_CHAT) st = ae_chat_parse(&d, row, &m, "F:3");
    if (st == AE_OK && kind == AE_KIND_PROMPTS) st = ae_prompt_parse(&d, row, &m, "F:3");
    if (st == AE_OK && kind == AE_KIND_PAIRS) st = ae_pair_parse(&p, row, &m, "F:3");
    cr_assert_eq(st, AE_ERR_INPUT, "%s", line);
    cr_assert(d.items == NULL && p.chosen.items == NULL && p.rejected.items == NULL);
    cr_assert_message("F:3: ");
    cr_assert_message(says);
    json_decref(row);
    ae_record_map_free(&m);
}

static void refuse_chat(const char *line, const char *says) {
    refuse(AE_KIND_CHAT, NULL, line, says);
}

Test(dialogue, messages_of_every_role) {
    expect_chat(NULL,
                "{\"messages\": [{\"role\": \"system\", \"content\": \" be kind \\n\"}, {\"role\": \"user\", "
                "\"content\": "
                "\"\\u00a0hi\\t\"}, {\"role\": \"assistant\", \"content\": \"yo\", \"weight\": 0}, "
                "{\"role\": \"user\", "
                "\"content\": \"and?\"}, {\"role\": \"model\", \"content\": \"so\", \"weight\": 1}], "
                "\"other\": 1e999}",
                "S be kind|U hi|m yo|U and?|M so|");
    expect_chat(NULL,
                "{\"messages\": [{\"role\": \"system\", \"content\": \" \"}, {\"role\": \"user\", "
                "\"content\": \"a\"}, "
                "{\"role\": \"model\", \"content\": \"b\", \"weight\": null}, {\"role\": \"user\", "
                "\"content\": \"c\"}]}",
                "U a|M b|U c|");
}

Test(dialogue, prompt_and_completion) {
    expect_chat(NULL, "{\"prompt\": \"a \", \"completion\": \" b\"}", "U a|M b|");
    expect_chat(NULL,
                "{\"prompt\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", "
                "\"content\": \"b\"}, "
                "{\"role\": \"user\", \"content\": \"c\"}], \"completion\": [{\"role\": \"assistant\", "
                "\"content\": \"d\"}]}",
                "U a|m b|U c|M d|");
    expect_chat(NULL,
                "{\"prompt\": \"\\n\\nHuman: a\\n\\nAssistant: b\\n\\nHuman: c\\n\\nAssistant:\", "
                "\"completion\": \" d\"}",
                "U a|m b|U c|M d|");
    expect_chat("prompt=question,completion=answer",
                "{\"question\": \"a\", \"answer\": \"b\", \"messages\": [1]}", "U a|M b|");
}

Test(dialogue, tasks_and_conversations) {
    expect_chat(
        NULL, "{\"instruction\": \" do \", \"input\": \" this\\n\", \"output\": \"done\", \"text\": \"all\"}",
        "U do\n\nthis|M done|");
    expect_chat(NULL, "{\"instruction\": \"do\", \"input\": \"\", \"output\": \"done\", \"prompt\": null}",
                "U do|M done|");
    expect_chat(NULL, "{\"instruction\": \"do\", \"output\": \"done\"}", "U do|M done|");
    expect_chat(NULL,
                "{\"instruction\": \"do\", \"instances\": [{\"input\": \"this\", \"output\": \"done\"}]}",
                "U do\n\nthis|M done|");
    expect_chat(NULL,
                "{\"conversations\": [{\"from\": \"system\", \"value\": \"s\"}, {\"from\": \"human\", "
                "\"value\": \"a\"}, "
                "{\"from\": \"gpt\", \"value\": \"b\"}]}",
                "S s|U a|M b|");
    expect_chat(NULL,
                "{\"system\": \"s\", \"conversations\": [{\"from\": \"human\", \"value\": \"a\"}, "
                "{\"from\": \"gpt\", \"value\": \"b\"}]}",
                "S s|U a|M b|");
    expect_chat(NULL,
                "{\"conversations\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", "
                "\"content\": \"b\", \"weight\": 0}]}",
                "U a|m b|");
    expect_chat(NULL, "{\"system\": \"s\", \"instruction\": \"a\", \"output\": \"b\"}", "S s|U a|M b|");
    expect_chat(NULL,
                "{\"text\": \"\\n\\nHuman: a\\n\\nb\\n\\nHumanity\\n\\nAssistant: c\\n\\n\\n\\nHuman: "
                "d\\n\\nAssistant:e\"}",
                "U a\n\nb\n\nHumanity|M c|U d|M e|");
}

Test(dialogue, chat_faults_name_their_place) {
    refuse_chat("{\"system\": \"s\", \"conversations\": [{\"from\": \"system\", \"value\": \"t\"}]}",
                "at most one system message");
    refuse_chat("{}", "F:3: expected messages, conversations, prompt and completion");
    refuse_chat("{\"messages\": null}", "F:3: expected messages, ");
    refuse_chat("{\"messages\": \"hi\"}", "F:3: messages: expected a list of messages, found text");
    refuse_chat("{\"messages\": []}", "F:3: messages: expected messages, found an empty list");
    refuse_chat("{\"messages\": [7]}",
                "F:3: messages[0]: expected an object with role and content, found a whole number");
    refuse_chat("{\"messages\": [{\"content\": \"a\"}]}",
                "F:3: messages[0].role: expected system, user, assistant or model, found no such key");
    refuse_chat("{\"messages\": [{\"role\": \"tool\", \"content\": \"a\"}]}",
                "messages[0].role: expected system, user, "
                "assistant or model, found 'tool'");
    refuse_chat("{\"messages\": [{\"role\": \"user\", \"content\": null}]}",
                "F:3: messages[0].content: expected text, found null");
    refuse_chat(
        "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"model\", \"content\": \"b\", "
        "\"weight\": 2}]}",
        "F:3: messages[1].weight: expected 0 or 1, found 2");
    refuse_chat(
        "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"model\", \"content\": \"b\", "
        "\"weight\": 0.5}]}",
        "F:3: messages[1].weight: expected 0 or 1, found 0.5");
    refuse_chat("{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"model\", "
                "\"content\": \" \\n\"}]}",
                "F:3: messages[1]: expected text of the model, found none");
    refuse_chat("{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}",
                "F:3: expected an answer of the model, found none");
    refuse_chat("{\"messages\": [{\"role\": \"system\", \"content\": \"a\"}]}",
                "F:3: expected an answer of the model, found only a system message");
    refuse_chat("{\"messages\": [{\"role\": \"model\", \"content\": \"a\"}]}",
                "F:3: messages[0]: expected a turn of the user, found one of the model");
    refuse_chat("{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"user\", \"content\": "
                "\"b\"}]}",
                "F:3: messages[1]: expected a turn of the model, found one of the user");
    refuse_chat("{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"system\", "
                "\"content\": \"b\"}]}",
                "F:3: messages[1]: expected a turn of the model, found one of the system");
    refuse_chat("{\"messages\": [{\"role\": \"user\", \"content\": \"a \\udcb2\"}]}",
                "F:3: messages: expected characters, found \\udcb2, half of a surrogate pair");
    refuse_chat("{\"messages\": \"\xff\"}", "F:3: expected JSON in UTF-8, found byte 0xFF");
    refuse_chat("{\"prompt\": \"a\"}",
                "F:3: completion: expected text or a list of messages, found no such key");
    refuse_chat("{\"completion\": \"a\"}",
                "F:3: prompt: expected text or a list of messages, found no such key");
    refuse_chat("{\"prompt\": \"\", \"completion\": \"a\"}",
                "F:3: prompt: expected text of the user, found none");
    refuse_chat("{\"prompt\": \"a\", \"completion\": \"\"}",
                "F:3: completion: expected text of the model, found none");
    refuse_chat(
        "{\"prompt\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"model\", \"content\": \"b\"}], "
        "\"completion\": \"a\"}",
        "F:3: prompt: expected a turn of the user last, found an answer");
    refuse_chat("{\"instruction\": \"a\"}", "F:3: output: expected text, found no such key");
    refuse_chat("{\"instruction\": \"a\", \"output\": \"b\", \"input\": 3}",
                "F:3: input: expected text, found a whole number");
    refuse_chat("{\"instruction\": \"a\", \"instances\": [{\"output\": \"b\"}, {\"output\": \"c\"}]}",
                "F:3: instances: expected one object with input and output, found 2");
    refuse_chat("{\"instruction\": \"a\", \"instances\": [{\"output\": 1}]}",
                "F:3: instances[0].output: expected text, found a whole number");
    refuse_chat("{\"conversations\": [{\"from\": \"function\", \"value\": \"b\"}]}",
                "F:3: conversations[0].from: expected system, human or gpt, found 'function'");
    refuse_chat("{\"text\": \"once\"}", "F:3: text: expected turns that begin with \"\\n\\nHuman:\"");
    refuse_chat("{\"text\": \"\\n\\nHuman: a\\n\\nAssistant: b\\n\\nAssistant: c\"}",
                "F:3: text: turn 3: expected a turn of the user, found one of the model");
    refuse(AE_KIND_CHAT, "prompt=question,completion=answer", "{\"question\": \"a\", \"messages\": []}",
           "F:3: answer: expected text or a list of messages, found no such key");
}

Test(dialogue, mappings_are_checked) {
    ae_record_map m;
    cr_assert_eq(ae_record_map_init(&m, "prompt"), AE_ERR_USAGE);
    cr_assert_message("map: expected FIELD=KEY, found 'prompt'");
    cr_assert_eq(ae_record_map_init(&m, "prompt=q,answer=a"), AE_ERR_USAGE);
    cr_assert_message("found 'answer'");
    cr_assert_eq(ae_record_map_init(&m, "prompt=q,completion=a"), AE_OK);
    cr_assert_eq(ae_record_map_check(&m, AE_KIND_CHAT), AE_OK);
    cr_assert_eq(ae_record_map_check(&m, AE_KIND_PROMPTS), AE_ERR_USAGE);
    cr_assert_message("map: expected a field of prompts, found 'completion'");
    ae_record_map_free(&m);
    ae_data_kind kind;
    cr_assert_eq(ae_data_kind_parse("pair", &kind), AE_ERR_USAGE);
    cr_assert_message("--kind: expected chat, pairs or prompts, found 'pair'");
}

/* Ten thousand turns, and the wrong one at the end by its number. */
Test(dialogue, long_dialogues_are_read) {
    enum { TURNS = 10000 };
    char *line = malloc(TURNS * 64);
    int n = sprintf(line, "{\"messages\": [");
    for (int i = 0; i < TURNS; i++)
        n += sprintf(line + n, "%s{\"role\": \"%s\", \"content\": \"turn %d\"}", i ? ", " : "",
                     i % 2 ? "assistant" : "user", i);
    sprintf(line + n, "]}");
    ae_record_map m = plain_map(NULL);
    json_t *row = NULL;
    ae_dialogue d = {0};
    cr_assert_eq(read_row(&row, AE_KIND_CHAT, &m, line), AE_OK);
    cr_assert_eq(ae_chat_parse(&d, row, &m, "F:3"), AE_OK, "%s", ae_error_message());
    cr_assert_eq(d.n, TURNS);
    cr_assert_str_eq(d.items[TURNS - 1].text, "turn 9999");
    ae_dialogue_free(&d);
    json_decref(row);
    sprintf(line + n, ", {\"role\": \"model\", \"content\": \"x\"}]}");
    refuse_chat(line, "F:3: messages[10000]: expected a turn of the user, found one of the model");
    free(line);
}

/* ---- pairs ---- */

static void expect_pair(const char *line, const char *chosen, const char *rejected) {
    char found[512];
    ae_record_map m = plain_map(NULL);
    json_t *row = NULL;
    ae_pair p = {0};
    cr_assert_eq(read_row(&row, AE_KIND_PAIRS, &m, line), AE_OK, "%s: %s", line, ae_error_message());
    cr_assert_eq(ae_pair_parse(&p, row, &m, "F:3"), AE_OK, "%s: %s", line, ae_error_message());
    describe(found, sizeof found, &p.chosen);
    cr_assert_str_eq(found, chosen, "%s: %s", line, found);
    describe(found, sizeof found, &p.rejected);
    cr_assert_str_eq(found, rejected, "%s: %s", line, found);
    ae_pair_free(&p);
    json_decref(row);
}

static void refuse_pair(const char *line, const char *says) {
    refuse(AE_KIND_PAIRS, NULL, line, says);
}

#define USER(text)  "{\"role\": \"user\", \"content\": \"" text "\"}"
#define MODEL(text) "{\"role\": \"assistant\", \"content\": \"" text "\"}"

Test(dialogue, pairs_in_every_layout) {
    expect_pair("{\"prompt\": \"a\", \"chosen\": \"b\", \"rejected\": \" c \"}", "U a|M b|", "U a|M c|");
    expect_pair("{\"prompt\": [" USER("a") "], \"chosen\": [" MODEL("b") "], \"rejected\": [" MODEL("c") "]}",
                "U a|M b|", "U a|M c|");
    expect_pair("{\"prompt\": \"a\", \"chosen\": [" USER("a") ", " MODEL("b") "], \"rejected\": [" USER(
                    "a") ", " MODEL("c") "]}",
                "U a|M b|", "U a|M c|");
    expect_pair(
        "{\"chosen\": \"\\n\\nHuman: a\\n\\nAssistant: b\\n\\nHuman: c\\n\\nAssistant: d\", \"rejected\": "
        "\"\\n\\nHuman: a\\n\\nAssistant: b\\n\\nHuman: c\\n\\nAssistant: e\"}",
        "U a|M b|U c|M d|", "U a|M b|U c|M e|");
    expect_pair("{\"prompt\": \"\\n\\nHuman: a\\n\\nAssistant:\", \"chosen\": \" b\", \"rejected\": \" c\"}",
                "U a|M b|", "U a|M c|");
}

Test(dialogue, margins_are_numbers) {
    ae_record_map m = plain_map(NULL);
    json_t *row = NULL;
    ae_pair p = {0};
    cr_assert_eq(read_row(&row, AE_KIND_PAIRS, &m,
                          "{\"prompt\": \"a\", \"chosen\": \"b\", \"rejected\": \"c\", \"margin\": 2}"),
                 AE_OK);
    cr_assert_eq(ae_pair_parse(&p, row, &m, "F:3"), AE_OK);
    cr_assert(p.has_margin && p.margin > 1.9 && p.margin < 2.1);
    ae_pair_free(&p);
    json_decref(row);
    refuse_pair("{\"prompt\": \"a\", \"chosen\": \"b\", \"rejected\": \"c\", \"margin\": \"2\"}",
                "F:3: margin: expected a number, found text");
}

Test(dialogue, pair_faults_name_their_place) {
    refuse_pair("{\"chosen\": \"b\", \"rejected\": \"c\"}",
                "F:3: prompt: expected text or a list of messages, since");
    refuse_pair("{\"prompt\": \"a\", \"rejected\": \"c\"}",
                "F:3: chosen: expected text or a list of messages, found no such key");
    refuse_pair("{\"prompt\": \"a\", \"chosen\": \"c\"}", "F:3: rejected: expected text or a list");
    refuse_pair("{\"prompt\": \"a\", \"chosen\": \"b\", \"rejected\": \"\"}",
                "F:3: rejected: expected text of the model, found none");
    refuse_pair("{\"prompt\": \"a\", \"chosen\": \"b\", \"rejected\": \" b\"}",
                "F:3: expected chosen and rejected to differ, found the same");
    refuse_pair("{\"chosen\": \"\\n\\nHuman: a\\n\\nAssistant: b\", \"rejected\": \"\\n\\nHuman: "
                "c\\n\\nAssistant: b\"}",
                "F:3: expected chosen and rejected to be alike but for one answer at their end, found them "
                "differ from turn "
                "1 on, of 2 and 2 turns");
    refuse_pair("{\"chosen\": [" USER("a") ", " MODEL("b") "], \"rejected\": [" USER("a") ", " MODEL(
                    "b") ", " USER("c") ", " MODEL("d") "]}",
                "from turn 3 on, of 2 and 4 turns");
    refuse_pair("{\"chosen\": [" USER("a") ", " MODEL("b") ", " USER("c") "], \"rejected\": [" USER(
                    "a") ", " MODEL("b") ", " USER("d") "]}",
                "from turn 3 on");
    refuse_pair("{\"prompt\": \"z\", \"chosen\": [" USER("a") ", " MODEL("b") "], \"rejected\": [" USER(
                    "a") ", " MODEL("c") "]}",
                "F:3: prompt: expected a turn of the user that chosen holds too");
}

/* ---- prompts ---- */

static void expect_prompt(const char *mapping, const char *line, const char *want, const char *meta) {
    char found[512];
    ae_record_map m = plain_map(mapping);
    json_t *row = NULL;
    ae_dialogue d = {0};
    cr_assert_eq(read_row(&row, AE_KIND_PROMPTS, &m, line), AE_OK, "%s: %s", line, ae_error_message());
    cr_assert_eq(ae_prompt_parse(&d, row, &m, "F:3"), AE_OK, "%s: %s", line, ae_error_message());
    describe(found, sizeof found, &d);
    cr_assert_str_eq(found, want, "%s: %s", line, found);
    const json_t *value = ae_record_get(row, &m, AE_RECORD_META);
    cr_assert_eq(value != NULL, meta != NULL);
    if (meta) cr_assert_str_eq(json_string_value(value), meta);
    ae_dialogue_free(&d);
    json_decref(row);
    ae_record_map_free(&m);
}

Test(dialogue, prompts_end_with_the_user) {
    expect_prompt(NULL, "{\"prompt\": \" a\"}", "U a|", NULL);
    expect_prompt(NULL, "{\"prompt\": [" USER("a") ", " MODEL("b") ", " USER("c") "], \"meta\": \"7\"}",
                  "U a|m b|U c|", "7");
    expect_prompt(NULL, "{\"prompt\": \"\\n\\nHuman: a\\n\\nAssistant:\"}", "U a|", NULL);
    expect_prompt(NULL, "{\"messages\": [" USER("a") "]}", "U a|", NULL);
    expect_prompt("prompt=question,meta=answer", "{\"question\": \"a\", \"answer\": \"5\"}", "U a|", "5");
    refuse(AE_KIND_PROMPTS, NULL, "{}",
           "F:3: prompt: expected text or a list of messages, found no such key");
    refuse(AE_KIND_PROMPTS, NULL, "{\"prompt\": [" USER("a") ", " MODEL("b") "]}",
           "F:3: prompt: expected a turn of the user last, found an answer");
    refuse(AE_KIND_PROMPTS, NULL, "{\"prompt\": [{\"role\": \"system\", \"content\": \"a\"}]}",
           "F:3: prompt: expected a turn of the user last, found a system message");
    refuse(AE_KIND_PROMPTS, NULL, "{\"prompt\": \" \"}",
           "F:3: prompt: expected text of the user, found none");
}
