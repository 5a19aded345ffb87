#include "../eval/small_tokenizer.h"
#include "core/clock.h"
#include "core/json.h"
#include "core/log.h"
#include "rlhf/rewards.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Programs are scripts for sh: what they do wrong is what is tested. */

static ae_tokenizer *tokenizer;

static void setup(void) {
    tokenizer = small_tokenizer();
    signal(SIGPIPE, SIG_DFL); /* rewards have to cope with a caller that left it on */
}

/* No child is left behind by any test. */
static void teardown(void) {
    cr_assert_eq(waitpid(-1, NULL, WNOHANG), -1, "a child is left");
    ae_tokenizer_delete(tokenizer);
}

TestSuite(program, .init = setup, .fini = teardown);

#define ID "${line#*:}; id=${id%%,*}; "
/* Answers each line by `body`, which may say $id and $line. */
#define EACH(body) "while IFS= read -r line; do id=" ID body "; done"
#define GIVE(x)    "echo \"{\\\"id\\\": $id, \\\"reward\\\": " x "}\""

static ae_rewards *opened_with(const char *script, const char *keys, ae_status (*check)(void)) {
    ae_rewards *r = NULL;
    const ae_rewards_facts facts = {.tokenizer = tokenizer, .check = check};
    json_t *list = json_pack("[{s:s, s:s}]", "kind", "program", "command", script),
           *more = json_loads(keys, 0, NULL);
    json_object_update(json_array_get(list, 0), more);
    char *text = json_dumps(list, 0);
    cr_assert_eq(ae_rewards_open(&r, text, &facts), AE_OK, "%s", ae_error_message());
    free(text);
    json_decref(list);
    json_decref(more);
    return r;
}

static ae_rewards *opened(const char *script, const char *keys) {
    return opened_with(script, keys, NULL);
}

/* n answers, and room for their rewards. */
enum { MOST = 1000 };
static ae_rewarded_answer answers[MOST];
static ae_reward_of rewards[MOST];
static double parts[MOST];

static ae_status give_text(ae_rewards *r, ptrdiff_t n, const char *text) {
    for (ptrdiff_t i = 0; i < n; i++) {
        answers[i] = (ae_rewarded_answer){.prompt = "why?",
                                          .prompt_bytes = 4,
                                          .answer = text,
                                          .answer_bytes = strlen(text),
                                          .meta = "{\"answer\":\n 0.1}",
                                          .meta_bytes = 16};
        rewards[i] = (ae_reward_of){.parts = &parts[i]};
    }
    return ae_rewards_give(r, answers, n, rewards);
}

static ae_status give(ae_rewards *r, ptrdiff_t n) {
    return give_text(r, n, "so");
}

static void given(ae_rewards *r, ptrdiff_t n) {
    cr_assert_eq(give(r, n), AE_OK, "%s", ae_error_message());
}

static void fails(ae_rewards *r, ptrdiff_t n, const char *words) {
    cr_assert_eq(give(r, n), AE_ERR_INPUT);
    cr_assert_not_null(strstr(ae_error_message(), words), "expected \"%s\", found \"%s\"", words,
                       ae_error_message());
    ae_rewards_close(r);
}

/* ---- what goes well ---- */

Test(program, lines_go_out_and_come_back) {
    ae_rewards *r = opened(EACH("printf '%s\\n' \"$line\" >&2; " GIVE("1$id.5")), "{}");
    given(r, 3);
    for (int i = 0; i < 3; i++) {
        cr_assert(rewards[i].has);
        cr_assert_eq(rewards[i].total, 10.5 + i);
    }
    given(r, 2); /* ids go on */
    cr_assert_eq(rewards[1].total, 14.5);
    ae_rewards_close(r);
}

Test(program, the_line_is_json_with_meta_as_it_was) {
    static const char wanted[] =
        "{\"id\":0,\"prompt\":\"why?\",\"answer\":\"so\",\"truncated\":false,\"meta\":{\"answer\": 0.1}}";
    char script[400];
    snprintf(script, sizeof script, EACH("[ \"$line\" = '%s' ] && " GIVE("1") " || " GIVE("0")), wanted);
    ae_rewards *r = opened(script, "{}");
    given(r, 1);
    cr_assert_eq(rewards[0].total, 1);
    ae_rewards_close(r);
}

