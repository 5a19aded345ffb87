#include "cli/plot_calibration.h"

#include "core/file.h"
#include "core/json.h"

#include <stdlib.h>

/* An empty bin has null in the place of its means. */
static ae_status read_bin(ae_calibration_curve *c, const json_t *bin, const char *where) {
    ae_calibration_point p;
    ae_status st;
    AE_TRY(ae_json_int(bin, "pairs", where, &p.pairs));
    if (p.pairs == 0) return AE_OK;
    AE_TRY(ae_json_real(bin, "probability", where, &p.probability));
    AE_TRY(ae_json_real(bin, "right", where, &p.right));
    if (p.pairs < 0 || !(p.probability >= 0.5 && p.probability <= 1) || !(p.right >= 0 && p.right <= 1))
        AE_TRY(AE_FAIL(AE_ERR_INPUT,
                       "%s: bins: expected pairs above 0, probability from 0.5 to 1 and right from 0 to 1, "
                       "found %lld, %g and %g",
                       where, (long long)p.pairs, p.probability, p.right));
    ae_share_interval(p.right, (double)p.pairs, &p.low, &p.high);
    c->points[c->n++] = p;
out:
    return st;
}

static ae_status read_bins(ae_calibration_curve *c, const json_t *root, const char *path) {
    const json_t *bins = json_object_get(root, "bins");
    ae_status st = ae_json_int(root, "step", path, &c->step);
    if (st == AE_OK && json_array_size(bins) != AE_CALIBRATION_BINS)
        st = AE_FAIL(AE_ERR_INPUT, "%s: bins: expected a list of %d, found %s of %zu", path,
                     AE_CALIBRATION_BINS, ae_json_type_name(bins), json_array_size(bins));
    for (size_t i = 0; i < AE_CALIBRATION_BINS && st == AE_OK; i++)
        st = read_bin(c, json_array_get(bins, i), path);
    return st;
}

ae_status ae_calibration_curve_read(ae_calibration_curve *c, const char *run) {
    char *path = ae_path_join(run, "calibration.json");
    json_t *root = NULL;
    ae_status st = AE_OK;
    *c = (ae_calibration_curve){0};
    if (!ae_path_exists(path)) goto out;
    AE_TRY(ae_json_load(&root, path));
    AE_TRY(read_bins(c, root, path));
out:
    json_decref(root);
    free(path);
    return st;
}

void ae_calibration_write_data(FILE *f, const ae_calibration_curve *c, size_t run) {
    fprintf(f, "$calibration_%zu << EOD\n", run);
    for (size_t i = 0; i < c->n; i++) {
        const ae_calibration_point *p = &c->points[i];
        fprintf(f, "%.6g %.6g %.6g %.6g\n", p->probability, p->right, p->low, p->high);
    }
    fputs("EOD\n", f);
}

void ae_calibration_write_axes(FILE *f) {
    fputs("set title \"calibration: share of pairs that is right, 95 % intervals\"\n"
          "unset logscale y\nset ytics auto\nset format y \"%.4g\"\nset xrange [0.5:1]\nset yrange [0:1]\n"
          "set xlabel \"probability given to the preferred answer\" offset 0,0.5\nset key bottom right\n",
          f);
}
