#include "cli/plot_eval.h"
#include "cli/plot_html.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static ae_status out_of_memory(void) {
    return AE_FAIL(AE_ERR_RESOURCE, "samples: out of memory");
}

/* A row of the benchmark: what the main metric says of it for each folder, and its samples where it is shown. */
typedef struct {
    json_int_t number;
    double *values; /* [folders]; NaN: the folder does not have it */
    bool shown;
    json_t **samples; /* [folders] */
} sample_row;

typedef struct {
    const ae_eval_table *t;
    const char *task, *metric, *filter;
    bool higher_is_better;
    size_t folder; /* that is being read */
    sample_row *rows;
    size_t n, room;
} sample_list;

static void list_free(sample_list *l) {
    for (size_t i = 0; i < l->n; i++) {
        for (size_t k = 0; l->rows[i].samples && k < l->t->n_folders; k++) json_decref(l->rows[i].samples[k]);
        free(l->rows[i].samples);
        free(l->rows[i].values);
    }
    free(l->rows);
}

/* ---- reading ---- */

static int by_number(const void *a, const void *b) {
    const sample_row *x = a, *y = b;
    return (x->number > y->number) - (x->number < y->number);
}

/* Rows come in order from each folder. */
static sample_row *find_row(sample_list *l, json_int_t number) {
    const sample_row key = {.number = number};
    return l->n ? bsearch(&key, l->rows, l->n, sizeof *l->rows, by_number) : NULL;
}

static ae_status add_row(sample_row **out, sample_list *l, json_int_t number) {
    if (l->n == l->room) {
        const size_t room = 2 * l->room + 64;
        sample_row *grown = realloc(l->rows, room * sizeof *grown);
        if (!grown) return out_of_memory();
        l->rows = grown;
        l->room = room;
    }
    sample_row *r = *out = &l->rows[l->n];
    *r = (sample_row){.number = number, .values = malloc(l->t->n_folders * sizeof *r->values)};
    if (!r->values) return out_of_memory();
    l->n++;
    for (size_t i = 0; i < l->t->n_folders; i++) r->values[i] = (double)NAN;
    return AE_OK;
}

static bool is_of(const sample_list *l, const json_t *line) {
    const char *filter = json_string_value(json_object_get(line, "filter"));
    return strcmp(filter ? filter : "none", l->filter) == 0;
}

static ae_status take_value(void *context, const json_t *line, const char *where) {
    sample_list *l = context;
    const json_t *value = json_object_get(line, l->metric);
    const json_int_t number = json_integer_value(json_object_get(line, "doc_id"));
    (void)where;
    if (!is_of(l, line)) return AE_OK;
    sample_row *r = l->n && number > l->rows[l->n - 1].number ? NULL : find_row(l, number);
    /* a row that only a later folder has is left out: nothing would be beside it */
    if (!r && l->folder > 0) return AE_OK;
    const ae_status st = r ? AE_OK : add_row(&r, l, number);
    if (st == AE_OK) r->values[l->folder] = json_is_number(value) ? json_number_value(value) : (double)NAN;
    return st;
}

static ae_status take_sample(void *context, const json_t *line, const char *where) {
    sample_list *l = context;
    (void)where;
    if (!is_of(l, line)) return AE_OK;
    sample_row *r = find_row(l, json_integer_value(json_object_get(line, "doc_id")));
    if (r && r->shown && !r->samples[l->folder])
        r->samples[l->folder] = json_incref((json_t *)(uintptr_t)line);
    return AE_OK;
}

static bool differs(const sample_row *r, size_t folders) {
    for (size_t i = 1; i < folders; i++)
        if (r->values[i] != r->values[0] && isfinite(r->values[i]) && isfinite(r->values[0])) return true;
    return false;
}

/* Rows on which the folders differ, then the others. */
static ae_status choose(sample_list *l, size_t most) {
    size_t chosen = 0;
    for (int want = 1; want >= 0; want--)
        for (size_t i = 0; i < l->n && chosen < most; i++) {
            sample_row *r = &l->rows[i];
            if (r->shown || differs(r, l->t->n_folders) != want) continue;
            r->shown = true;
            r->samples = calloc(l->t->n_folders, sizeof(json_t *));
            if (!r->samples) return out_of_memory();
            chosen++;
        }
    return AE_OK;
}

