#include "tests/benchmark/rig.h"

TestSuite(task_file, .init = scratch_make, .fini = scratch_remove);

/* A whole task, and what a test puts in its lines' place. */
static const char whole[] = "format: 1\ntask: mine\nversion: 2\nkind: choice\nrows: {file: rows.jsonl}\n"
                            "prompt: 'Q: {{q}}'\nchoices: '{{c}}'\ngold: '{{g}}'\nmetrics: [acc]\n";

static ae_status load(ae_task **task, const char *text) {
    return ae_task_load(task, scratch_write("mine.yaml", text, strlen(text)));
}

static void assert_refused(const char *text, const char *part) {
    ae_task *task = NULL;
    cr_assert_eq(load(&task, text), AE_ERR_USAGE, "%s", text);
    cr_assert_null(task);
    cr_assert_message("mine.yaml");
    cr_assert_message(part);
}

/* The whole task with `old` replaced by `new`. */
static void assert_change_refused(const char *old, const char *new, const char *part) {
    char text[2048];
    const char *place = strstr(whole, old);
    cr_assert_not_null(place, "%s", old);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(place - whole), whole, new, place + strlen(old));
    assert_refused(text, part);
}

Test(task_file, a_task_of_ones_own) {
    ae_task *task = NULL;
    cr_assert_eq(load(&task, whole), AE_OK, "%s", ae_error_message());
    cr_assert_str_eq(task->name, "mine");
    cr_assert_str_eq(task->version, "2.0");
    cr_assert_eq(task->kind, AE_TASK_CHOICE);
    cr_assert_eq(task->n_metrics, 1);
    cr_assert_str_eq(task->metrics[0].name, "acc");
    cr_assert_str_eq(task->target_delimiter, " ");
    cr_assert_eq(ae_task_n_leaves(task), 1);
    ae_task_free(task);
}

