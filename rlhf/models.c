#include "rlhf/models.h"

#include "core/file.h"
#include "model/copy.h"
#include "train/step.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool has_adapters(const ae_rl_models *m) {
    return m->config->tune.lora.rank > 0;
}

static const ae_rl_common_keys *keys_of(const ae_rl_models *m) {
    return &m->config->keys.rl;
}

static const char *init_of(const ae_rl_models *m) {
    return m->config->tune.train.model.init;
}

static const char *reference_path(const ae_rl_models *m) {
    if (m->wants_teacher) return m->config->keys.distill.teacher;
    return keys_of(m)->reference[0] ? keys_of(m)->reference : init_of(m);
}

/* Whether the reference is the base that the adapters stand beside. One that is given by its key is a model of its own. */
static bool shares_base(const ae_rl_models *m) {
    return has_adapters(m) && !m->wants_teacher && !keys_of(m)->reference[0];
}

static bool has_copy(const ae_rl_models *m) {
    return keys_of(m)->rollout_dtype != AE_WEIGHT_F32;
}

/* ---- sources ---- */

static ae_status check_tokenizer(const ae_rl_models *m, const ae_run_model *r, const char *path,
                                 const char *key) {
    bool same = true;
    const ae_status st = ae_run_model_same_tokenizer(r, m->policy->inputs.tokenizer, &same);
    if (st != AE_OK || same) return st;
    return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected the tokenizer of the policy, found another one", key,
                   path);
}

static ae_status open_source(const ae_rl_models *m, ae_run_model *r, const char *path, const char *key) {
    const int64_t V = m->policy->inputs.shape.V;
    ae_status st = ae_run_model_open(r, path, NULL);
    if (st != AE_OK) {
        ae_fail_prefix("%s", key);
        return st;
    }
    st = check_tokenizer(m, r, path, key);
    if (st != AE_OK) return st;
    if (r->base.config.V == V) return AE_OK;
    return AE_FAIL(
        AE_ERR_INPUT,
        "%s: %s: expected a model of the policy's vocabulary of %lld, found one of %td; take one with "
        "the same tokenizer",
        key, path, (long long)V, r->base.config.V);
}

static ae_status list_critic_trains(ae_rl_models *m) {
    size_t n = 0;
    if (!has_adapters(m)) return AE_OK;
    while (m->policy->trains[n]) n++;
    m->critic_trains = calloc(n + 2, sizeof *m->critic_trains);
    if (!m->critic_trains) return AE_FAIL(AE_ERR_RESOURCE, "critic: out of memory");
    memcpy(m->critic_trains, m->policy->trains, n * sizeof *m->critic_trains);
    m->critic_trains[n] = "score.weight";
    return AE_OK;
}

static ae_status open_critic(ae_rl_models *m) {
    const char *path = m->critic_from ? m->critic_from : init_of(m);
    ae_status st = open_source(m, &m->critic_source, path, "ppo.critic");
    if (st == AE_OK && m->critic_source.adapted)
        st = AE_FAIL(
            AE_ERR_INPUT,
            "ppo.critic: %s: expected a whole model, found an adapter; export it first (aerie export)", path);
    return st == AE_OK ? list_critic_trains(m) : st;
}

static const char *reference_key(const ae_rl_models *m) {
    return m->wants_teacher ? "distill.teacher" : keys_of(m)->reference[0] ? "rl.reference" : "model.init";
}

ae_status ae_rl_models_open(ae_rl_models *m) {
    const ae_status st = open_source(m, &m->reference_source, reference_path(m), reference_key(m));
    return st == AE_OK && m->wants_critic ? open_critic(m) : st;
}

/* ---- options ---- */

static ae_model_options reference_options(const ae_rl_models *m) {
    const ae_model_options policy = ae_tuned_model_options(m->policy);
    const ae_model_options o = {.weights = (ae_weight_type)m->config->tune.base.base_dtype,
                                .pack_at_use = policy.pack_at_use,
                                .shares = shares_base(m) ? &m->policy->model : NULL};
    return shares_base(m) ? o : ae_run_model_options(&m->reference_source, &o);
}

static ae_model_options anchor_options(const ae_rl_models *m) {
    ae_model_options o = ae_tuned_model_options(m->policy);
    o.training = false;
    o.shares = has_adapters(m) ? &m->policy->model : NULL;
    return o;
}