static ae_status read_all(sample_list *l, ae_status (*line)(void *, const json_t *, const char *),
                          bool *any) {
    ae_status st = AE_OK;
    for (l->folder = 0; st == AE_OK && l->folder < l->t->n_folders; l->folder++) {
        bool found;
        st = ae_result_folder_samples(&l->t->folders[l->folder], l->task, &found, line, l);
        *any |= found;
    }
    return st;
}

/* ---- one row ---- */

static const char *text_of(const json_t *v) {
    const char *text = json_string_value(v);
    return text ? text : "";
}

static const json_t *argument(const json_t *sample, size_t i, const char *which) {
    char name[32];
    snprintf(name, sizeof name, "gen_args_%zu", i);
    return json_object_get(json_object_get(json_object_get(sample, "arguments"), name), which);
}

/* The end of a prompt in one line. */
static void put_gist(FILE *f, const char *context) {
    enum { GIST = 110 };
    const char *at = context;
    for (const char *p; (p = strstr(at, "\n\n")) && p[2];) at = p + 2;
    size_t n = strlen(at);
    if (n > GIST) {
        at += n - GIST;
        n = GIST;
        while (n && ((unsigned char)*at & 0xC0) == 0x80) at++, n--;
        fputs("&hellip;", f);
    }
    for (size_t i = 0; i < n; i++)
        if (at[i] == '\n')
            fputc(' ', f);
        else
            ae_html_escaped(f, at + i, 1);
}

static void put_marks(FILE *f, const sample_list *l, const sample_row *r) {
    for (size_t i = 0; i < l->t->n_folders; i++) {
        const double v = r->values[i];
        if ((v == 0 || v == 1) && l->higher_is_better)
            fprintf(f, " <b class=\"%s\">%s</b>", v > 0 ? "good" : "bad", v > 0 ? "&#10003;" : "&#10007;");
        else if (isfinite(v))
            fprintf(f, " <b>%.3g</b>", v);
        else
            fputs(" <b>-</b>", f);
    }
}

static double logprob_of(const json_t *sample, size_t choice) {
    const json_t *said = json_array_get(json_array_get(json_object_get(sample, "resps"), choice), 0);
    const char *text = json_string_value(json_array_get(said, 0));
    return text ? strtod(text, NULL) : (double)NAN;
}

static bool is_likeliest(const json_t *sample, size_t choice, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (logprob_of(sample, i) > logprob_of(sample, choice)) return false;
    return true;
}

/* Whether the target, a number or a list of them as text, has the choice. */
static bool is_gold(const json_t *sample, size_t choice) {
    const json_t *target = json_object_get(sample, "target");
    const char *at = json_string_value(target);
    if (json_is_integer(target)) return (size_t)json_integer_value(target) == choice;
    if (!at || strspn(at, "[], 0123456789") != strlen(at)) return false;
    while (*at) {
        char *end;
        const unsigned long number = strtoul(at, &end, 10);
        if (end != at && number == choice) return true;
        at = end != at ? end : at + 1;
    }
    return false;
}

static const json_t *first_sample(const sample_list *l, const sample_row *r) {
    for (size_t i = 0; i < l->t->n_folders; i++)
        if (r->samples[i]) return r->samples[i];
    return NULL;
}

static void put_heads(FILE *f, const sample_list *l, const char *first) {
    fprintf(f, "<div class=\"wide\"><table class=\"said\"><tr><th>%s</th>", first);
    for (size_t i = 0; i < l->t->n_folders; i++)
        ae_html_heading(f, ae_eval_folder_label(l->t->folders, l->t->n_folders, i));
    fputs("</tr>\n", f);
}

