#include "cli/plot_frontier.h"
#include "cli/plot_html.h"
#include "core/file.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLES_MAX = 3, NAME_BYTES = 256, TITLE_BYTES = 64 };

/* ---- a run ---- */

static void put_config(FILE *f, const char *folder) {
    char *path = ae_path_join(folder, "config.yaml");
    if (ae_path_exists(path)) {
        fputs("<details><summary>configuration</summary>\n", f);
        ae_html_file(f, path);
        fputs("</details>\n", f);
    }
    free(path);
}

static int newest_first(const void *a, const void *b) {
    return strcmp((const char *)b, (const char *)a);
}

/* Names of the last samples (step-000123.txt), newest first. */
static size_t find_samples(const char *folder, char names[SAMPLES_MAX][NAME_BYTES]) {
    size_t n = 0;
    DIR *d = opendir(folder);
    for (const struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
        if (strncmp(e->d_name, "step-", 5) != 0) continue;
        char *slot = names[n < SAMPLES_MAX ? n : SAMPLES_MAX - 1];
        if (n >= SAMPLES_MAX && strcmp(e->d_name, slot) < 0) continue;
        snprintf(slot, NAME_BYTES, "%s", e->d_name);
        if (n < SAMPLES_MAX) n++;
        qsort(names, n, NAME_BYTES, newest_first);
    }
    if (d) closedir(d);
    return n;
}

static void put_samples(FILE *f, const char *run) {
    char names[SAMPLES_MAX][NAME_BYTES];
    char *folder = ae_path_join(run, "samples");
    const size_t n = find_samples(folder, names);
    for (size_t i = 0; i < n; i++) {
        char *path = ae_path_join(folder, names[i]);
        fprintf(f, "<p>sample after ");
        ae_html_escaped(f, names[i], strcspn(names[i], "."));
        fputs("</p>\n", f);
        ae_html_file(f, path);
        free(path);
    }
    free(folder);
}

/* ---- sections ---- */

/* Runs of one stage and method, one after another. */
typedef struct {
    const ae_run_curves *runs;
    size_t n;
    char *svg; /* a series */
    size_t svg_bytes;
} section;

typedef struct {
    ae_run_curves *runs; /* in the order of the sections; what they own is the caller's */
    size_t n;
    section *sections;
    size_t n_sections;
    ae_method_table methods;
    char *frontier;
    size_t frontier_bytes;
} page;

static bool same_stage(const ae_run_curves *a, const ae_run_curves *b) {
    return a->stage.kind == b->stage.kind && strcmp(a->stage.method, b->stage.method) == 0;
}

/* Whether a run before run k is of its stage. */
static bool is_later(const ae_run_curves *runs, size_t k) {
    for (size_t i = 0; i < k; i++)
        if (same_stage(&runs[i], &runs[k])) return true;
    return false;
}

static ae_status make_sections(page *p, const ae_run_curves *runs, size_t n) {
    *p = (page){.runs = calloc(n, sizeof *p->runs), .sections = calloc(n, sizeof *p->sections)};
    if (!p->runs || !p->sections) return AE_FAIL(AE_ERR_RESOURCE, "report: out of memory");
    for (size_t k = 0; k < n; k++) {
        if (is_later(runs, k)) continue;
        section *s = &p->sections[p->n_sections++];
        s->runs = p->runs + p->n;
        for (size_t i = k; i < n; i++)
            if (same_stage(&runs[i], &runs[k])) p->runs[p->n + s->n++] = runs[i];
        p->n += s->n;
    }
    return AE_OK;
}

static ae_status draw(page *p) {
    ae_status st = AE_OK;
    for (size_t i = 0; i < p->n_sections && st == AE_OK; i++) {
        section *s = &p->sections[i];
        st = ae_plot_draw(s->runs, s->n, AE_PICTURE_SERIES, &s->svg, &s->svg_bytes);
    }
    if (st == AE_OK) st = ae_method_table_make(&p->methods, p->runs, p->n);
    if (st == AE_OK && ae_plot_has_frontier(p->runs, p->n))
        st = ae_plot_frontier(p->runs, p->n, &p->methods, AE_PICTURE_SVG, &p->frontier, &p->frontier_bytes);
    return st;
}