Test(program, a_nul_of_an_answer_is_replaced) {
    ae_rewards *r = opened(EACH("case $line in *'\"a\xef\xbf\xbd"
                                "b\"'*) " GIVE("1") ";; *) " GIVE("0") ";; esac"),
                           "{}");
    const ae_rewarded_answer a = {.prompt = "", .answer = "a\0b", .answer_bytes = 3};
    ae_reward_of out = {.parts = parts};
    cr_assert_eq(ae_rewards_give(r, &a, 1, &out), AE_OK, "%s", ae_error_message());
    cr_assert_eq(out.total, 1);
    ae_rewards_close(r);
}

Test(program, a_list_is_a_program_with_arguments) {
    ae_rewards *r = opened("", "{\"command\": [\"sed\", \"-u\", \"s/^{.id.:\\\\([0-9]*\\\\),.*/"
                               "{\\\"id\\\": \\\\1, \\\"reward\\\": 2}/\"]}");
    given(r, 5);
    cr_assert_eq(rewards[4].total, 2);
    ae_rewards_close(r);
}

/* From its folder the program's own path counts too. */
Test(program, works_in_its_folder) {
    char folder[] = "/tmp/aerie-program-XXXXXX", path[64], keys[160];
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/judge", folder);
    FILE *f = fopen(path, "w");
    cr_assert_not_null(f);
    fprintf(f, "#!/bin/sh\n[ \"$(pwd -P)\" = \"$(cd %s && pwd -P)\" ] || exit 1\n%s\n", folder,
            EACH(GIVE("3")));
    fclose(f);
    cr_assert_eq(chmod(path, 0700), 0);
    snprintf(keys, sizeof keys, "{\"command\": [\"./judge\"], \"folder\": \"%s\"}", folder);
    ae_rewards *r = opened("", keys);
    given(r, 2);
    cr_assert_eq(rewards[1].total, 3);
    ae_rewards_close(r);
    r = opened("", keys);
    remove(path);
    remove(folder);
    cr_assert_eq(ae_rewards_start(r), AE_ERR_INPUT);
    cr_assert_not_null(strstr(ae_error_message(), "rl.rewards[0].folder: /tmp/aerie-program-"), "%s",
                       ae_error_message());
    ae_rewards_close(r);
}

Test(program, any_order) {
    ae_rewards *r =
        opened("read -r a; read -r b; read -r c; for id in 2 0 1; do " GIVE("$id") "; done; cat", "{}");
    given(r, 3);
    for (int i = 0; i < 3; i++) cr_assert_eq(rewards[i].total, i);
    ae_rewards_close(r);
}

Test(program, many_workers_share_the_answers) {
    ae_rewards *r = opened(EACH(GIVE("$$")), "{\"workers\": 4}");
    given(r, 10);
    for (int i = 0; i < 10; i++)
        for (int k = 0; k < i; k++) cr_assert_eq(rewards[i].total == rewards[k].total, (i - k) % 4 == 0);
    given(r, 2); /* fewer than workers */
    ae_rewards_close(r);
}

Test(program, a_slow_start_is_waited_for) {
    ae_rewards *r = opened("sleep 0.5; " EACH(GIVE("1")), "{\"timeout_s\": 5}");
    given(r, 2);
    ae_rewards_close(r);
}

Test(program, silence_counts_from_line_to_line) {
    ae_rewards *r = opened(EACH("sleep 0.3; " GIVE("1")), "{\"timeout_s\": 0.9}");
    given(r, 5);
    ae_rewards_close(r);
}

/* Both pipes fill several times over: the program writes as long lines as it reads, and reads all first. */
Test(program, long_texts_fill_no_pipe_for_good) {
    enum { LONG = 2000 };
    char *text = malloc(LONG + 1);
    memset(text, 'a', LONG);
    text[LONG] = '\0';
    ae_rewards *r = opened("LC_ALL=C sed -u 's/^{.id.:\\([0-9]*\\),/{\"id\": \\1, \"reward\": \\1, /'",
                           "{\"workers\": 2}");
    cr_assert_eq(give_text(r, MOST, text), AE_OK, "%s", ae_error_message());
    for (int i = 0; i < MOST; i++) cr_assert_eq(rewards[i].total, i);
    ae_rewards_close(r);
    free(text);
}

