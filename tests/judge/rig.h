#ifndef AE_TESTS_JUDGE_RIG_H
#define AE_TESTS_JUDGE_RIG_H
#include "core/file.h"
#include "judge/study.h"

#include <criterion/criterion.h>
#include <stdlib.h>

/* A study in a folder of its own: answer k of item i is "answer I of NAME". */

static inline char *temporary_folder(void) {
    char *folder = strdup("/tmp/aerie-judge-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    return folder;
}

static inline void remove_folder(char *folder) {
    cr_assert_eq(ae_folder_remove(folder), AE_OK);
    free(folder);
}

static inline json_t *study_items(int items, int models, const char *const *names) {
    json_t *list = json_array();
    for (int i = 0; i < items; i++) {
        char text[128];
        json_t *answers = json_array();
        for (int k = 0; k < models; k++) {
            snprintf(text, sizeof text, "answer %d of %s", i, names[k]);
            json_array_append_new(answers, json_string(text));
        }
        snprintf(text, sizeof text, "q%d", i);
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:o}", "id", text, "prompt", "why?", "answers", answers));
    }
    return list;
}

static inline json_t *study_about(int models, const char *const *names) {
    json_t *list = json_array();
    for (int k = 0; k < models; k++) json_array_append_new(list, json_pack("{s:s}", "name", names[k]));
    return json_pack("{s:i, s:o, s:{}}", "seed", 3, "models", list, "made");
}

static inline void write_study(const char *folder, int items, int models, const char *const *names) {
    json_t *list = study_items(items, models, names), *about = study_about(models, names);
    cr_assert_eq(ae_study_write(folder, about, list), AE_OK);
    json_decref(list);
    json_decref(about);
}

#endif