static void page_free(page *p) {
    for (size_t i = 0; i < p->n_sections; i++) free(p->sections[i].svg);
    free(p->runs);
    free(p->sections);
    free(p->frontier);
    ae_method_table_free(&p->methods);
}

/* ---- the page ---- */

static void put_section(FILE *f, const section *s) {
    if (s->svg) ae_plot_figures_html(f, s->runs, s->n);
    if (s->svg) ae_html_pictures(f, s->svg, s->svg_bytes);
    for (size_t i = 0; i < s->n; i++) {
        fputs("<h3>", f);
        ae_html_text(f, s->runs[i].name);
        fputs("</h3>\n", f);
        if (s->runs[i].tradeoff.n > 0) ae_tradeoff_html(f, &s->runs[i].tradeoff);
        put_config(f, s->runs[i].folder);
        put_samples(f, s->runs[i].folder);
    }
}

static void put_contents(FILE *f, const page *p) {
    char title[TITLE_BYTES];
    fputs("<p>", f);
    for (size_t i = 0; i < p->n_sections; i++) {
        ae_run_stage_title(title, &p->sections[i].runs[0].stage);
        fprintf(f, "<a href=\"#stage-%zu\">%zu. ", i + 1, i + 1);
        ae_html_text(f, title);
        fputs("</a> &middot; ", f);
    }
    fputs(p->methods.n ? "<a href=\"#methods\">methods side by side</a></p>\n" : "</p>\n", f);
}

static void put_sections(FILE *f, const page *p) {
    char title[TITLE_BYTES];
    for (size_t i = 0; i < p->n_sections; i++) {
        ae_run_stage_title(title, &p->sections[i].runs[0].stage);
        if (p->n_sections > 1) {
            fprintf(f, "<h2 id=\"stage-%zu\">%zu. ", i + 1, i + 1);
            ae_html_text(f, title);
            fputs("</h2>\n", f);
        }
        put_section(f, &p->sections[i]);
    }
}

static void put_methods(FILE *f, const page *p) {
    if (p->methods.n == 0) return;
    fputs("<h2 id=\"methods\">methods side by side</h2>\n", f);
    ae_method_table_html(f, &p->methods);
    if (!p->frontier) return;
    fputs("<div class=\"one\">", f);
    ae_html_pictures(f, p->frontier, p->frontier_bytes);
    fputs("</div>\n", f);
}

static void put_names(FILE *f, const page *p) {
    for (size_t i = 0; i < p->n; i++) {
        ae_html_text(f, i ? ", " : "");
        ae_html_text(f, p->runs[i].name);
    }
}

static void put_page(FILE *f, const page *p) {
    ae_html_begin(f, p->n == 1 ? p->runs[0].name : "runs", "");
    fputs("<h1>", f);
    put_names(f, p);
    fputs("</h1>\n<p><small>aerie " AERIE_VERSION "</small></p>\n", f);
    if (p->n_sections > 1) put_contents(f, p);
    put_sections(f, p);
    put_methods(f, p);
    fputs("</body></html>\n", f);
}

ae_status ae_plot_report(const ae_run_curves *runs, size_t n, char **html, size_t *n_bytes) {
    page p;
    ae_status st = make_sections(&p, runs, n);
    if (st == AE_OK) st = draw(&p);
    FILE *f = st == AE_OK ? open_memstream(html, n_bytes) : NULL;
    if (st == AE_OK && !f) st = AE_FAIL(AE_ERR_RESOURCE, "report: out of memory");
    if (f) {
        put_page(f, &p);
        if (fclose(f) != 0) st = AE_FAIL(AE_ERR_RESOURCE, "report: out of memory");
    }
    page_free(&p);
    return st;
}
