#ifndef AE_TESTS_TRAIN_TUNING_H
#define AE_TESTS_TRAIN_TUNING_H
#include "core/file.h"
#include "core/json.h"
#include "formats/done.h"
#include "tests/train/rig.h"

#include <stdlib.h>
#include <string.h>

/* What the tests of tuning share: token sets from lines of token ids, and numbers of a run's metrics. The
 * vocabulary is that of the fixtures, 64. */

static inline void append_ids(const json_t *list, int32_t *ids, int64_t *n) {
    for (size_t i = 0; i < json_array_size(list); i++)
        ids[(*n)++] = (int32_t)json_integer_value(json_array_get(list, i));
}

/* `add` writes the documents of one line. */
static inline int tuning_set(const char *path, const char *lines,
                             void (*add)(ae_token_writer *w, const json_t *line)) {
    char *text = NULL;
    size_t n = 0;
    int count = 0;
    ae_token_writer *w = NULL;
    const ae_token_set_info info = {.vocab_size = 64, .has_mask = true};
    ASSERT_OK(ae_file_read(lines, &text, &n));
    ASSERT_OK(ae_token_writer_open(&w, path, &info));
    for (char *rest = text, *line; (line = strsep(&rest, "\n")) != NULL && line[0]; count++) {
        json_t *o = json_loads(line, 0, NULL);
        add(w, o);
        json_decref(o);
    }
    ASSERT_OK(ae_token_writer_finish(w, "{}"));
    free(text);
    return count;
}

/* Both documents of a pair in token ids. */
static inline void tuning_add_pair(ae_token_writer *w, const json_t *line) {
    static const char *const answers[] = {"chosen_tokens", "rejected_tokens"};
    for (int k = 0; k < 2; k++) {
        int32_t ids[128];
        uint8_t mask[128];
        int64_t prompt = 0, n;
        append_ids(json_object_get(line, "prompt_tokens"), ids, &prompt);
        n = prompt;
        append_ids(json_object_get(line, answers[k]), ids, &n);
        for (int64_t t = 0; t < n; t++) mask[t] = t >= prompt;
        ASSERT_OK(ae_token_writer_add(w, ids, mask, n, 0));
    }
}

/* Sets "key=value" words, separated by spaces. */
static inline void tuning_keys(ae_train_config *c, const char *words) {
    char *copy = strdup(words), *rest = copy, *word;
    while ((word = strsep(&rest, " ")) != NULL)
        if (word[0]) ASSERT_OK(ae_config_set(&c->table, word, "test"));
    free(copy);
}

static inline double tuning_number(const train_rig *r, const char *run, size_t line, const char *name) {
    json_t *m = train_rig_metric(r, run, line);
    cr_assert_not_null(m, "%s: no line %zu", run, line);
    const json_t *value = json_object_get(m, name);
    cr_assert(json_is_number(value), "%s: line %zu has no %s", run, line, name);
    const double number = json_number_value(value);
    json_decref(m);
    return number;
}

/* The run's checkpoint of that step becomes one from before the key came. */
static inline void tuning_forget(const train_rig *r, const char *run, int step, const char *section,
                                 const char *key) {
    static const char *const files[] = {"weights.h5", "optimizer.h5", "model.json", "config.yaml",
                                        "state.json"};
    char name[128];
    snprintf(name, sizeof name, "%s/checkpoints/step-%06d", run, step);
    const char *folder = train_rig_path(r, name);
    char *path = ae_path_join(folder, "state.json");
    json_t *state = json_load_file(path, 0, NULL),
           *keys = json_object_get(json_object_get(state, "config"), section);
    cr_assert_eq(json_object_del(keys, key), 0, "%s: no %s.%s", path, section, key);
    cr_assert_eq(json_dump_file(state, path, JSON_REAL_PRECISION(17)), 0);
    ASSERT_OK(ae_done_write(folder, files, sizeof files / sizeof *files));
    json_decref(state);
    free(path);
}

#endif