Test(task_file, keys_and_values) {
    assert_change_refused("prompt:", "promt:", "mine.yaml: promt: no such key; did you mean prompt?");
    assert_change_refused("format: 1", "format: 2", "format: expected 1, which this program reads, found 2");
    assert_change_refused("format: 1\n", "", "format: expected 1, the version of task files");
    assert_change_refused("task: mine\n", "", "task: expected a name, found no such key");
    assert_change_refused("version: 2\n", "", "version: expected a number");
    assert_change_refused(
        "kind: choice", "kind: chioce",
        "mine.yaml: kind: expected choice, generate or rolling, found chioce; did you mean choice?");
    assert_change_refused("kind: choice\n", "",
                          "mine.yaml: kind: expected choice, generate or rolling, found no such key");
    assert_change_refused("kind: choice", "kind: ''",
                          "kind: expected choice, generate or rolling, found an empty text");
    assert_change_refused("[acc]", "[acc]\ntopic: 3",
                          "topic: expected a topic of `aerie eval ls`, or other, found a");
    assert_change_refused("{file: rows.jsonl}", "rows.jsonl",
                          "mine.yaml: rows: expected a map of keys, found text");
    assert_change_refused("{file: rows.jsonl}", "{file: '{{'}", "mine.yaml: rows.file: expected a field");
    assert_change_refused(
        "{file: rows.jsonl}", "{file: a, form: 3}",
        "rows.form: expected auto, jsonl, json, object, csv, tsv or lines, found a whole number");
    assert_change_refused("[acc]", "[acc]\nfewshot: 5",
                          "mine.yaml: fewshot: expected a map of keys, found a whole");
    assert_change_refused("[acc]", "[acc]\nfewshot: {pick: last}",
                          "fewshot.pick: expected first or drawn, found last");
    assert_change_refused("[acc]", "[acc]\nfewshot: {file: a, examples: [{q: 1}]}",
                          "fewshot.examples: expected file or examples, found both");
    assert_change_refused("[acc]", "[acc, 3]",
                          "mine.yaml: metrics[1]: expected a map of keys, found a whole number");
    assert_change_refused("[acc]", "[acc, {metric: ac}]",
                          "metrics[1].metric: expected a metric, found ac; did you");
    assert_change_refused("[acc]", "[acc, {name: x}]",
                          "metrics[1].metric: expected a metric, found no such key");
    assert_change_refused("[acc]", "[acc, {metric: f1}]",
                          "metrics[1].metric: expected a metric of tasks of kind choice, found f1");
    assert_change_refused("file:", "fiel:", "rows.fiel: no such key; did you mean file?");
    assert_change_refused("{file: rows.jsonl}", "{}", "rows.file: expected the name of the file of rows");
    assert_change_refused("{file: rows.jsonl}", "{file: a, form: xml}", "rows.form: expected auto, jsonl");
    assert_change_refused("{{q}}", "{q}",
                          "prompt: expected a template that names a field, as {{question}}, found none");
    assert_change_refused("{{q}}", "{{q", "prompt: expected }}");
    assert_change_refused("gold: '{{g}}'\n", "", "gold: expected a template, as kind is choice");
    assert_change_refused("[acc]", "[exact_match]",
                          "expected a metric of tasks of kind choice, found exact_match");
    assert_change_refused("[acc]", "[ac]", "expected a metric, found ac; did you mean acc?");
    assert_change_refused("[acc]", "[]", "metrics: expected a list of metrics");
    assert_change_refused("[acc]", "[acc]\nfewshot: {count: -1}",
                          "fewshot.count: expected 0 to 1000, found -1");
    assert_change_refused("[acc]", "[acc]\nfewshot: {cuont: 1}",
                          "fewshot.cuont: no such key; did you mean count?");
    assert_change_refused("[acc]", "[bbq]", "facts: expected condition, as a metric is bbq");
    assert_change_refused("[acc]", "[acc]\ncontexts: ['{{q}}']", "continuation: expected a template");
    assert_change_refused(
        "[acc]", "[acc]\ncontexts: ['{{q}}']\ncontinuation: x",
        "mine.yaml: contexts: expected contexts and continuation, or prompt and choices, found both");
    assert_change_refused("kind: choice", "kind: generate",
                          "metrics[0]: expected a metric of tasks of kind generate, found acc");
    assert_refused("- 1\n", "expected a map of keys, found a list");
    assert_refused("", "expected a map of keys, found nothing");
    assert_refused("a: [", "expected YAML");
}

/* Results and their files are called after the task. */
Test(task_file, names_and_versions) {
    static const char *const names[] = {"a/b",    "../a", "'a b'", "' a'", "'a,b'", "gr\xc3\xbc\xc3\x9f",
                                        "'a\\b'", "a*"};
    static const char *const versions[] = {"7b", "''", "-1", "'1.'", "'.5'", "'1..2'", "1e30", "[1]", "true"};
    static const struct {
        const char *yaml, *version;
    } fine[] = {{"3", "3.0"}, {"1.0", "1.0"}, {"1.25", "1.25"}, {"'2'", "2"}, {"0.0.1", "0.0.1"}};
    char text[256];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(text, sizeof text, "task: %s", names[i]);
        assert_change_refused("task: mine", text,
                              "mine.yaml: task: expected a name of letters, digits, _, - and ., found \"");
    }
    assert_change_refused("[acc]", "[acc]\nparts: [fine-1.2, not/fine]",
                          "mine.yaml: not/fine: task: expected a name of letters, digits, _, - and ., found "
                          "\"mine_not/fine\"");
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        snprintf(text, sizeof text, "version: %s", versions[i]);
        assert_change_refused("version: 2", text, "mine.yaml: version: expected a number, as 1.0, found ");
    }
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++) {
        ae_task *task = NULL;
        const char *place = strstr(whole, "version: 2\n");
        snprintf(text, sizeof text, "%.*sversion: %s\n%s", (int)(place - whole), whole, fine[i].yaml,
                 strchr(place, '\n') + 1);
        cr_assert_eq(load(&task, text), AE_OK, "%s", ae_error_message());
        cr_assert_str_eq(task->version, fine[i].version);
        ae_task_free(task);
    }
}

