#include "tests/train/rig.h"

#include "core/file.h"
#include "core/h5.h"
#include "core/log.h"
#include "core/rng.h"
#include "exchange/source.h"
#include "train/pretrain.h"
#include "train/run_folder.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const ae_model_config train_rig_shape = {.V = RIG_VOCAB,
                                         .D = 32,
                                         .C = 48,
                                         .E = 64,
                                         .N = 2,
                                         .G = 1,
                                         .H = 16,
                                         .W = 10,
                                         .K = 4,
                                         .blocks = 3,
                                         .pattern = {AE_RECURRENT, AE_RECURRENT, AE_ATTENTION},
                                         .rope_theta = 10000,
                                         .rope_share = 0.5,
                                         .norm_eps = 1e-6,
                                         .soft_cap = 30,
                                         .scale_embeddings = true};

void train_rig_open(train_rig *r) {
    const char *base = getenv("TMPDIR");
    snprintf(r->folder, sizeof r->folder, "%s/aerie-test-XXXXXX", base ? base : "/tmp");
    cr_assert_not_null(mkdtemp(r->folder));
    snprintf(r->train, sizeof r->train, "%s/train.h5", r->folder);
    snprintf(r->heldout, sizeof r->heldout, "%s/heldout.h5", r->folder);
    train_rig_set(r->train, 60, 1);
    train_rig_set(r->heldout, 9, 2);
    ae_log_quiet(true);
}

void train_rig_close(train_rig *r) {
    ASSERT_OK(ae_folder_remove(r->folder));
}

const char *train_rig_path(const train_rig *r, const char *name) {
    static char paths[8][600];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", r->folder, name);
    return path;
}

void train_rig_set(const char *path, int64_t documents, uint64_t seed) {
    ae_token_writer *w = NULL;
    ae_token_set_info info = {.vocab_size = RIG_VOCAB};
    ASSERT_OK(ae_token_writer_open(&w, path, &info));
    for (int64_t d = 0; d < documents; d++) {
        int32_t tokens[80];
        ae_rng rng = ae_rng_make(seed, (uint64_t)d);
        int64_t n = 5 + (int64_t)ae_rng_below(&rng, 70);
        tokens[0] = 2;
        for (int64_t i = 1; i < n; i++)
            tokens[i] = (tokens[i - 1] * 7 + (int32_t)ae_rng_below(&rng, 3)) % RIG_VOCAB;
        ASSERT_OK(ae_token_writer_add(w, tokens, NULL, n, 2 * n));
    }
    ASSERT_OK(ae_token_writer_finish(w, "{}"));
}

static void set_all(ae_train_config *c, const char *words) {
    char *copy = strdup(words), *rest = NULL;
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
        ASSERT_OK(ae_config_set(&c->table, word, "test"));
    free(copy);
}

void train_rig_config(const train_rig *r, ae_train_config *c, const char *name, const char *more) {
    char paths[1600];
    ASSERT_OK(ae_train_config_init(c));
    snprintf(paths, sizeof paths, "run.dir=%s/%s data.train=%s data.heldout=%s", r->folder, name, r->train,
             r->heldout);
    set_all(c, paths);
    set_all(
        c,
        "model.width=32 model.recurrent_width=48 model.mlp_width=64 model.heads=2 model.blocks=3 "
        "model.window=10 "
        "train.row_tokens=24 train.batch_rows=6 train.steps=12 train.checkpoint_every=4 train.eval_every=3 "
        "train.keep=0 train.keep_best=false train.threads=2 optim.lr=1e-2 optim.schedule=cosine "
        "optim.warmup_steps=3");
    set_all(c, more);
}

ae_status train_rig_run(const train_rig *r, const char *name, const char *more) {
    ae_train_config c;
    train_rig_config(r, &c, name, more);
    ae_status st = ae_pretrain(&c, false);
    ae_train_config_free(&c);
    return st;
}

ae_step_result train_rig_update(ae_optimizer *o, double loss, double lr) {
    const ae_step_result r = ae_step_judge(o, isfinite(loss), lr);
    ae_step_finish(o, &r);
    return r;
}

/* ---- comparing ---- */

typedef struct {
    hid_t other;
    int64_t compared;
} comparison;

/* Every data set of our files is float32. */
static void compare_set(hid_t a, hid_t b, const char *name) {
    hid_t space = H5Dget_space(a);
    size_t n = (size_t)H5Sget_simple_extent_npoints(space);
    float *x = malloc(n * sizeof *x), *y = malloc(n * sizeof *y);
    cr_assert_geq(H5Dread(a, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, x), 0);
    cr_assert_geq(H5Dread(b, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, y), 0);
    cr_assert_eq(memcmp(x, y, n * sizeof *x), 0, "%s differs", name);
    free(x);
    free(y);
    H5Sclose(space);
}

static herr_t compare_link(hid_t group, const char *name, const H5L_info_t *info, void *data) {
    comparison *c = data;
    (void)info;
    hid_t a = H5Dopen2(group, name, H5P_DEFAULT), b = H5Dopen2(c->other, name, H5P_DEFAULT);
    cr_assert(a >= 0 && b >= 0, "%s is not in both", name);
    compare_set(a, b, name);
    H5Dclose(a);
    H5Dclose(b);
    c->compared++;
    return 0;
}

