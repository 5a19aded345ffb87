#include "cli/data_examples.h"

#include "cli/text_flags.h"
#include "core/clock.h"
#include "core/json.h"
#include "core/log.h"
#include "core/process.h"
#include "data/examples.h"
#include "data/set_folder.h"

#include <stdio.h>

static json_t *count_json(const ae_examples_count *c) {
    return json_pack("{s:I, s:I, s:I, s:I, s:I}", "rows", (json_int_t)c->rows, "documents",
                     (json_int_t)c->documents, "tokens", (json_int_t)c->tokens, "targets",
                     (json_int_t)c->targets, "longest", (json_int_t)c->longest);
}

static ae_status report_json(const ae_prepare_options *o, const char *kind, const ae_examples_report *r,
                             double seconds) {
    json_t *v =
        json_pack("{s:s, s:s, s:o, s:o, s:I, s:I, s:I, s:o, s:f}", "output", o->output, "kind", kind, "train",
                  count_json(&r->train), "heldout", count_json(&r->held), "untrained_rows",
                  (json_int_t)r->untrained, "unused_turns", (json_int_t)r->unused_turns, "duplicates",
                  (json_int_t)r->duplicates, "bad_lines", ae_bad_lines_json(&r->bad), "seconds", seconds);
    const ae_status st = v ? ae_json_write_line(v, stdout, "standard output")
                           : AE_FAIL(AE_ERR_USAGE, "--output: expected a name in UTF-8");
    json_decref(v);
    return st;
}

static void print_count(const char *folder, const char *name, const ae_examples_count *c, bool counts) {
    printf("%s/%-11s %lld row%s, %lld tokens", folder, name, (long long)c->rows, ae_plural(c->rows),
           (long long)c->tokens);
    if (counts) printf(", %lld of them learnt", (long long)c->targets);
    printf("; the longest document has %lld\n", (long long)c->longest);
}

static void report_text(const ae_prepare_options *o, ae_data_kind kind, const ae_examples_report *r) {
    const bool counts = kind != AE_KIND_PROMPTS;
    print_count(o->output, "train.h5", &r->train, counts);
    if (r->held.rows) print_count(o->output, "heldout.h5", &r->held, counts);
    if (r->untrained)
        printf("%lld row%s without an answer that is learnt (weight 0)\n", (long long)r->untrained,
               ae_plural(r->untrained));
    if (r->unused_turns)
        printf("%lld turn%s of the user after the last answer left out\n", (long long)r->unused_turns,
               ae_plural(r->unused_turns));
    if (r->duplicates)
        printf("%lld row%s came before and %s; data validate --fix leaves such rows out\n",
               (long long)r->duplicates, ae_plural(r->duplicates), r->duplicates == 1 ? "stays" : "stay");
}

static ae_status write_sets(const ae_prepare_options *o, const ae_example_flags *flags,
                            ae_examples_report *r) {
    ae_set_folder folder = {0};
    ae_status st;
    AE_TRY(ae_set_folder_open(&folder, o->output, o->force));
    AE_TRY(ae_set_folder_take(&folder));
    AE_TRY(ae_set_folder_stage(&folder));
    const ae_examples_options e = {.inputs = o->inputs,
                                   .n_inputs = o->n_inputs,
                                   .rules = flags->rules,
                                   .mapping = flags->mapping,
                                   .output = folder.staged_train,
                                   .held_path = o->heldout > 0 ? folder.staged_heldout : NULL,
                                   .heldout = o->heldout,
                                   .skip_bad = o->skip_bad,
                                   .check = o->check};
    AE_TRY(ae_examples_prepare(&e, r));
    AE_TRY(ae_set_folder_publish(&folder, o->heldout > 0));
out:
    ae_set_folder_close(&folder);
    return st;
}

ae_status ae_data_examples(const ae_prepare_options *o, const ae_example_flags *flags, bool json) {
    ae_examples_report r = {0};
    if (!(o->heldout >= 0 && o->heldout <= 0.5))
        return AE_FAIL(AE_ERR_USAGE, "heldout: expected a share from 0 to 0.5, found %g", o->heldout);
    const double started = ae_now_s();
    ae_status st = write_sets(o, flags, &r);
    const double seconds = ae_now_s() - started;
    ae_bad_lines_tell(&r.bad);
    const bool tells = st == AE_OK && !ae_stdout_is_closed();
    if (tells && json) st = report_json(o, flags->kind, &r, seconds);
    if (tells && !json) report_text(o, flags->rules.kind, &r);
    ae_bad_lines_free(&r.bad);
    return st;
}
