#include "cli/eval_flags.h"
#include "cli/eval_verbs.h"
#include "cli/interrupt.h"
#include "core/file.h"
#include "core/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] = "aerie eval validate TASK DATA [--flags]\n\n"
                            "Makes every prompt of a task (a name of `aerie eval ls`, a part of one, or "
                            "FILE.yaml) from the rows below the\n"
                            "folder DATA, or in the file DATA, and names each row that does not fit. It ends "
                            "with 3 when there is one.";

enum { FAULTS_SHOWN = 20 };

/* What was seen of a leaf. */
typedef struct {
    ptrdiff_t documents, faults, choices_min, choices_max;
    size_t bytes_min, bytes_max; /* of contexts, or of texts */
} findings;

static void note_bytes(findings *f, size_t n) {
    if (f->bytes_max == 0 || n < f->bytes_min) f->bytes_min = n;
    if (n > f->bytes_max) f->bytes_max = n;
}

static void note(findings *f, const ae_request *r) {
    for (ptrdiff_t c = 0; c < r->n_choices; c++) note_bytes(f, strlen(r->contexts[c]));
    if (r->n_choices == 0 && r->contexts != NULL) note_bytes(f, strlen(r->contexts[0]));
    if (r->text != NULL) note_bytes(f, strlen(r->text));
    if (f->choices_max == 0 || r->n_choices < f->choices_min) f->choices_min = r->n_choices;
    if (r->n_choices > f->choices_max) f->choices_max = r->n_choices;
}

static ae_status try_program(const ae_task *leaf, const ae_task_documents *d, ptrdiff_t i) {
    char *program = NULL;
    if (!leaf->has_program) return AE_OK;
    const ae_status st = ae_request_program(&program, d, i, "");
    free(program);
    return st;
}

static ae_status examine(findings *f, const ae_task *leaf, const ae_task_documents *d) {
    f->documents = ae_task_documents_count(d);
    for (ptrdiff_t i = 0; i < f->documents; i++) {
        ae_request r;
        if (ae_interrupt_check() != AE_OK) return AE_ERR_INTERRUPTED;
        ae_status st = ae_request_make(&r, d, i);
        if (st == AE_OK) {
            note(f, &r);
            st = try_program(leaf, d, i);
            ae_request_free(&r);
        }
        if (st != AE_OK && st != AE_ERR_INPUT) return st;
        if (st == AE_OK) continue;
        if (f->faults < FAULTS_SHOWN) printf("%s\n", ae_error_message());
        f->faults++;
    }
    return AE_OK;
}

static void print_range(const char *what, long long least, long long most) {
    if (least == most)
        printf(", %lld %s", least, what);
    else
        printf(", %lld to %lld %s", least, most, what);
}

static void print_findings(const findings *f, const ae_task *leaf, const ae_task_documents *d) {
    if (f->faults > FAULTS_SHOWN) printf("and %td more\n", f->faults - FAULTS_SHOWN);
    printf("%s: %td document%s of %s, %d-shot", leaf->name, f->documents, ae_plural(f->documents),
           ae_task_documents_path(d), ae_task_documents_shots(d));
    if (f->faults == f->documents) {
        printf(", none fits\n");
        return;
    }
    if (leaf->kind == AE_TASK_CHOICE) print_range("choices", f->choices_min, f->choices_max);
    print_range(leaf->kind == AE_TASK_ROLLING ? "bytes of text" : "bytes of context", (long long)f->bytes_min,
                (long long)f->bytes_max);
    printf("\n");
}

/* Of all leaves. */
typedef struct {
    ptrdiff_t documents, faults;
    size_t unread;               /* leaves whose rows could not be read at all */
    char *reasons[FAULTS_SHOWN]; /* why: of the first of them */
} totals;

static ae_status validate_leaf(totals *all, const ae_eval_target *t, const ae_task *leaf) {
    ae_task_documents *d = NULL;
    findings f = {0};
    ae_status st = ae_task_documents_open(&d, leaf, t->data, &t->options);
    if (st == AE_ERR_INPUT && t->n > 1 && ae_path_exists(t->data)) {
        if (all->unread < FAULTS_SHOWN) all->reasons[all->unread] = strdup(ae_error_message());
        all->unread++;
        return AE_OK;
    }
    if (st == AE_OK) st = examine(&f, leaf, d);
    if (st == AE_OK) print_findings(&f, leaf, d);
    ae_task_documents_close(d);
    all->documents += f.documents;
    all->faults += f.faults;
    return st;
}

static void print_unread(const totals *all) {
    for (size_t i = 0; i < all->unread && i < FAULTS_SHOWN; i++)
        if (all->reasons[i] != NULL) printf("%s\n", all->reasons[i]);
    if (all->unread > FAULTS_SHOWN) printf("and %zu more parts\n", all->unread - FAULTS_SHOWN);
}

static ae_status judge(const totals *all, const ae_eval_target *t) {
    char unread[64] = "";
    if (all->unread == t->n) /* the first says it for all */
        return AE_FAIL(AE_ERR_INPUT, "%s; none of the other %zu parts can be read either",
                       all->reasons[0] != NULL ? all->reasons[0] : t->data, t->n - 1);
    print_unread(all);
    if (t->n > 1)
        printf("%s: %td document%s in %zu of %zu parts\n", t->task->name, all->documents,
               ae_plural(all->documents), t->n - all->unread, t->n);
    if (all->faults == 0 && all->unread == 0) return AE_OK;
    if (all->faults == 0)
        return AE_FAIL(AE_ERR_INPUT, "%s: expected rows of all %zu parts of %s, found %zu part%s without",
                       t->data, t->n, t->task->name, all->unread, ae_plural((int64_t)all->unread));
    if (all->unread > 0)
        snprintf(unread, sizeof unread, ", and %zu part%s without rows", all->unread,
                 ae_plural((int64_t)all->unread));
    return AE_FAIL(AE_ERR_INPUT, "%s: expected rows that fit %s, found %td that do not%s", t->data,
                   t->task->name, all->faults, unread);
}

static ae_status validate(const ae_arg_list *words, const ae_eval_flags *flags) {
    ae_eval_target t = {0};
    totals all = {0};
    ae_interrupt_catch();
    ae_status st = ae_eval_target_open(&t, words, flags, "eval validate");
    for (size_t i = 0; i < t.n && st == AE_OK; i++) st = validate_leaf(&all, &t, t.leaves[i]);
    if (st == AE_OK) st = judge(&all, &t);
    for (size_t i = 0; i < FAULTS_SHOWN; i++) free(all.reasons[i]);
    ae_eval_target_close(&t);
    return st;
}

ae_status ae_verb_eval_validate(int argc, char **argv) {
    ae_eval_flags flags = AE_EVAL_FLAGS;
    ae_arg_list words = {0};
    bool help = false;
    const ae_arg table[] = {ae_arg_num_fewshot(&flags), ae_arg_fewshot_seed(&flags), ae_arg_limit(&flags)};
    const size_t n = sizeof table / sizeof *table;
    ae_status st = ae_args_parse(argc, argv, table, n, &words, &help);
    if (st == AE_OK && help)
        ae_args_help(usage, table, n, stdout);
    else if (st == AE_OK)
        st = validate(&words, &flags);
    ae_arg_list_free(&words);
    return st;
}
