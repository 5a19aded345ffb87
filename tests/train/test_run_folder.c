#include "formats/done.h"
#include "tests/core/scratch.h"
#include "train/run_folder.h"

TestSuite(run_folder, .init = scratch_make, .fini = scratch_remove);

static void write_text(const char *name, const char *text) {
    scratch_write(name, text, strlen(text));
}

static void write_checkpoint(const char *folder, bool done) {
    static const char *const names[] = {"weights.h5", "model.json"};
    ae_model_config c;
    const ae_model_keys keys = {
        .preset = (char *)"s5", .init = (char *)"", .pattern = (char *)"", .soft_cap = -1, .rope_theta = -1};
    char name[128], *text = NULL;
    cr_assert_eq(ae_folder_make(scratch_path(folder)), AE_OK);
    cr_assert_eq(ae_model_config_resolve(&c, &keys, 300), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_model_config_to_json(&c, &text), AE_OK);
    snprintf(name, sizeof name, "%s/model.json", folder);
    write_text(name, text);
    snprintf(name, sizeof name, "%s/weights.h5", folder);
    write_text(name, "weights are not read here");
    if (done) cr_assert_eq(ae_done_write(scratch_path(folder), names, 2), AE_OK, "%s", ae_error_message());
    free(text);
}

static void refused(const char *path, const char *says) {
    ae_model_source s;
    cr_assert_eq(ae_run_source_open(&s, path), AE_ERR_INPUT, "%s", path);
    cr_assert_message(says);
    cr_assert_null(s.folder);
}

static void opens(const char *path, const char *folder) {
    ae_model_source s;
    cr_assert_eq(ae_run_source_open(&s, path), AE_OK, "%s", ae_error_message());
    cr_assert_eq(s.kind, AE_SOURCE_CHECKPOINT);
    cr_assert_not_null(strstr(s.folder, folder), "%s", s.folder);
    ae_model_source_free(&s);
}

Test(run_folder, a_run_stands_for_its_newest_complete_checkpoint) {
    char *newest = NULL;
    int64_t step = 0;
    cr_assert_eq(ae_folder_make(scratch_path("run/checkpoints")), AE_OK);
    refused(scratch_path("run"), "complete checkpoint");
    write_checkpoint("run/checkpoints/step-000009", true);
    write_checkpoint("run/checkpoints/step-000010", true);
    write_checkpoint("run/checkpoints/step-000011", false);
    write_checkpoint("run/checkpoints/step-000012.tmp", true);
    cr_assert_eq(ae_checkpoint_newest_complete(&newest, &step, scratch_path("run")), AE_OK);
    cr_assert_eq(step, 10);
    cr_assert_not_null(strstr(newest, "step-000010"));
    free(newest);
    opens(scratch_path("run"), "step-000010");
    opens(scratch_path("run/"), "step-000010");
    opens(scratch_path("run/checkpoints/step-000009/"), "step-000009");
    refused(scratch_path("run/checkpoints/step-000011"), "DONE");
}

Test(run_folder, an_empty_step_is_a_checkpoint_that_was_cut_off) {
    cr_assert_eq(ae_folder_make(scratch_path("step-000004")), AE_OK);
    refused(scratch_path("step-000004"), "DONE");
    refused(scratch_path("absent"), "nothing there");
}