static void put_choices(FILE *f, const sample_list *l, const sample_row *r, const json_t *any) {
    const size_t n = json_array_size(json_object_get(any, "resps"));
    const bool differ =
        n > 1 && strcmp(text_of(argument(any, 0, "arg_0")), text_of(argument(any, 1, "arg_0"))) != 0;
    put_heads(f, l, "choice, log-probability in nats");
    for (size_t c = 0; c < n; c++) {
        fprintf(f, "<tr%s><td>", is_gold(any, c) ? " class=\"gold\"" : "");
        if (differ) {
            put_gist(f, text_of(argument(any, c, "arg_0")));
            fputs(" |", f);
        }
        ae_html_text(f, text_of(argument(any, c, "arg_1")));
        fputs("</td>", f);
        for (size_t i = 0; i < l->t->n_folders; i++) {
            const json_t *s = r->samples[i];
            fprintf(f, s && is_likeliest(s, c, n) ? "<td><b>%.3f</b></td>" : "<td>%.3f</td>",
                    logprob_of(s, c));
        }
        fputs("</tr>\n", f);
    }
    fputs("</table></div>\n", f);
}

static void put_answers(FILE *f, const sample_list *l, const sample_row *r, const json_t *any) {
    fputs("<p><small>expected</small></p><pre>", f);
    ae_html_text(f, text_of(json_object_get(any, "target")));
    fputs("</pre>\n", f);
    for (size_t i = 0; i < l->t->n_folders; i++) {
        const json_t *said = json_array_get(json_object_get(r->samples[i], "resps"), 0);
        const json_t *taken = json_array_get(json_object_get(r->samples[i], "filtered_resps"), 0);
        if (json_is_array(taken)) taken = json_array_get(taken, 0);
        fputs("<p><small>", f);
        ae_html_text(f, ae_eval_folder_label(l->t->folders, l->t->n_folders, i));
        fputs(", of which is taken: </small>", f);
        ae_html_text(f, text_of(taken));
        fputs("</p><pre>", f);
        ae_html_text(f, text_of(json_array_get(said, 0)));
        fputs("</pre>\n", f);
    }
}

static void put_row(FILE *f, const sample_list *l, const sample_row *r) {
    const json_t *any = first_sample(l, r);
    if (!any) return;
    const json_t *first = json_array_get(json_array_get(json_object_get(any, "resps"), 0), 0);
    const char *context = text_of(argument(any, 0, "arg_0"));
    fprintf(f, "<details class=\"row%s\"><summary>%lld:", differs(r, l->t->n_folders) ? "" : " same",
            (long long)r->number);
    put_marks(f, l, r);
    fputs(" <span>", f);
    put_gist(f, context[0] ? context : text_of(argument(any, 0, "arg_1")));
    fputs("</span></summary>\n", f);
    if (context[0]) {
        fputs("<pre>", f);
        ae_html_text(f, context);
        fputs("</pre>\n", f);
    }
    if (json_is_array(first))
        put_choices(f, l, r, any);
    else
        put_answers(f, l, r, any);
    fputs("</details>\n", f);
}

/* ---- a leaf ---- */

static const ae_eval_row *main_row(const ae_eval_table *t, const char *task) {
    for (size_t i = 0; i < t->n; i++)
        if (t->rows[i].is_main && strcmp(t->rows[i].task, task) == 0) return &t->rows[i];
    return NULL;
}

ae_status ae_plot_eval_samples(FILE *f, const ae_eval_table *t, const char *task, size_t most, bool *any) {
    const ae_eval_row *of = main_row(t, task);
    if (!of) return AE_OK;
    sample_list l = {.t = t,
                     .task = task,
                     .metric = of->metric,
                     .filter = of->filter,
                     .higher_is_better = of->higher_is_better};
    ae_status st = read_all(&l, take_value, any);
    if (st == AE_OK) st = choose(&l, most);
    if (st == AE_OK && l.n > 0) st = read_all(&l, take_sample, any);
    if (st == AE_OK && l.n > 0) {
        fputs("<details><summary>", f);
        ae_html_text(f, task);
        fputs(" <small>", f);
        ae_html_text(f, l.metric);
        fprintf(f, ", %zu of %zu rows</small></summary>\n<div class=\"rows\">\n", l.n < most ? l.n : most,
                l.n);
        for (size_t i = 0; i < l.n; i++)
            if (l.rows[i].shown) put_row(f, &l, &l.rows[i]);
        fputs("</div></details>\n", f);
    }
    list_free(&l);
    return st;
}