Test(program, a_flood_on_standard_error_stops_nothing) {
    ae_log_quiet(true);
    ae_rewards *r = opened("i=0; while [ $i -lt 3000 ]; do echo 'word after word after word after word' >&2; "
                           "i=$((i+1)); done; " EACH(GIVE("1")),
                           "{}");
    given(r, 2);
    ae_rewards_close(r);
}

Test(program, without_a_tokenizer_it_gets_ids) {
    static const int32_t ids[] = {2, 5, 7, 9};
    const ae_rewarded_answer a = {.tokens = ids, .n_prompt = 3, .n = 1, .truncated = true};
    const ae_rewards_facts facts = {.vocab_size = 10};
    static const char list[] =
        "[{\"kind\": \"program\", \"command\": \"read -r a; case $a in "
        "*'\\\"prompt\\\":null,\\\"answer\\\":null,"
        "\\\"truncated\\\":true,\\\"prompt_tokens\\\":[2,5,7],\\\"answer_tokens\\\":[9],\\\"meta\\\":null}') "
        "echo '{\\\"id\\\": 0, \\\"reward\\\": 3}';; esac\"}]";
    ae_rewards *r = NULL;
    ae_reward_of out = {.parts = parts};
    cr_assert_eq(ae_rewards_open(&r, list, &facts), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_rewards_give(r, &a, 1, &out), AE_OK, "%s", ae_error_message());
    cr_assert_eq(out.total, 3);
    ae_rewards_close(r);
}

/* ---- what goes wrong, on_error: stop ---- */

Test(program, a_death_is_told_with_its_last_words) {
    fails(opened("read -r a; echo 'cannot judge' >&2; exit 3", "{}"), 2,
          "rl.rewards[0]: read -r a; echo 'cannot judge' >&2; exit 3: expected {\"id\", \"reward\"} of 2 "
          "more answers, "
          "found the end of its output, exit code 3; it said last: \"cannot judge\"");
    fails(opened("read -r a; kill -9 $$", "{}"), 2, "signal 9, Killed");
    fails(opened("exec 0<&-; sleep 0.1", "{}"), MOST, "exit code 0");
    fails(opened("no-such-program-here", "{}"), 1, "exit code 127");
}

Test(program, too_few_lines) {
    fails(opened("read -r line; id=" ID GIVE("1"), "{}"), 3,
          "of 2 more answers, found the end of its output");
    fails(opened("read -r line; id=" ID GIVE("1") "; cat >/dev/null", "{\"timeout_s\": 0.2}"), 3,
          "of 2 more answers, found no line within timeout_s, 0.2 s (does it flush its output?)");
}

Test(program, a_worker_is_named_where_there_are_several) {
    fails(opened(EACH("[ $id = 1 ] && exit 1; " GIVE("1")), "{\"workers\": 2}"), 4, "worker 2: expected");
}

Test(program, lines_that_are_no_rewards) {
    fails(opened(EACH("echo hello"), "{}"), 1, "line 1 of its output: expected");
    fails(opened(EACH(GIVE("NaN")), "{}"), 1, "line 1 of its output");
    fails(opened(EACH(GIVE("1e999")), "{}"), 1, "line 1 of its output");
    fails(opened(EACH(GIVE("null")), "{}"), 1,
          "line 1 of its output: reward: expected a finite number, found null");
    fails(opened(EACH(GIVE("\\\"1\\\"")), "{}"), 1, "reward: expected a finite number, found text");
    fails(opened(EACH("echo '{\"reward\": 1}'"), "{}"), 1,
          "id: expected that of an answer, found no such key");
    fails(opened(EACH("echo '{\"id\": 7, \"reward\": 1}'"), "{}"), 2,
          "id: expected one of an answer that waits for its reward, found 7");
    fails(opened(EACH(GIVE("1") "; " GIVE("1")), "{}"), 2, "line 2 of its output: id: expected");
    fails(opened("head -c 3000000 /dev/zero | tr '\\0' a; sleep 9", "{}"), 1,
          "a line that does not end within 1 MB");
}