static void same_file(const char *a, const char *b) {
    hid_t x, y;
    ASSERT_OK(ae_h5_open(&x, a));
    ASSERT_OK(ae_h5_open(&y, b));
    comparison c = {.other = y};
    cr_assert_geq(H5Literate(x, H5_INDEX_NAME, H5_ITER_INC, NULL, compare_link, &c), 0);
    cr_assert_gt(c.compared, 10);
    ae_h5_close(x, a);
    ae_h5_close(y, b);
}

static hid_t open_optimizer(const train_rig *r, const char *run) {
    hid_t file = H5I_INVALID_HID;
    char *path = ae_path_join(train_rig_path(r, run), "checkpoints/step-000001/optimizer.h5");
    ASSERT_OK(ae_h5_open(&file, path));
    free(path);
    return file;
}

static double *read_moments(hid_t file, const char *key, int64_t *n) {
    ASSERT_OK(ae_h5_length(file, "optimizer.h5", key, n));
    double *x = malloc((size_t)*n * sizeof *x);
    cr_assert_not_null(x);
    ASSERT_OK(ae_h5_read_range(file, "optimizer.h5", key, H5T_NATIVE_DOUBLE, 0, *n, x));
    return x;
}

double train_rig_gradient_difference(const train_rig *r, const char *a, const char *b) {
    const hid_t first = open_optimizer(r, a), second = open_optimizer(r, b);
    double difference = 0, norm = 0;
    char **keys = NULL;
    size_t count = 0;
    ASSERT_OK(ae_h5_names(first, "optimizer.h5", &keys, &count));
    for (size_t i = 0; i < count; i++) {
        const char *key = keys[i];
        int64_t n = 0, m = 0;
        if (strncmp(key, "m.", 2) != 0) continue;
        double *x = read_moments(first, key, &n), *y = read_moments(second, key, &m);
        cr_assert_eq(n, m, "%s", key);
        for (int64_t k = 0; k < n; k++) {
            difference += (x[k] - y[k]) * (x[k] - y[k]);
            norm += x[k] * x[k];
        }
        free(x);
        free(y);
    }
    for (size_t i = 0; i < count; i++) free(keys[i]);
    free((void *)keys);
    ASSERT_OK(ae_h5_close(first, "optimizer.h5"));
    ASSERT_OK(ae_h5_close(second, "optimizer.h5"));
    cr_assert(norm > 0, "%s has no gradient", a);
    return sqrt(difference / norm);
}

void train_rig_same_checkpoint(const train_rig *r, const char *a, const char *b, int64_t step) {
    static const char *const files[] = {"weights.h5", "optimizer.h5"};
    for (size_t i = 0; i < 2; i++) {
        char *x = ae_checkpoint_path(train_rig_path(r, a), step),
             *y = ae_checkpoint_path(train_rig_path(r, b), step);
        char *x_file = ae_path_join(x, files[i]), *y_file = ae_path_join(y, files[i]);
        same_file(x_file, y_file);
        free(x);
        free(y);
        free(x_file);
        free(y_file);
    }
}

static json_t *load_metrics(const train_rig *r, const char *run) {
    char name[300], *text = NULL;
    size_t n = 0;
    snprintf(name, sizeof name, "%s/metrics.jsonl", run);
    ASSERT_OK(ae_file_read(train_rig_path(r, name), &text, &n));
    json_t *lines = json_array();
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        json_t *object = json_loads(line, 0, NULL);
        cr_assert_not_null(object, "no JSON: %s", line);
        json_array_append_new(lines, object);
    }
    free(text);
    return lines;
}

size_t train_rig_metric_count(const train_rig *r, const char *run) {
    json_t *lines = load_metrics(r, run);
    size_t n = json_array_size(lines);
    json_decref(lines);
    return n;
}

json_t *train_rig_metric(const train_rig *r, const char *run, size_t i) {
    json_t *lines = load_metrics(r, run), *line = json_incref(json_array_get(lines, i));
    json_decref(lines);
    return line;
}

int64_t train_rig_best_step(const train_rig *r, const char *run) {
    json_t *lines = load_metrics(r, run);
    int64_t best = 0;
    double lowest = 1e30;
    for (size_t i = 0; i < json_array_size(lines); i++) {
        const json_t *line = json_array_get(lines, i), *loss = json_object_get(line, "eval_loss");
        if (!loss || json_number_value(loss) >= lowest) continue;
        lowest = json_number_value(loss);
        best = json_integer_value(json_object_get(line, "step"));
    }
    json_decref(lines);
    return best;
}

void train_rig_same_metrics(const train_rig *r, const char *a, const char *b) {
    static const char *const timed[] = {"tokens_per_s", "flops_fraction", "step_s", "peak_rss_bytes"};
    json_t *x = load_metrics(r, a), *y = load_metrics(r, b);
    cr_assert_eq(json_array_size(x), json_array_size(y), "%zu and %zu lines", json_array_size(x),
                 json_array_size(y));
    for (size_t i = 0; i < json_array_size(x); i++) {
        for (size_t k = 0; k < 4; k++) {
            json_object_del(json_array_get(x, i), timed[k]);
            json_object_del(json_array_get(y, i), timed[k]);
        }
        cr_assert(json_equal(json_array_get(x, i), json_array_get(y, i)), "line %zu differs", i + 1);
    }
    json_decref(x);
    json_decref(y);
}
