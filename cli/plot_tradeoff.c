#include "cli/plot_tradeoff.h"

#include "cli/plot_html.h"
#include "core/file.h"
#include "core/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Where a method keeps its rows, and how it calls what they have. */
typedef struct {
    const char *method, *file, *list, *at, *kl, *answered;
} source;

static const source sources[] = {{"best_of_n", "best_of_n.json", "table", "n", "kl_bound", "prompts"},
                                 {"warp", "warp.json", "frontier", "e", "kl", "answers"}};

static ae_status read_point(ae_tradeoff_point *p, const source *s, const json_t *row, const char *where) {
    const double unknown = (double)NAN;
    *p = (ae_tradeoff_point){unknown, unknown, unknown, unknown, unknown, unknown, unknown, unknown};
    ae_status st;
    AE_TRY(ae_json_real(row, s->at, where, &p->at));
    AE_TRY(ae_json_opt_real(row, s->kl, where, &p->kl));
    AE_TRY(ae_json_opt_real(row, "reward", where, &p->reward));
    AE_TRY(ae_json_opt_real(row, "reward_low", where, &p->low));
    AE_TRY(ae_json_opt_real(row, "reward_high", where, &p->high));
    AE_TRY(ae_json_opt_real(row, "reward_std", where, &p->reward_std));
    AE_TRY(ae_json_opt_real(row, "length", where, &p->length));
    AE_TRY(ae_json_opt_real(row, "truncated", where, &p->truncated));
out:
    return st;
}

static ae_status read_rows(ae_tradeoff *t, const source *s, const json_t *root, const char *path) {
    const json_t *list = json_object_get(root, s->list), *first = json_array_get(list, 0);
    if (!json_is_array(list))
        return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected a list, found %s", path, s->list,
                       ae_json_type_name(list));
    t->points = calloc(json_array_size(list) + 1, sizeof *t->points);
    if (!t->points) return AE_FAIL(AE_ERR_RESOURCE, "plot: out of memory");
    const json_t *answered = json_object_get(root, s->answered);
    t->answered = (size_t)json_integer_value(answered ? answered : json_object_get(first, s->answered));
    ae_status st = AE_OK;
    for (; st == AE_OK && t->n < json_array_size(list); t->n++)
        st = read_point(&t->points[t->n], s, json_array_get(list, t->n), path);
    return st;
}

ae_status ae_tradeoff_read(ae_tradeoff *t, const char *run) {
    const source *s = sources, *end = sources + sizeof sources / sizeof *sources;
    json_t *root = NULL;
    *t = (ae_tradeoff){0};
    while (s < end && !ae_path_has(run, s->file)) s++;
    if (s == end) return AE_OK;
    char *path = ae_path_join(run, s->file);
    ae_status st = ae_json_load(&root, path);
    if (st == AE_OK) st = read_rows(t, s, root, path);
    if (st == AE_OK)
        t->method = s->method;
    else
        ae_tradeoff_free(t);
    json_decref(root);
    free(path);
    return st;
}

void ae_tradeoff_free(ae_tradeoff *t) {
    free(t->points);
    *t = (ae_tradeoff){0};
}

void ae_tradeoff_html(FILE *f, const ae_tradeoff *t) {
    const bool best = strcmp(t->method, "best_of_n") == 0;
    fprintf(f, "<div class=\"wide\"><table><tr><th>%s</th><th>%s</th><th>reward</th></tr>\n",
            best ? "n" : "e", best ? "KL at most, nats" : "KL, nats");
    for (size_t i = 0; i < t->n; i++) {
        const ae_tradeoff_point *p = &t->points[i];
        fprintf(f, "<tr><td>%.3g</td>", p->at);
        ae_html_number(f, p->kl, 3, "");
        ae_html_estimate(f, &(ae_estimate){p->reward, p->low, p->high}, 3);
        fputs("</tr>\n", f);
    }
    fputs(best ? "</table></div>\n<p><small>The expected best of n answers to a prompt; in brackets 95 %."
                 "</small></p>\n"
               : "</table></div>\n<p><small>Weights between the start (e = 0) and the last merge (e = 1)."
                 "</small></p>\n",
          f);
}
