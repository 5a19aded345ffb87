#include "train/calibration.h"

#include "core/file.h"
#include "core/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void ae_calibration_add(ae_calibration *c, double chosen, double rejected) {
    const double p = 1 / (1 + exp(-fabs(chosen - rejected)));
    int bin = (int)((p - 0.5) * 2 * AE_CALIBRATION_BINS);
    if (!(bin >= 0)) bin = 0;
    if (bin >= AE_CALIBRATION_BINS) bin = AE_CALIBRATION_BINS - 1;
    c->pairs[bin]++;
    c->probability[bin] += p;
    c->right[bin] += chosen > rejected ? 1 : chosen == rejected ? 0.5 : 0;
}

double ae_calibration_error(const ae_calibration *c) {
    double error = 0, pairs = 0;
    for (int i = 0; i < AE_CALIBRATION_BINS; i++) {
        error += fabs(c->right[i] - c->probability[i]);
        pairs += (double)c->pairs[i];
    }
    return error / pairs;
}

static json_t *share(double sum, int64_t n) {
    return n > 0 ? json_real(sum / (double)n) : json_null();
}

ae_status ae_calibration_write(const ae_calibration *c, int64_t step, const char *path) {
    json_t *bins = json_array();
    for (int i = 0; i < AE_CALIBRATION_BINS; i++)
        json_array_append_new(bins, json_pack("{s:f, s:f, s:I, s:o, s:o}", "low", 0.5 + 0.05 * i, "high",
                                              0.55 + 0.05 * i, "pairs", (json_int_t)c->pairs[i],
                                              "probability", share(c->probability[i], c->pairs[i]), "right",
                                              share(c->right[i], c->pairs[i])));
    json_t *root = json_pack("{s:I, s:o}", "step", (json_int_t)step, "bins", bins);
    char *text = root ? json_dumps(root, JSON_INDENT(1) | JSON_REAL_PRECISION(6)) : NULL;
    const ae_status st =
        text ? ae_file_write(path, text, strlen(text)) : AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
    free(text);
    json_decref(root);
    return st;
}

void ae_share_interval(double share, double n, double *low, double *high) {
    static const double Z = 1.959963984540054;
    const double z2 = Z * Z / n, middle = (share + z2 / 2) / (1 + z2);
    const double half = Z * sqrt(share * (1 - share) / n + z2 / (4 * n)) / (1 + z2);
    *low = fmax(0, middle - half);
    *high = fmin(1, middle + half);
}