/* The values of a random head lie further apart than most rewards: advantages would be noise at first. */
static ae_model_options critic_options(const ae_rl_models *m) {
    ae_model_options o = ae_tuned_model_options(m->policy);
    o.params.score_head = o.params.zero_head = true;
    o.params.train = (const char *const *)m->critic_trains;
    return o;
}

static ae_model_options copy_options(const ae_rl_models *m) {
    ae_model_options o = ae_tuned_model_options(m->policy);
    o.training = false;
    o.weights = (ae_weight_type)keys_of(m)->rollout_dtype;
    return o;
}

/* ---- the plan ---- */

/* The policy as its options say, before it has memory: what shares with it looks at its table alone. */
static ae_status make_shape(ae_model *stand_in, const ae_rl_models *m) {
    *stand_in = (ae_model){.options = ae_tuned_model_options(m->policy)};
    return ae_params_init_with(&stand_in->params, &m->policy->inputs.shape, &stand_in->options.params);
}

static ae_status count_model(const ae_rl_models *m, const ae_model_config *c, ae_model_options o,
                             const ae_model *policy, ae_plan_beside *b) {
    const ae_backend *be = m->policy->run->be;
    ae_params params = {0};
    if (o.shares) o.shares = policy;
    const ae_status st = ae_params_init_with(&params, c, &o.params);
    if (st != AE_OK) return st;
    for (int at_use = 0; at_use < 2; at_use++) {
        o.pack_at_use = at_use;
        b->bytes[at_use] += ae_model_value_bytes(&params, be, &o) + ae_model_packed_bytes(&params, be, &o);
        if (o.training)
            b->bytes[at_use] += 3 * sizeof(float) * (size_t)ae_params_padded_elements(&params, true);
    }
    ae_params_free(&params);
    return AE_OK;
}

/* The passes of reference and anchor are one where one serves both. */
static bool one_pass(const ae_rl_models *m) {
    return m->wants_anchor && shares_base(m);
}

static void count_passes(const ae_rl_models *m, ae_plan_beside *b) {
    const ae_model_config *shape = &m->policy->inputs.shape;
    const ptrdiff_t rank = (ptrdiff_t)m->config->tune.lora.rank;
    const ae_model_config *reference = &m->reference_source.base.config;
    b->kl_width = reference->D;
    b->passes[0].model = one_pass(m) ? shape : reference;
    b->passes[0].adapter_rank = one_pass(m) ? rank : m->reference_source.adapter.options.adapters.rank;
    if (m->wants_anchor && !one_pass(m)) {
        b->passes[1].model = shape;
        b->passes[1].adapter_rank = rank;
    }
    if (!m->wants_critic) return;
    b->passes[2].model = shape;
    b->passes[2].adapter_rank = rank;
    b->passes[2].training = true;
}

ae_status ae_rl_models_count(ae_rl_models *m, ae_plan_beside *b) {
    ae_model policy = {0};
    const ae_model_config *shape = &m->policy->inputs.shape;
    ae_status st;
    AE_TRY(ae_run_model_verify(&m->reference_source));
    AE_TRY(make_shape(&policy, m));
    AE_TRY(count_model(m, &m->reference_source.base.config, reference_options(m), &policy, b));
    if (m->wants_anchor) AE_TRY(count_model(m, shape, anchor_options(m), &policy, b));
    if (m->wants_critic) AE_TRY(ae_run_model_verify(&m->critic_source));
    if (m->wants_critic) AE_TRY(count_model(m, shape, critic_options(m), &policy, b));
    if (has_copy(m)) AE_TRY(count_model(m, shape, copy_options(m), &policy, b));
    count_passes(m, b);
out:
    ae_params_free(&policy.params);
    return st;
}

/* ---- memory and weights ---- */

static const ae_model_config *shape_of(const ae_rl_models *m) {
    return &m->policy->model.config;
}

static ae_status start_reference(ae_rl_models *m) {
    const ae_backend *be = m->policy->run->be;
    const ae_model_options o = reference_options(m);
    if (!shares_base(m)) return ae_run_model_load(&m->reference, be, &m->reference_source, &o);
    const ae_status st = ae_model_init(&m->reference, be, shape_of(m), &o);
    return st == AE_OK ? ae_model_load(&m->reference, m->reference_source.base.tensors, NULL) : st;
}

