#include "train/average.h"

#include "core/file.h"
#include "core/json.h"
#include "exchange/merge.h"
#include "formats/done.h"
#include "formats/tensors.h"
#include "train/run_folder.h"

#include <stdlib.h>
#include <string.h>

/* ---- tensors ---- */

/* Tensors on their way from one file to another, one at a time. */
typedef struct {
    ae_params params;
    ae_tensors *from;
    const char **names;   /* [params.n] */
    int *ranks;           /* [params.n] */
    int64_t (*shapes)[3]; /* [params.n] */
    float *values;        /* of the largest */
} copying;

static ae_status copying_init(copying *c, const ae_model_config *shape, const char *from) {
    int64_t most = 1;
    ae_status st;
    AE_TRY(ae_params_init_with(&c->params, shape, &(ae_params_options){.score_head = true}));
    AE_TRY(ae_tensors_open(&c->from, from));
    const size_t n = (size_t)c->params.n;
    for (size_t i = 0; i < n; i++) most = c->params.items[i].n > most ? c->params.items[i].n : most;
    c->names = calloc(n, sizeof *c->names);
    c->ranks = calloc(n, sizeof *c->ranks);
    c->shapes = calloc(n, sizeof *c->shapes);
    c->values = malloc((size_t)most * sizeof *c->values);
    if (!c->names || !c->ranks || !c->shapes || !c->values)
        AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", from));
    for (size_t i = 0; i < n; i++) {
        c->names[i] = c->params.items[i].name;
        c->ranks[i] = c->params.items[i].rank;
        memcpy(c->shapes[i], c->params.items[i].shape, sizeof *c->shapes);
    }
out:
    return st;
}

static void copying_free(copying *c) {
    ae_tensors_close(c->from);
    free(c->names);
    free(c->ranks);
    free(c->shapes);
    free(c->values);
    ae_params_free(&c->params);
}

static ae_status fetch(void *context, ptrdiff_t i, const float **values) {
    copying *c = context;
    *values = c->values;
    return ae_tensors_read(c->from, c->names[i], c->ranks[i], c->shapes[i], c->values);
}

/* The tensors that merging wrote, in the form of checkpoints: the same bits. */
static ae_status convert(const ae_model_config *shape, const char *folder) {
    char *from = ae_path_join(folder, "model.safetensors"), *to = ae_path_join(folder, "weights.h5");
    copying c = {0};
    ae_status st;
    AE_TRY(copying_init(&c, shape, from));
    AE_TRY(ae_tensors_write_h5(to, c.params.n, c.names, c.ranks, (const int64_t(*)[3])c.shapes, fetch, &c));
    remove(from);
out:
    copying_free(&c);
    free(from);
    free(to);
    return st;
}

/* ---- the other files ---- */

/* Where the model comes from, for aerie inspect; as aerie merge tells it. */
static ae_status write_origin(const ae_model_source *sources, size_t n, const char *folder) {
    json_t *models = json_array();
    for (size_t k = 0; k < n; k++) json_array_append_new(models, json_string(sources[k].folder));
    json_t *o = json_pack("{s:s, s:s, s:o}", "made_by", "aerie reward " AERIE_VERSION, "method", "mean",
                          "models", models);
    const ae_status st = ae_json_write_file(o, folder, "merge.json");
    json_decref(o);
    return st;
}

static ae_status write_shape(const ae_model_config *c, const char *folder) {
    char *shape = NULL, *path = ae_path_join(folder, "model.json");
    ae_status st = ae_model_config_to_json(c, &shape);
    if (st == AE_OK) st = ae_file_write(path, shape, strlen(shape));
    free(shape);
    free(path);
    return st;
}

static ae_status write_small_files(const ae_model_source *s, const char *folder) {
    char *tokenizer = NULL, *path = NULL;
    size_t n = 0;
    ae_status st;
    AE_TRY(write_shape(&s->config, folder));
    if (!s->tokenizer) goto out;
    path = ae_path_join(folder, "tokenizer.model");
    AE_TRY(ae_file_read(s->tokenizer, &tokenizer, &n));
    AE_TRY(ae_file_write(path, tokenizer, n));
out:
    free(tokenizer);
    free(path);
    return st;
}

static ae_status write_done(const char *folder, bool has_tokenizer) {
    static const char *const names[] = {"weights.h5", "model.json", "merge.json", "tokenizer.model"};
    return ae_done_write(folder, names, has_tokenizer ? 4 : 3);
}

static ae_status fill_average(ae_model_source *sources, size_t n, const char *folder) {
    const char *tensors[AE_AVERAGE_MAX];
    ae_status st;
    for (size_t k = 0; k < n; k++) tensors[k] = sources[k].tensors;
    sources[0].config.reward_shift = sources[0].config.reward_std = 0; /* of that model alone */
    AE_TRY(ae_model_merge(folder, &(ae_merge_request){.method = AE_MERGE_MEAN,
                                                      .config = &sources[0].config,
                                                      .score_head = true,
                                                      .models = tensors,
                                                      .n = n}));
    AE_TRY(convert(&sources[0].config, folder));
    AE_TRY(write_small_files(&sources[0], folder));
    AE_TRY(write_origin(sources, n, folder));
    AE_TRY(write_done(folder, sources[0].tokenizer != NULL));
out:
    return st;
}

ae_status ae_average_write(const char *to, const char *const *models, size_t n) {
    ae_model_source sources[AE_AVERAGE_MAX] = {{0}};
    char *part = NULL;
    ae_status st = AE_OK;
    if (n < 1 || n > AE_AVERAGE_MAX)
        AE_TRY(AE_FAIL(AE_ERR_DEFECT, "%s: expected 1 to %d models, found %zu", to, AE_AVERAGE_MAX, n));
    if (asprintf(&part, "%s.part", to) < 0) part = NULL;
    if (!part) AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", to));
    if (ae_path_exists(part)) AE_TRY(ae_folder_remove(part));
    AE_TRY(ae_folder_make(part));
    for (size_t m = 0; m < n; m++) {
        bool has_head = false;
        AE_TRY(ae_run_source_open(&sources[m], models[m]));
        AE_TRY(ae_model_source_verify_head(&sources[m], &has_head));
    }
    AE_TRY(fill_average(sources, n, part));
    if (ae_path_exists(to)) AE_TRY(ae_folder_remove(to));
    AE_TRY(ae_path_rename(part, to));
out:
    for (size_t m = 0; m < n && m < AE_AVERAGE_MAX; m++) ae_model_source_free(&sources[m]);
    free(part);
    return st;
}

ae_status ae_average_scale(const char *folder, double shift, double std) {
    ae_model_source s = {0};
    char *done = ae_path_join(folder, "DONE");
    ae_status st;
    AE_TRY(ae_model_source_open_checkpoint(&s, folder));
    if (!(std > 0)) goto out; /* all alike, or no numbers */
    s.config.reward_shift = shift;
    s.config.reward_std = std;
    remove(done);
    AE_TRY(write_shape(&s.config, folder));
    AE_TRY(write_done(folder, s.tokenizer != NULL));
out:
    ae_model_source_free(&s);
    free(done);
    return st;
}