Test(program, a_program_that_is_not_there) {
    static const char *const cases[][2] = {
        {"\"command\": [\"./no-such-program\", \"--flag\"]",
         "./no-such-program does not start: No such file"},
        {"\"command\": [\"no-such-program\"]", "no-such-program does not start: No such file"},
        {"\"command\": [\"bin/env\"], \"folder\": \"/dev\"", "bin/env does not start: No such file"},
        {"\"command\": [\"/usr\"]", "/usr does not start: Permission denied"},
        {"\"command\": [\"/etc/passwd\"]", "/etc/passwd does not start: Permission denied"},
    };
    const ae_rewards_facts facts = {.tokenizer = tokenizer};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char list[160];
        ae_rewards *r = NULL;
        snprintf(list, sizeof list, "[{\"kind\": \"program\", %s}]", cases[i][0]);
        cr_assert_eq(ae_rewards_open(&r, list, &facts), AE_ERR_INPUT, "%s", list);
        cr_assert_not_null(
            strstr(ae_error_message(), "rl.rewards[0].command: expected a program, found that "), "%s",
            ae_error_message());
        cr_assert_not_null(strstr(ae_error_message(), cases[i][1]), "%s", ae_error_message());
    }
    ae_rewards_close(opened("", "{\"command\": [\"./env\"], \"folder\": \"/usr/bin\"}"));
}

/* ---- on_error: skip ---- */

static ptrdiff_t has_none(ptrdiff_t n) {
    ptrdiff_t none = 0;
    for (ptrdiff_t i = 0; i < n; i++) {
        cr_assert_eq(rewards[i].has, isfinite(parts[i]) != 0);
        cr_assert(rewards[i].has || rewards[i].total == 0);
        none += !rewards[i].has;
    }
    return none;
}

Test(program, skipped_answers_have_no_reward) {
    ae_rewards *r = opened(EACH("case $id in 1) " GIVE("NaN") ";; 2) " GIVE("null") ";; 3) echo oops; " GIVE(
                               "1") ";; *) " GIVE("1") ";; esac"),
                           "{\"on_error\": \"skip\"}");
    given(r, 5);
    cr_assert_eq(has_none(5), 2);
    cr_assert(!rewards[1].has && !rewards[2].has && rewards[3].has);
    ae_rewards_close(r);
}

Test(program, a_dead_worker_starts_again_with_the_next_call) {
    ae_rewards *r = opened("read -r line; id=" ID GIVE("1"), "{\"on_error\": \"skip\", \"workers\": 2}");
    for (int call = 0; call < 3; call++) {
        given(r, 6);
        cr_assert_eq(has_none(6), 4);
        usleep(20000);
    }
    for (int call = 0; call < 2; call++) { /* these end when all is answered */
        given(r, 2);
        cr_assert_eq(has_none(2), 0);
        usleep(50000);
    }
    ae_rewards_close(r);
}

Test(program, a_silent_worker_starts_again_with_the_next_call) {
    ae_rewards *r =
        opened(EACH("[ $id = 1 ] && sleep 99; " GIVE("1")), "{\"on_error\": \"skip\", \"timeout_s\": 0.3}");
    given(r, 3);
    cr_assert_eq(has_none(3), 2);
    given(r, 3);
    cr_assert_eq(has_none(3), 0);
    ae_rewards_close(r);
}

/* A total needs all parts. */
Test(program, an_answer_that_one_source_leaves_out_has_no_total) {
    ae_rewards *r = NULL;
    const ae_rewards_facts facts = {.tokenizer = tokenizer};
    json_t *list = json_pack("[{s:s, s:i}, {s:s, s:s, s:s}, {s:s, s:s}]", "kind", "length", "max", 9, "kind",
                             "program", "command", EACH("[ $id = 0 ] && " GIVE("null") " || " GIVE("4")),
                             "on_error", "skip", "kind", "regex", "pattern", "s");
    char *text = json_dumps(list, 0);
    double three[2][3];
    cr_assert_eq(ae_rewards_open(&r, text, &facts), AE_OK, "%s", ae_error_message());
    for (int i = 0; i < 2; i++) {
        answers[i] = (ae_rewarded_answer){.prompt = "", .answer = "s", .answer_bytes = 1};
        rewards[i].parts = three[i];
    }
    cr_assert_eq(ae_rewards_give(r, answers, 2, rewards), AE_OK, "%s", ae_error_message());
    cr_assert(!rewards[0].has && rewards[1].has);
    cr_assert_eq(rewards[0].total, 0);
    cr_assert_eq(rewards[1].total, 5);
    cr_assert_eq(three[0][2], 1);
    cr_assert(isnan(three[0][1]));
    ae_rewards_close(r);
    free(text);
    json_decref(list);
}