Test(task_file, a_task_named_twice) {
    ae_task **tasks = NULL;
    size_t n = 0;
    cr_assert_eq(ae_task_load_all(&tasks, &n, "piqa,boolq,piqa", "--tasks"), AE_ERR_USAGE);
    cr_assert_message("--tasks: expected each task once, found piqa twice");
    ae_task_free_all(tasks, n);
    cr_assert_eq(ae_task_load_all(&tasks, &n, "mmlu,mmlu_anatomy", "--tasks"), AE_OK, "%s",
                 ae_error_message());
    ae_task_free_all(tasks, n);
    char names[8192], part[512];
    snprintf(part, sizeof part, "task: mine\nparts: [x]\n%s", strstr(whole, "version:"));
    snprintf(names, sizeof names, "format: 1\n%s", part);
    snprintf(part, sizeof part, "%s", scratch_write("group.yaml", names, strlen(names)));
    snprintf(names, sizeof names, "format: 1\ntask: mine_x\n%s", strstr(whole, "version:"));
    const char *alone = scratch_write("alone.yaml", names, strlen(names));
    snprintf(names, sizeof names, "%s,%s", part, alone);
    cr_assert_eq(ae_task_load_all(&tasks, &n, names, "--tasks"), AE_ERR_USAGE);
    cr_assert_message("--tasks: expected tasks with names of their own, found mine_x in ");
    ae_task_free_all(tasks, n);
}

Test(task_file, filters_and_stops) {
    static const char text[] =
        "format: 1\ntask: mine\nversion: '7.1.2'\nkind: generate\nrows: {file: rows.jsonl}\n"
        "prompt: '{{q}}'\nanswer: '{{a}}'\nmetrics: [exact_match, {metric: f1, name: words}]\n"
        "repeats: 8\nstop: 'Q:'\nfilters:\n- name: maj@4\n  steps: [{take_first_k: 4}, {regex: '(x)', match: "
        "-1}, "
        "majority, take_first]\n";
    ae_task *task = NULL;
    cr_assert_eq(load(&task, text), AE_OK, "%s", ae_error_message());
    cr_assert_eq(task->n_filters, 1);
    const ae_filter_step *steps = task->filters[0].steps;
    cr_assert_eq(task->filters[0].n_steps, 4);
    cr_assert(steps[0].kind == AE_FILTER_TAKE_FIRST_K && steps[0].k == 4);
    cr_assert(steps[1].kind == AE_FILTER_REGEX && steps[1].match == -1);
    cr_assert_str_eq(steps[1].fallback, "[invalid]");
    cr_assert(steps[2].kind == AE_FILTER_MAJORITY && steps[3].kind == AE_FILTER_TAKE_FIRST);
    cr_assert_str_eq(task->stops[0], "Q:");
    cr_assert_str_eq(task->metrics[1].name, "words");
    cr_assert_eq(task->repeats, 8);
    cr_assert_str_eq(task->version, "7.1.2");
    ae_task_free(task);
}

