#include "core/file.h"
#include "core/rng.h"
#include "exchange/adapter.h"
#include "formats/done.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* make_adapter BASE OUTPUT [rank=R] [alpha=X] [rslora] [int8|int4] [on=PATTERN].. [whole=PATTERN]..: a
 * checkpoint such as a run with adapters writes, whose values are random, for tests of the program. */

enum { MOST = 16 };

typedef struct {
    ae_model_options options;
    const char *on[MOST + 1], *train[MOST + 2];
    size_t n_on, n_train;
} request;

static void take(request *r, const char *word) {
    ae_adapter_options *a = &r->options.params.adapters;
    if (strncmp(word, "rank=", 5) == 0)
        a->rank = atol(word + 5);
    else if (strncmp(word, "alpha=", 6) == 0)
        a->alpha = strtod(word + 6, NULL);
    else if (strcmp(word, "rslora") == 0)
        a->by_root = true;
    else if (strcmp(word, "int8") == 0)
        r->options.weights = AE_WEIGHT_INT8;
    else if (strcmp(word, "int4") == 0)
        r->options.weights = AE_WEIGHT_INT4;
    else if (strncmp(word, "on=", 3) == 0 && r->n_on < MOST)
        r->on[r->n_on++] = word + 3;
    else if (strncmp(word, "whole=", 6) == 0 && r->n_train < MOST)
        r->train[r->n_train++] = word + 6;
    else
        abort();
}

static request read_words(int argc, char **argv) {
    request r = {.options = {.training = true, .params = {.adapters = {.rank = 3, .alpha = 6}}}};
    for (int i = 3; i < argc; i++) take(&r, argv[i]);
    if (r.options.params.adapters.rank > 0) r.train[r.n_train++] = "*.lora_?.weight";
    return r;
}

static void learn(ae_model *m) {
    for (ptrdiff_t i = 0; i < m->params.n; i++) {
        const ae_param *p = &m->params.items[i];
        const size_t bytes = (size_t)p->n * sizeof(float);
        if (!p->trainable) continue;
        float *x = malloc(bytes);
        ae_rng r = ae_rng_make(1, (uint64_t)i);
        if (x == NULL) abort();
        m->be->download(m->be, x, p->value, bytes);
        for (int64_t k = 0; k < p->n; k++) x[k] += 0.3f * (float)(ae_rng_uniform(&r) - 0.5);
        m->be->upload(m->be, p->value, x, bytes);
        free(x);
    }
}

static ae_status put(const char *folder, const char *name, const char *text) {
    char *path = ae_path_join(folder, name);
    const ae_status st = ae_file_write(path, text, strlen(text));
    free(path);
    return st;
}

static ae_status sample_base(const ae_model *m, const char *base, char sample[AE_FINGERPRINT_BYTES]) {
    ae_model_source s;
    ae_tensors *t = NULL;
    ae_status st;
    AE_TRY(ae_model_source_open(&s, base));
    AE_TRY(ae_tensors_open(&t, s.tensors));
    AE_TRY(ae_tensors_sample(&m->params, t, sample));
out:
    ae_tensors_close(t);
    ae_model_source_free(&s);
    return st;
}

static ae_status write_all(const ae_model *m, const char *folder, const char *base, const char *fingerprint) {
    static const char *const names[] = {"weights.h5", "model.json", "adapter.json"};
    char sample[AE_FINGERPRINT_BYTES], *text = NULL, *weights = ae_path_join(folder, "weights.h5");
    ae_status st;
    AE_TRY(ae_folder_make(folder));
    AE_TRY(ae_model_save(m, weights));
    AE_TRY(ae_model_config_to_json(&m->config, &text));
    AE_TRY(put(folder, "model.json", text));
    free(text);
    text = NULL;
    AE_TRY(sample_base(m, base, sample));
    AE_TRY(ae_adapter_json(&text, m, base, fingerprint, sample));
    AE_TRY(put(folder, "adapter.json", text));
    AE_TRY(ae_done_write(folder, names, sizeof names / sizeof *names));
out:
    free(weights);
    free(text);
    return st;
}

int main(int argc, char **argv) {
    ae_backend be = {0};
    ae_model m = {0};
    char fingerprint[AE_FINGERPRINT_BYTES];
    ae_status st;
    if (argc < 3) return 2;
    request r = read_words(argc, argv);
    r.options.params.train = r.train;
    if (r.n_on > 0) r.options.params.adapters.on = r.on;
    AE_TRY(ae_backend_cpu(&be, &(ae_backend_options){.threads = 1}));
    AE_TRY(ae_model_open(&m, &be, argv[1], &r.options));
    AE_TRY(ae_model_fingerprint(&m, fingerprint));
    learn(&m);
    AE_TRY(write_all(&m, argv[2], argv[1], fingerprint));
out:
    if (st != AE_OK) fprintf(stderr, "make_adapter: %s\n", ae_error_message());
    ae_model_free(&m);
    ae_backend_free(&be);
    return st;
}