static ae_status load_trained(ae_model *model, const char *checkpoint, const char *name) {
    const ae_params_match_options trained = {.lacks_frozen = true};
    char *path = ae_path_join(checkpoint, name);
    const ae_status st = ae_model_load(model, path, &trained);
    free(path);
    return st;
}

static ae_status start_anchor(ae_rl_models *m, const char *checkpoint) {
    const ae_model_options o = anchor_options(m);
    ae_status st = ae_model_init(&m->anchor, m->policy->run->be, shape_of(m), &o);
    if (st != AE_OK) return st;
    return checkpoint ? load_trained(&m->anchor, checkpoint, "anchor.h5")
                      : ae_model_copy_values(&m->anchor, &m->policy->model);
}

static ae_status start_critic(ae_rl_models *m, const char *checkpoint) {
    const ae_model_options o = critic_options(m);
    ae_status st = ae_model_open_source(&m->critic, m->policy->run->be, &m->critic_source.base, &o);
    return st == AE_OK && checkpoint ? load_trained(&m->critic, checkpoint, "critic.h5") : st;
}

static ae_status start_copy(ae_rl_models *m) {
    const ae_model_options o = copy_options(m);
    return ae_model_init(&m->copy, m->policy->run->be, shape_of(m), &o);
}

static ae_status start_passes(ae_rl_models *m) {
    const ae_tuned *t = m->policy;
    const ae_pass_dims n = {.B = t->plan.micro_rows,
                            .T = (ptrdiff_t)t->run->config->train.row_tokens,
                            .recompute_blocks = t->plan.recompute_blocks,
                            .recompute_mlps = t->plan.recompute_mlps};
    ae_status st = ae_pass_new(&m->reference_pass, one_pass(m) ? &m->anchor : &m->reference, n, false);
    if (st == AE_OK && m->wants_anchor && !one_pass(m))
        st = ae_pass_new(&m->anchor_pass, &m->anchor, n, false);
    if (one_pass(m)) m->anchor_pass = m->reference_pass;
    return st == AE_OK && m->wants_critic ? ae_pass_new(&m->critic_pass, &m->critic, n, true) : st;
}

ae_status ae_rl_models_start(ae_rl_models *m, const char *checkpoint) {
    ae_status st = start_reference(m);
    if (st == AE_OK && m->wants_anchor) st = start_anchor(m, checkpoint);
    if (st == AE_OK && m->wants_critic) st = start_critic(m, checkpoint);
    if (st == AE_OK && has_copy(m)) st = start_copy(m);
    return st == AE_OK ? start_passes(m) : st;
}

void ae_rl_models_close(ae_rl_models *m) {
    if (m->anchor_pass != m->reference_pass) ae_pass_delete(m->anchor_pass);
    ae_pass_delete(m->reference_pass);
    ae_pass_delete(m->critic_pass);
    for (ptrdiff_t i = 0; m->critic_names && i < m->critic.params.n; i++) free(m->critic_names[i]);
    free(m->critic_names);
    ae_model_free(&m->copy);
    ae_model_free(&m->critic);
    ae_model_free(&m->anchor);
    ae_model_free(&m->reference);
    ae_run_model_free(&m->reference_source);
    ae_run_model_free(&m->critic_source);
    free(m->critic_trains);
    *m = (ae_rl_models){0};
}

/* ---- at work ---- */

ae_scorer ae_rl_models_scorer(const ae_rl_models *m) {
    ae_tuned *t = m->policy;
    return (ae_scorer){.policy = &t->model,
                       .pass = t->pass,
                       .anchor = m->wants_anchor ? &m->anchor : NULL,
                       .reference = &m->reference,
                       .anchor_pass = m->anchor_pass,
                       .reference_pass = m->reference_pass,
                       .critic = m->wants_critic ? (ae_model *)(uintptr_t)&m->critic : NULL,
                       .critic_pass = m->critic_pass,
                       .micro_rows = t->plan.micro_rows,
                       .temperature = (float)keys_of(m)->temperature,
                       .stop = t->run->stop};
}

ae_status ae_rl_models_update_copy(ae_rl_models *m) {
    return has_copy(m) ? ae_model_copy_values(&m->copy, &m->policy->model) : AE_OK;
}

void ae_rl_models_writers(const ae_rl_models *m, const ae_model *writers[AE_RL_WRITERS]) {
    writers[AE_RL_POLICY] = has_copy(m) ? &m->copy : &m->policy->model;
    writers[AE_RL_ANCHOR] = m->wants_anchor ? &m->anchor : NULL;
    writers[AE_RL_REFERENCE] = &m->reference;
}

