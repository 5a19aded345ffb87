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

static ae_status copying_init(copying *c, const ae_model_config *shape, bool score_head, const char *from) {
    int64_t most = 1;
    ae_status st;
    AE_TRY(ae_params_init_with(&c->params, shape, &(ae_params_options){.score_head = score_head}));
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
static ae_status convert(const ae_model_config *shape, bool score_head, const char *folder) {
    char *from = ae_path_join(folder, "model.safetensors"), *to = ae_path_join(folder, "weights.h5");
    copying c = {0};
    ae_status st;
    AE_TRY(copying_init(&c, shape, score_head, from));
    AE_TRY(ae_tensors_write_h5(to, c.params.n, c.names, c.ranks, (const int64_t(*)[3])c.shapes, fetch, &c));
    remove(from);
out:
    copying_free(&c);
    free(from);
    free(to);
    return st;
}

/* ---- the other files ---- */

/* What is merged: the models in their order, then the base. */
typedef struct {
    const ae_merged *asked;
    ae_model_source sources[AE_AVERAGE_MAX + 1];
    size_t n_sources;
} merging;

static const ae_model_source *base_of(const merging *m) {
    return m->asked->base ? &m->sources[m->asked->n] : NULL;
}

/* Where the model comes from, for aerie inspect; as aerie merge tells it. */
static ae_status write_origin(const merging *m, const char *folder) {
    static const char *const methods[] = {"mean", "ema", "lerp", "slerp"};
    json_t *models = json_array();
    for (size_t k = 0; k < m->asked->n; k++) json_array_append_new(models, json_string(m->sources[k].folder));
    json_t *o =
        json_pack("{s:o, s:s, s:o}", "made_by", json_sprintf("%s %s", m->asked->made_by, AERIE_VERSION),
                  "method", methods[m->asked->method], "models", models);
    if (base_of(m)) json_object_set_new(o, "base", json_string(base_of(m)->folder));
    if (m->asked->method == AE_MERGE_LERP) json_object_set_new(o, "amount", json_real(m->asked->amount));
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

static ae_status merge(merging *m, const char *folder) {
    const char *tensors[AE_AVERAGE_MAX + 1];
    for (size_t k = 0; k < m->n_sources; k++) tensors[k] = m->sources[k].tensors;
    return ae_model_merge(folder, &(ae_merge_request){.method = m->asked->method,
                                                      .config = &m->sources[0].config,
                                                      .score_head = m->asked->score_head,
                                                      .models = tensors,
                                                      .n = m->asked->n,
                                                      .base = m->asked->base ? tensors[m->asked->n] : NULL,
                                                      .amount = m->asked->amount});
}

static ae_status fill(merging *m, const char *folder) {
    ae_model_source *first = &m->sources[0];
    ae_status st;
    first->config.reward_shift = first->config.reward_std = 0; /* of that model alone */
    AE_TRY(merge(m, folder));
    AE_TRY(convert(&first->config, m->asked->score_head, folder));
    AE_TRY(write_small_files(first, folder));
    AE_TRY(write_origin(m, folder));
    AE_TRY(write_done(folder, first->tokenizer != NULL));
out:
    return st;
}

static ae_status open_source(merging *m, const char *path) {
    ae_model_source *s = &m->sources[m->n_sources];
    bool has_head = false;
    ae_status st = ae_run_source_open(s, path);
    if (st != AE_OK) return st;
    if (m->n_sources++ > 0)
        st = ae_model_config_agree(&s->config, s->folder, &m->sources[0].config, m->sources[0].folder);
    if (st != AE_OK) return st;
    return m->asked->score_head ? ae_model_source_verify_head(s, &has_head) : ae_model_source_verify(s);
}

ae_status ae_merged_write(const char *to, const ae_merged *asked) {
    merging m = {.asked = asked};
    char *part = NULL;
    ae_status st = AE_OK;
    if (asked->n < 1 || asked->n > AE_AVERAGE_MAX)
        AE_TRY(
            AE_FAIL(AE_ERR_DEFECT, "%s: expected 1 to %d models, found %zu", to, AE_AVERAGE_MAX, asked->n));
    if (asprintf(&part, "%s.part", to) < 0) part = NULL;
    if (!part) AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", to));
    if (ae_path_exists(part)) AE_TRY(ae_folder_remove(part));
    AE_TRY(ae_folder_make(part));
    for (size_t k = 0; k < asked->n; k++) AE_TRY(open_source(&m, asked->models[k]));
    if (asked->base) AE_TRY(open_source(&m, asked->base));
    AE_TRY(fill(&m, part));
    if (ae_path_exists(to)) AE_TRY(ae_folder_remove(to));
    AE_TRY(ae_path_rename(part, to));
out:
    for (size_t k = 0; k < m.n_sources; k++) ae_model_source_free(&m.sources[k]);
    free(part);
    return st;
}

ae_status ae_average_write(const char *to, const char *const *models, size_t n) {
    return ae_merged_write(to, &(ae_merged){.method = AE_MERGE_MEAN,
                                            .models = models,
                                            .n = n,
                                            .score_head = true,
                                            .made_by = "aerie reward"});
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