/* ---- ends ---- */

static ae_status stop_at_once(void) {
    return AE_ERR_INTERRUPTED;
}

Test(program, signals_are_asked_for) {
    ae_rewards *r = opened_with("sleep 99", "{}", stop_at_once);
    cr_assert_eq(give(r, 1), AE_ERR_INTERRUPTED);
    const double began = ae_now_s();
    ae_rewards_close(r); /* and its children with it, which teardown sees */
    cr_assert_lt(ae_now_s() - began, 5);
}

/* What a worker started goes with it: the file that it would write to stays as it is. */
Test(program, children_of_workers_end_too) {
    char path[] = "/tmp/aerie-program-XXXXXX", script[200];
    const int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    snprintf(script, sizeof script, "(sleep 1.5; echo late >%s) & " EACH(GIVE("1")), path);
    ae_rewards *r = opened(script, "{}");
    given(r, 1);
    ae_rewards_close(r);
    sleep(2);
    char byte;
    cr_assert_eq(read(fd, &byte, 1), 0);
    close(fd);
    unlink(path);
}

Test(program, a_worker_may_end_in_its_own_time) {
    char path[] = "/tmp/aerie-program-XXXXXX", script[200];
    const int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    snprintf(script, sizeof script, EACH(GIVE("1")) "; sleep 0.2; echo done >%s", path);
    ae_rewards *r = opened(script, "{}");
    given(r, 1);
    ae_rewards_close(r);
    char byte;
    cr_assert_eq(read(fd, &byte, 1), 1);
    close(fd);
    unlink(path);
}

static int open_descriptors(void) {
    DIR *d = opendir("/proc/self/fd");
    int n = 0;
    while (readdir(d)) n++;
    closedir(d);
    return n;
}

/* A file that this program holds must not stay open, and locked, in a worker that outlives it. */
Test(program, no_descriptor_is_inherited_or_left) {
    const int before = open_descriptors(), strange = dup2(STDERR_FILENO, 77);
    ae_rewards *r =
        opened(EACH("[ -e /proc/self/fd/77 ] && " GIVE("1") " || " GIVE("0")), "{\"workers\": 3}");
    given(r, 3);
    cr_assert_eq(rewards[0].total, 0);
    ae_rewards_close(r);
    close(strange);
    cr_assert_eq(open_descriptors(), before);
}

/* ---- keys ---- */

Test(program, keys_that_are_refused) {
    static const struct {
        const char *list, *words;
    } cases[] = {
        {"[{\"kind\": \"program\"}]", "rl.rewards[0].command: expected text for the shell"},
        {"[{\"kind\": \"program\", \"command\": []}]", "an entry that is no text, or no program"},
        {"[{\"kind\": \"program\", \"command\": [\"a\", 3]}]", "an entry that is no text, or no program"},
        {"[{\"kind\": \"program\", \"command\": \"a\", \"workers\": 0}]",
         "workers: expected 1 to 64, found 0"},
        {"[{\"kind\": \"program\", \"command\": \"a\", \"timeout_s\": 0}]", "timeout_s: expected 0.01 to"},
        {"[{\"kind\": \"program\", \"command\": \"a\", \"on_error\": \"skp\"}]", "did you mean skip?"},
        {"[{\"kind\": \"program\", \"command\": \"a\", \"timeout\": 3}]", "did you mean timeout_s"},
    };
    const ae_rewards_facts facts = {.tokenizer = tokenizer};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ae_rewards *r = NULL;
        cr_assert_eq(ae_rewards_open(&r, cases[i].list, &facts), AE_ERR_USAGE);
        cr_assert_not_null(strstr(ae_error_message(), cases[i].words), "%s", ae_error_message());
    }
}