/* What would else show when all answers are there. */
Test(task_file, answers_that_cannot_be_judged) {
    static const char text[] =
        "format: 1\ntask: mine\nversion: 1\nkind: generate\nrows: {file: rows.jsonl}\n"
        "prompt: '{{q}}'\nanswer: '{{a}}'\nprogram: '{{completion}}'\nrepeats: 8\n%s\n";
    static const struct {
        const char *lines, *part; /* NULL: fine */
    } tries[] = {
        {"metrics: [{metric: pass_at_k, k: 2}]", "metrics: pass@2: expected at least as many answers to a "
                                                 "document, found 1 (repeats: 8, filter none)"},
        {"metrics: [{metric: pass_at_k, k: [1, 9]}]\nfilters: [{name: all, steps: [trim]}]", "pass@9: "},
        {"metrics: [{metric: pass_at_k, k: [4, 5]}]\nfilters: [{name: all, steps: []}, {name: some, steps: "
         "[{take_first_k: 4}]}]",
         "pass@5: expected at least as many answers to a document, found 4 (repeats: 8, filter some)"},
        {"metrics: [{metric: pass_at_k, k: 2}]\nfilters: [{name: most, steps: [majority]}]", "pass@2: "},
        {"metrics: [{metric: pass_at_k, k: [1, 8]}]\nfilters: [{name: all, steps: [trim]}]", NULL},
        {"metrics: [exact_match]\nfilters: [{name: a, steps: [trim, {regex: '(x'}]}]",
         "filters[0].steps[1]: pattern: expected a regular expression"},
        {"metrics: [exact_match]\nfilters: [{name: a, steps: [trim, {regx: x}]}]",
         "mine.yaml: filters[0].steps[1].regx: no such key; did you mean regex?"},
        {"metrics: [exact_match]\nfilters: [{name: a, steps: [7]}]",
         "mine.yaml: filters[0].steps[0]: expected a map of keys, found a whole number"},
        {"metrics: [exact_match]\nfilters: [{name: a, steps: [trom]}]",
         "mine.yaml: filters[0].steps[0]: expected a step, found trom; did you mean trim?"},
        {"metrics: [exact_match]\nfilters: [a]", "mine.yaml: filters[0]: expected a map of keys, found text"},
        {"metrics: [{metric: exact_match, ignore: ['x', '[']}]",
         "metrics[0].ignore: pattern: expected a regular expression"},
    };
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        char whole_text[1024];
        ae_task *task = NULL;
        snprintf(whole_text, sizeof whole_text, text, tries[i].lines);
        if (tries[i].part != NULL)
            assert_refused(whole_text, tries[i].part);
        else
            cr_assert_eq(load(&task, whole_text), AE_OK, "%s", ae_error_message());
        ae_task_free(task);
    }
}

Test(task_file, a_group_of_parts) {
    static const char text[] =
        "format: 1\ntask: mine\nversion: 1\nkind: choice\nrows: {file: '{{part}}.csv'}\n"
        "prompt: '{{q}}'\nchoices: [A, B]\ngold: 0\nmetrics: [acc]\nparts:\n"
        "- name: left\n  parts: [a, {name: b, gold: 1, fewshot: {count: 3}}]\n- c\n";
    ae_task *task = NULL;
    const ae_task *leaves[3];
    cr_assert_eq(load(&task, text), AE_OK, "%s", ae_error_message());
    cr_assert_eq(task->n_parts, 2);
    cr_assert_eq(ae_task_n_leaves(task), 3);
    ae_task_leaves(task, leaves);
    cr_assert_str_eq(task->parts[0]->name, "mine_left");
    cr_assert_str_eq(leaves[0]->name, "mine_a");
    cr_assert_str_eq(leaves[1]->part, "b");
    cr_assert_eq(leaves[0]->shots, 0);
    cr_assert_eq(leaves[1]->shots, 3);
    cr_assert_str_eq(leaves[2]->name, "mine_c");
    ae_task_free(task);
    char bad[512];
    snprintf(bad, sizeof bad, "%.*s- {name: x, gald: 1}\n", (int)(strstr(text, "- name: left") - text), text);
    assert_refused(bad, "mine.yaml: x: gald: no such key; did you mean gold?");
}

Test(task_file, all_embedded_tasks_are_read) {
    size_t n = 0;
    for (const char *name; (name = ae_task_name(n)) != NULL; n++) {
        ae_task *task = NULL;
        cr_assert_eq(ae_task_load(&task, name), AE_OK, "%s", ae_error_message());
        cr_assert_str_eq(task->name, name);
        cr_assert_str_neq(task->title, "");
        cr_assert_str_neq(task->source, "");
        ae_task_free(task);
    }
    cr_assert_gt(n, 1);
}

Test(task_file, a_task_that_is_not_there) {
    ae_task *task = NULL;
    cr_assert_eq(ae_task_load(&task, "helaswag"), AE_ERR_USAGE);
    cr_assert_message("helaswag: no such task; did you mean hellaswag?");
    cr_assert_eq(ae_task_load(&task, scratch_path("none.yaml")), AE_ERR_INPUT);
    cr_assert_message("none.yaml");
}