static void move_param(const ae_backend *be, const ae_param *to, const ae_param *from, double eta,
                       float *room, ptrdiff_t piece) {
    float *x = room, *y = room + piece;
    for (int64_t at = 0; at < to->n; at += piece) {
        const ptrdiff_t n = (ptrdiff_t)(to->n - at < piece ? to->n - at : piece);
        const size_t bytes = (size_t)n * sizeof *x;
        be->download(be, x, ae_f32_at(to->value, (ptrdiff_t)at), bytes);
        be->download(be, y, ae_f32_at(from->value, (ptrdiff_t)at), bytes);
        for (ptrdiff_t i = 0; i < n; i++) x[i] = (float)((double)x[i] + eta * ((double)y[i] - (double)x[i]));
        be->upload(be, ae_f32_at(to->value, (ptrdiff_t)at), x, bytes);
    }
}

ae_status ae_model_move(ae_model *to, const ae_model *from, double eta) {
    enum { PIECE = 1 << 18 };
    float *room = malloc(2 * PIECE * sizeof *room);
    if (!room) return AE_FAIL(AE_ERR_RESOURCE, "moving a model: out of memory");
    for (ptrdiff_t i = 0; i < from->params.n; i++) {
        const ae_param *p = &from->params.items[i];
        const ae_param *q = p->trainable ? ae_params_find(&to->params, p->name) : NULL;
        if (q) move_param(to->be, q, p, eta, room, PIECE);
    }
    free(room);
    ae_model_values_changed(to);
    return to->be->sync(to->be);
}

ae_status ae_rl_models_follow(ae_rl_models *m, double eta) {
    return m->wants_anchor && eta > 0 ? ae_model_move(&m->anchor, &m->policy->model, eta) : AE_OK;
}

/* ---- checkpoints ---- */

static ae_status write_model(void *model, const char *path) {
    return ae_model_save(model, path);
}

ae_status ae_rl_models_save(const ae_rl_models *m, ae_checkpoint_job *job) {
    ae_status st = AE_OK;
    if (m->wants_anchor)
        AE_TRY(ae_checkpoint_add(job, "anchor.h5", write_model, (void *)(uintptr_t)&m->anchor));
    if (m->wants_critic)
        AE_TRY(ae_checkpoint_add(job, "critic.h5", write_model, (void *)(uintptr_t)&m->critic));
out:
    return st;
}

static ae_status name_critic(ae_rl_models *m) {
    const ae_params *p = &m->critic.params;
    if (m->critic_names) return AE_OK;
    m->critic_names = calloc((size_t)p->n, sizeof *m->critic_names);
    for (ptrdiff_t i = 0; m->critic_names && i < p->n; i++)
        if (asprintf(&m->critic_names[i], "critic.%s", p->items[i].name) < 0)
            return AE_FAIL(AE_ERR_RESOURCE, "critic: out of memory");
    return m->critic_names ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "critic: out of memory");
}

/* The name of a parameter of the critic, from that of its list. */
static const char *name_of(const ae_rl_models *m, const char *name) {
    const ae_param *p = ae_params_find(&m->critic.params, name);
    return m->critic_names[p - m->critic.params.items];
}

ae_status ae_rl_models_parameters(ae_rl_models *m, ae_optim_param **params, ptrdiff_t *n) {
    ae_optim_param *own = NULL, *all = NULL;
    ptrdiff_t n_own = 0;
    ae_status st = ae_step_optim_params(&m->policy->model, params, n);
    if (st != AE_OK || !m->wants_critic) return st;
    AE_TRY(name_critic(m));
    AE_TRY(ae_step_optim_params(&m->critic, &own, &n_own));
    all = realloc(*params, (size_t)(*n + n_own) * sizeof *all);
    if (!all) AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "optimiser: out of memory"));
    *params = all;
    for (ptrdiff_t i = 0; i < n_own; i++) {
        all[*n + i] = own[i];
        all[*n + i].name = name_of(m, own[i].name);
    }
    *n += n_own;
out:
    free(own);
    return st;
}

ae_status ae_rl_models_identity(const ae_rl_models *m, char out[AE_REFERENCE_IDENTITY_BYTES]) {
    const ae_run_model *s = &m->reference_source;
    return ae_reference_identity(out, &s->base, s->adapted ? s->adapter.tensors : NULL);
}
