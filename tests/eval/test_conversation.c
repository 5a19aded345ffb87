#include "core/file.h"
#include "data/render.h"
#include "eval/conversation.h"
#include "tests/eval/small_tokenizer.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

enum { V = 300, MAX_NEW = 14 };

typedef struct {
    ae_backend be;
    ae_model model;
    ae_tokenizer *t;
    ae_conversation *c;
} rig;

static ptrdiff_t window = 24; /* turns go round the rings */

static ae_model_config shape(void) {
    for (size_t i = 0; i < ae_n_presets; i++) {
        if (strcmp(ae_presets[i].name, "small-1m") != 0) continue;
        ae_model_config c = ae_presets[i].config;
        c.V = V;
        c.W = window;
        return c;
    }
    cr_assert_fail("no such preset");
    return (ae_model_config){0};
}

static void rig_init(rig *r, uint64_t seed, ae_weight_type weights, double temperature) {
    const ae_model_config c = shape();
    const ae_backend_options o = {.threads = 2, .dtype = ae_dtype_beside(weights)};
    cr_assert_eq(ae_backend_cpu(&r->be, &o), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_model_init(&r->model, &r->be, &c, &(ae_model_options){.weights = weights}), AE_OK);
    cr_assert_eq(ae_model_set_initial(&r->model, seed), AE_OK);
    r->t = small_tokenizer();
    cr_assert_eq(ae_conversation_new(&r->c, &r->model, r->t, "t.model"), AE_OK, "%s", ae_error_message());
    ae_answer_settings *s = ae_conversation_settings(r->c);
    s->sampling.temperature = temperature;
    s->max_new = MAX_NEW;
    s->seed = 7;
}

static void rig_free(rig *r) {
    ae_conversation_delete(r->c);
    ae_tokenizer_delete(r->t);
    ae_model_free(&r->model);
    ae_backend_free(&r->be);
}

/* ---- asking ---- */

typedef struct {
    char text[4096];
    size_t n;
    int asked, stop_at; /* the check that says stop, from 1; 0: none */
} listener;

static ae_status take_piece(void *context, const char *text, size_t n) {
    listener *l = context;
    cr_assert(n > 0 && l->n + n < sizeof l->text);
    memcpy(l->text + l->n, text, n);
    l->n += n;
    return AE_OK;
}

static bool is_stopped(void *context) {
    listener *l = context;
    return ++l->asked == l->stop_at;
}

static ae_turn_report ask_until(rig *r, const char *text, int stop_at) {
    listener l = {.stop_at = stop_at};
    ae_turn_report report;
    const ae_conversation_io io = {take_piece, is_stopped, &l};
    cr_assert_eq(ae_conversation_ask(r->c, text, strlen(text), &io, &report), AE_OK, "%s",
                 ae_error_message());
    if (report.taken_back) return report;
    const ae_turn *t = ae_conversation_turn(r->c, ae_conversation_turns(r->c) - 1);
    cr_assert_eq(t->answer_bytes, l.n);
    cr_assert_eq(memcmp(t->answer, l.text, l.n), 0, "what streams is the answer");
    return report;
}

static void ask(rig *r, const char *text) {
    cr_assert_not(ask_until(r, text, 0).taken_back);
}

static ae_turn_report retry_until(rig *r, int stop_at) {
    listener l = {.stop_at = stop_at};
    ae_turn_report report;
    const ae_conversation_io io = {take_piece, is_stopped, &l};
    cr_assert_eq(ae_conversation_retry(r->c, &io, &report), AE_OK, "%s", ae_error_message());
    return report;
}

static void undo(rig *r) {
    cr_assert_eq(ae_conversation_undo(r->c), AE_OK, "%s", ae_error_message());
}

/* ---- what a conversation is: its tokens, and the state's bytes ---- */

typedef struct {
    ae_ids ids;
    int32_t position;
    size_t bytes;
    char *packed;
} picture;

static picture take_picture(const rig *r) {
    const ae_ids *ids = ae_conversation_ids(r->c);
    const ae_decode_state *s = ae_conversation_state(r->c);
    picture p = {.position = s->positions[0]};
    cr_assert_eq(ae_ids_extend(&p.ids, ids->ids, ids->n), AE_OK);
    p.bytes = ae_decode_state_packed_bytes(&r->model, p.position);
    p.packed = malloc(p.bytes + 1);
    ae_decode_state_pack(s, 0, p.packed);
    return p;
}

static void picture_free(picture *p) {
    ae_ids_free(&p->ids);
    free(p->packed);
}

static bool same_ids(const picture *a, const picture *b) {
    return a->ids.n == b->ids.n &&
           (a->ids.n == 0 || memcmp(a->ids.ids, b->ids.ids, (size_t)a->ids.n * sizeof(int32_t)) == 0);
}

static void expect_picture(const rig *r, const picture *want, const char *what) {
    picture got = take_picture(r);
    cr_assert(same_ids(want, &got), "%s: other tokens", what);
    cr_assert_eq(got.position, want->position, "%s: %d tokens read, expected %d", what, got.position,
                 want->position);
    cr_assert_eq(memcmp(got.packed, want->packed, want->bytes), 0, "%s: another state", what);
    picture_free(&got);
}

/* ---- against the whole dialogue ---- */

/* Logits behind the state's tokens and one more, from a copy of the state or from all tokens read at once. */
static double furthest_from_rereading(const rig *r) {
    const ae_ids *ids = ae_conversation_ids(r->c);
    const int32_t position = ae_conversation_state(r->c)->positions[0];
    float kept[V], whole[V];
    double most = 0;
    ae_decode_state s;
    ae_decoder *d = NULL;
    cr_assert_lt(position, ids->n);
    cr_assert_eq(ae_decode_state_init(&s, &r->model, 1), AE_OK);
    cr_assert_eq(ae_decoder_new(&d, &r->model, 1, AE_PREFILL_CHUNK), AE_OK);
    ae_decode_state_copy(&s, 0, ae_conversation_state(r->c), 0);
    ae_decoder_prefill(d, &s, 0, ids->ids + position, ids->n - position, kept, NULL);
    ae_decode_state_reset(&s, 0);
    ae_decoder_prefill(d, &s, 0, ids->ids, ids->n, whole, NULL);
    for (int v = 0; v < V; v++) most = fmax(most, fabs((double)kept[v] - (double)whole[v]));
    ae_decoder_delete(d);
    ae_decode_state_free(&s);
    return most;
}

/* The answer that the tokens before turn `turn` and its own prompt get when all are read at once. */
static void expect_answer_of_prompt(const rig *r, ptrdiff_t turn) {
    const ae_turn *t = ae_conversation_turn(r->c, turn);
    const ae_ids *ids = ae_conversation_ids(r->c);
    ae_answer_settings how = *ae_conversation_settings(r->c);
    how.stream = (uint64_t)turn;
    ae_generator *g = NULL;
    cr_assert_eq(ae_generator_new(&g, &r->model, r->t, &(ae_generator_options){.capacity = 1}), AE_OK);
    const ae_submission s = {.prompt = ids->ids, .n_prompt = t->answer_begin, .settings = how};
    cr_assert_eq(ae_generator_submit(g, &s), AE_OK);
    while (ae_generator_unfinished(g) > 0) cr_assert_eq(ae_generator_step(g), AE_OK);
    const ae_answer *a = ae_generator_poll(g, false);
    const ptrdiff_t n = t->end - 1 - t->answer_begin;
    cr_assert_eq(a->end, t->how);
    cr_assert_eq(a->tokens.n - (a->end == AE_ANSWER_STOPPED), n, "turn %td", turn);
    cr_assert_eq(memcmp(a->tokens.ids, ids->ids + t->answer_begin, (size_t)n * sizeof(int32_t)), 0,
                 "turn %td: another answer than to the whole dialogue", turn);
    cr_assert_str_eq(a->text, t->answer);
    ae_generator_delete(g);
}

/* Turns as the renderer makes them, with the answers' own tokens. */
static void expect_rendered(const rig *r) {
    ae_ids want = {0};
    const ae_ids *ids = ae_conversation_ids(r->c);
    const char *system = ae_conversation_system(r->c);
    for (ptrdiff_t i = 0; i < ae_conversation_turns(r->c); i++) {
        const ae_turn *t = ae_conversation_turn(r->c, i);
        const bool first = i == 0 && system;
        cr_assert_eq(t->begin, want.n);
        cr_assert_eq(ae_render_user(r->t, i == 0, first ? system : NULL, first ? strlen(system) : 0, t->user,
                                    t->user_bytes, &want),
                     AE_OK);
        cr_assert_eq(t->answer_begin, want.n);
        cr_assert_eq(ae_ids_extend(&want, ids->ids + t->answer_begin, t->end - 1 - t->answer_begin), AE_OK);
        cr_assert_eq(ae_ids_append(&want, ae_tokenizer_special(r->t).end_of_turn), AE_OK);
        cr_assert_eq(t->end, want.n);
    }
    cr_assert_eq(ids->n, want.n);
    cr_assert_eq(memcmp(ids->ids, want.ids, (size_t)want.n * sizeof(int32_t)), 0);
    ae_ids_free(&want);
}

static const char *const questions[] = {
    "the bird?",
    "  sings it to the hill 7 times, or to another one, or to none of them? ",
    "why",
    "the hill sings",
    "<end_of_turn>, he said.\nAnd then?",
    "9",
    "to the bird, the hill, the bird and the hill"};
enum { QUESTIONS = sizeof questions / sizeof *questions };

Test(conversation, kept_state_answers_as_the_whole_dialogue) {
    for (int sampled = 0; sampled < 2; sampled++) {
        rig r;
        rig_init(&r, 3, AE_WEIGHT_F32, sampled ? 1 : 0);
        cr_assert_eq(ae_conversation_begin(r.c, "Be brief.", 9), AE_OK);
        for (int i = 0; i < QUESTIONS; i++) {
            ask(&r, questions[i]);
            const double far = furthest_from_rereading(&r);
            cr_assert(far < 2e-5, "turn %d: %g", i, far);
            expect_answer_of_prompt(&r, i);
        }
        expect_rendered(&r);
        rig_free(&r);
    }
}

/* ---- undo and retry ---- */

Test(conversation, undo_is_as_though_the_turn_never_was) {
    rig r;
    picture before[QUESTIONS + 1];
    rig_init(&r, 3, AE_WEIGHT_F32, 1);
    cr_assert_eq(ae_conversation_undo(r.c), AE_ERR_USAGE);
    for (int i = 0; i <= QUESTIONS; i++) {
        before[i] = take_picture(&r);
        if (i < QUESTIONS) ask(&r, questions[i]);
    }
    for (int back = 1; back <= AE_CONVERSATION_SNAPSHOTS; back++) {
        for (int i = 0; i < back; i++) undo(&r);
        expect_picture(&r, &before[QUESTIONS - back], "undone");
        ask(&r, "something else");
        undo(&r);
        expect_picture(&r, &before[QUESTIONS - back], "undone again");
        for (int i = QUESTIONS - back; i < QUESTIONS; i++) ask(&r, questions[i]);
        expect_picture(&r, &before[QUESTIONS], "asked again");
    }
    for (int i = 0; i < QUESTIONS; i++) undo(&r);
    expect_picture(&r, &before[0], "all undone");
    cr_assert_eq(ae_conversation_undo(r.c), AE_ERR_USAGE);
    ask(&r, questions[0]);
    expect_picture(&r, &before[1], "from the beginning");
    for (int i = 0; i <= QUESTIONS; i++) picture_free(&before[i]);
    rig_free(&r);
}

/* Further back than there are states: all is read again at the next turn, also where a first attempt is
 * stopped. */
Test(conversation, undo_beyond_the_snapshots_reads_again) {
    for (int stops = 0; stops < 2; stops++) {
        rig r;
        picture before[QUESTIONS];
        rig_init(&r, 3, AE_WEIGHT_F32, 0);
        for (int i = 0; i < QUESTIONS; i++) {
            before[i] = take_picture(&r);
            ask(&r, questions[i]);
        }
        const int left = QUESTIONS - AE_CONVERSATION_SNAPSHOTS - 1;
        for (int i = 0; i < QUESTIONS - left; i++) undo(&r);
        if (stops)
            for (int k = 1; k <= 3; k++) cr_assert(ask_until(&r, "stopped", k < 3 ? k : 2).taken_back);
        for (int i = left; i < QUESTIONS - 1; i++) {
            ask(&r, questions[i]);
            cr_assert_lt(furthest_from_rereading(&r), 2e-5);
            picture got = take_picture(&r);
            cr_assert(same_ids(&got, &before[i + 1]), "turn %d", i);
            picture_free(&got);
        }
        for (int i = 0; i < QUESTIONS; i++) picture_free(&before[i]);
        rig_free(&r);
    }
}

Test(conversation, retry_draws_from_another_stream) {
    rig r, other;
    rig_init(&r, 3, AE_WEIGHT_F32, 1);
    rig_init(&other, 3, AE_WEIGHT_F32, 1);
    ae_turn_report report;
    cr_assert_eq(ae_conversation_retry(r.c, &(ae_conversation_io){0}, &report), AE_ERR_USAGE);
    for (int i = 0; i < 2; i++) ask(&r, questions[i]);
    picture first = take_picture(&r);
    retry_until(&r, 0);
    picture second = take_picture(&r);
    cr_assert_not(same_ids(&first, &second));
    cr_assert_eq(ae_conversation_turn(r.c, 1)->retries, 1);
    expect_rendered(&r);
    retry_until(&r, 0);
    picture third = take_picture(&r);
    cr_assert_not(same_ids(&third, &second));
    cr_assert_not(same_ids(&third, &first));
    /* asked anew it is the first answer again, and the same tries give the same bits elsewhere */
    undo(&r);
    ask(&r, questions[1]);
    expect_picture(&r, &first, "undone and asked");
    for (int i = 0; i < 2; i++) ask(&other, questions[i]);
    retry_until(&other, 0);
    expect_picture(&other, &second, "another conversation");
    /* stopped before its first token it leaves all as it was */
    ask(&other, "next");
    picture next = take_picture(&other);
    undo(&other);
    expect_picture(&other, &second, "undone");
    for (int at = 1; at <= 2; at++) {
        cr_assert(retry_until(&other, at).taken_back);
        cr_assert_eq(ae_conversation_turn(other.c, 1)->retries, 1);
        expect_picture(&other, &second, "stopped");
    }
    ask(&other, "next");
    expect_picture(&other, &next, "the same next turn");
    expect_rendered(&other);
    picture_free(&next);
    picture_free(&first);
    picture_free(&second);
    picture_free(&third);
    rig_free(&other);
    rig_free(&r);
}

/* ---- stopping ---- */

Test(conversation, a_stopped_answer_is_a_turn) {
    rig r, whole;
    rig_init(&r, 3, AE_WEIGHT_F32, 0);
    rig_init(&whole, 3, AE_WEIGHT_F32, 0);
    ask(&r, questions[0]);
    ask(&whole, questions[0]);
    ask(&whole, questions[1]);
    const ae_turn *full = ae_conversation_turn(whole.c, 1);
    cr_assert_eq(full->how, AE_ANSWER_FULL, "the test needs an answer that goes on");
    picture before = take_picture(&r);
    /* the first check is before the prompt is read, the second before the first token */
    for (int at = 1; at <= 2; at++) {
        const ae_turn_report report = ask_until(&r, questions[1], at);
        cr_assert(report.taken_back && report.end == AE_ANSWER_CANCELLED);
        cr_assert_eq(ae_conversation_turns(r.c), 1);
        expect_picture(&r, &before, "stopped before the first token");
    }
    for (int at = 3; at < MAX_NEW + 2; at++) {
        const ae_turn_report report = ask_until(&r, questions[1], at);
        const ae_turn *t = ae_conversation_turn(r.c, 1);
        cr_assert(!report.taken_back && report.end == AE_ANSWER_CANCELLED && t->how == AE_ANSWER_CANCELLED);
        cr_assert_eq(report.answer_tokens, at - 2);
        cr_assert_eq(t->end - t->answer_begin, at - 1);
        cr_assert_eq(memcmp(ae_conversation_ids(r.c)->ids + t->answer_begin,
                            ae_conversation_ids(whole.c)->ids + full->answer_begin,
                            (size_t)(at - 2) * sizeof(int32_t)),
                     0);
        ask(&r, questions[2]);
        expect_rendered(&r);
        expect_answer_of_prompt(&r, 2);
        cr_assert_lt(furthest_from_rereading(&r), 2e-5);
        undo(&r);
        undo(&r);
        expect_picture(&r, &before, "undone");
    }
    picture_free(&before);
    rig_free(&whole);
    rig_free(&r);
}

static ae_status refuse_piece(void *context, const char *text, size_t n) {
    (void)context;
    (void)text;
    (void)n;
    return AE_FAIL(AE_ERR_RESOURCE, "no place");
}

Test(conversation, what_fails_leaves_it_as_it_was) {
    rig r;
    ae_turn_report report;
    const ae_conversation_io silent = {0}, full = {.piece = refuse_piece};
    rig_init(&r, 3, AE_WEIGHT_F32, 1);
    ask(&r, questions[0]);
    picture before = take_picture(&r);
    cr_assert_eq(ae_conversation_ask(r.c, " \n ", 3, &silent, &report), AE_ERR_INPUT);
    cr_assert_eq(ae_conversation_ask(r.c, "a\xff", 2, &silent, &report), AE_ERR_INPUT);
    cr_assert_eq(ae_conversation_begin(r.c, "a\xff", 2), AE_ERR_INPUT);
    cr_assert_eq(ae_conversation_ask(r.c, "a", 1, &full, &report), AE_ERR_RESOURCE);
    expect_picture(&r, &before, "refused");
    ask(&r, questions[1]);
    picture next = take_picture(&r);
    cr_assert_eq(ae_conversation_retry(r.c, &full, &report), AE_ERR_RESOURCE);
    expect_picture(&r, &next, "the old answer stays");
    picture_free(&next);
    picture_free(&before);
    rig_free(&r);
}

Test(conversation, begins_anew) {
    rig r, fresh;
    rig_init(&r, 3, AE_WEIGHT_F32, 1);
    rig_init(&fresh, 3, AE_WEIGHT_F32, 1);
    for (int i = 0; i < 3; i++) ask(&r, questions[i]);
    cr_assert_eq(ae_conversation_begin(r.c, "Sing.", 5), AE_OK);
    cr_assert_eq(ae_conversation_begin(fresh.c, "Sing.", 5), AE_OK);
    ask(&r, questions[2]);
    ask(&fresh, questions[2]);
    picture want = take_picture(&fresh);
    expect_picture(&r, &want, "anew");
    picture_free(&want);
    rig_free(&fresh);
    rig_free(&r);
}

/* With a heavy penalty an answer has no token that was there before it, in whichever turn. */
Test(conversation, a_repetition_penalty_sees_all_turns) {
    rig r;
    rig_init(&r, 3, AE_WEIGHT_F32, 0);
    ae_conversation_settings(r.c)->repetition_penalty = 100;
    for (int i = 0; i < 3; i++) ask(&r, questions[i]);
    const ae_ids *ids = ae_conversation_ids(r.c);
    for (int i = 0; i < 3; i++) {
        const ae_turn *t = ae_conversation_turn(r.c, i);
        for (ptrdiff_t k = t->answer_begin; k < t->end - 1; k++)
            for (ptrdiff_t j = 0; j < k; j++) cr_assert_neq(ids->ids[j], ids->ids[k], "turn %d", i);
    }
    rig_free(&r);
}

/* ---- files ---- */

static char folder[] = "/tmp/aerie-conversation-XXXXXX";

static void make_folder(void) {
    cr_assert_not_null(mkdtemp(folder));
}

static void remove_folder(void) {
    ae_folder_remove(folder);
}

TestSuite(conversation_file, .init = make_folder, .fini = remove_folder);

static char *file_in(const char *name) {
    return ae_path_join(folder, name);
}

static void save(rig *r, const char *path) {
    cr_assert_eq(ae_conversation_save(r->c, path, false), AE_OK, "%s", ae_error_message());
}

static void load(rig *r, const char *path) {
    cr_assert_eq(ae_conversation_load(r->c, path), AE_OK, "%s", ae_error_message());
}

static void expect_refused(rig *r, const char *path, ae_status want, const char *words) {
    picture before = take_picture(r);
    const ae_status st = ae_conversation_load(r->c, path);
    cr_assert_eq(st, want, "%d where \"%s\" was expected: %s", st, words, ae_error_message());
    cr_assert_not_null(strstr(ae_error_message(), words), "'%s' lacks '%s'", ae_error_message(), words);
    expect_picture(r, &before, "a refused file");
    picture_free(&before);
}

/* What both do next has the same bits: retry, more turns, undo. */
static void go_on(rig *a, rig *b) {
    for (int step = 0; step < 6; step++) {
        rig *both[] = {a, b};
        for (int i = 0; i < 2; i++) {
            if (step == 0 && ae_conversation_turns(both[i]->c) > 0) retry_until(both[i], 0);
            if (step == 1 || step == 2 || step == 4) ask(both[i], questions[step]);
            if (step == 3 || step == 5) undo(both[i]);
        }
        picture want = take_picture(a);
        expect_picture(b, &want, "loaded");
        picture_free(&want);
    }
    for (ptrdiff_t i = 0; i < ae_conversation_turns(a->c); i++) {
        const ae_turn *x = ae_conversation_turn(a->c, i), *y = ae_conversation_turn(b->c, i);
        cr_assert_str_eq(x->user, y->user);
        cr_assert_str_eq(x->answer, y->answer);
        cr_assert(x->how == y->how && x->retries == y->retries);
    }
}

static void check_file(ae_weight_type weights, int turns, bool system) {
    rig a, b;
    rig_init(&a, 3, weights, 0.9);
    rig_init(&b, 3, weights, 0);
    char *path = file_in("talk.h5");
    if (system) cr_assert_eq(ae_conversation_begin(a.c, "Be brief.", 9), AE_OK);
    ask(&b, "to be forgotten");
    for (int i = 0; i < turns; i++) ask(&a, questions[i]);
    save(&a, path);
    load(&b, path);
    cr_assert_eq(ae_conversation_settings(b.c)->sampling.temperature,
                 ae_conversation_settings(a.c)->sampling.temperature);
    cr_assert_eq(ae_conversation_system(b.c) != NULL, system);
    if (system) cr_assert_str_eq(ae_conversation_system(b.c), "Be brief.");
    go_on(&a, &b);
    cr_assert_lt(ae_file_size(path), 200000);
    unlink(path);
    free(path);
    rig_free(&a);
    rig_free(&b);
}

Test(conversation_file, a_loaded_one_goes_on_with_the_same_bits) {
    check_file(AE_WEIGHT_F32, 3, true);
    check_file(AE_WEIGHT_F32, 1, false);
    check_file(AE_WEIGHT_F32, 0, true);
    check_file(AE_WEIGHT_F32, 0, false);
    check_file(AE_WEIGHT_BF16, 2, false);
    check_file(AE_WEIGHT_INT8, 2, true);
}

/* Saved after turns were taken back beyond the snapshots, when no state is there. */
Test(conversation_file, without_a_state) {
    rig a, b;
    rig_init(&a, 3, AE_WEIGHT_F32, 0.9);
    rig_init(&b, 3, AE_WEIGHT_F32, 0);
    char *path = file_in("talk.h5");
    for (int i = 0; i < QUESTIONS; i++) ask(&a, questions[i]);
    for (int i = 0; i < QUESTIONS - 2; i++) undo(&a);
    cr_assert_eq(ae_conversation_state(a.c)->positions[0], 0);
    save(&a, path);
    load(&b, path);
    go_on(&a, &b);
    free(path);
    rig_free(&a);
    rig_free(&b);
}

/* One value of one matrix: the fingerprint does not see it. */
static void change_one_value(rig *r) {
    for (ptrdiff_t i = 0; i < r->model.params.n; i++) {
        const ae_param *p = &r->model.params.items[i];
        if (!p->product || strstr(p->name, "embed")) continue;
        float row[64];
        r->be.download(&r->be, row, p->value, sizeof row);
        for (int k = 0; k < 64; k++) row[k] += 0.5f;
        r->be.upload(&r->be, p->value, row, sizeof row);
        ae_model_values_changed(&r->model);
        return;
    }
    cr_assert_fail("no matrix");
}

/* Of one token of the vocabulary that is neither the first nor the last. */
static void break_one_logit(rig *r) {
    const ae_param *p = ae_params_find(&r->model.params, "model.embed_tokens.weight");
    const float none = NAN;
    r->be.upload(&r->be, ae_f32_at(p->value, (ptrdiff_t)p->shape[1]), &none, sizeof none);
    ae_model_values_changed(&r->model);
}

Test(conversation_file, another_model_is_refused) {
    rig a, other, near, broken, compact, wider;
    rig_init(&a, 3, AE_WEIGHT_F32, 1);
    rig_init(&other, 4, AE_WEIGHT_F32, 1);
    rig_init(&near, 3, AE_WEIGHT_F32, 1);
    rig_init(&broken, 3, AE_WEIGHT_F32, 1);
    rig_init(&compact, 3, AE_WEIGHT_BF16, 1);
    char *path = file_in("talk.h5");
    ask(&a, questions[0]);
    save(&a, path);
    ask(&other, questions[1]);
    expect_refused(&other, path, AE_ERR_INPUT, "another model");
    change_one_value(&near);
    expect_refused(&near, path, AE_ERR_INPUT, "another model or adapter");
    break_one_logit(&broken);
    expect_refused(&broken, path, AE_ERR_INPUT, "another model or adapter");
    expect_refused(&compact, path, AE_ERR_INPUT, "open the model with --dtype f32");
    window = 25;
    rig_init(&wider, 3, AE_WEIGHT_F32, 1);
    expect_refused(&wider, path, AE_ERR_INPUT, "window");
    free(path);
    rig_free(&a);
    rig_free(&other);
    rig_free(&near);
    rig_free(&broken);
    rig_free(&compact);
    rig_free(&wider);
}

Test(conversation_file, only_conversations_are_replaced) {
    rig a, b;
    rig_init(&a, 3, AE_WEIGHT_F32, 1);
    rig_init(&b, 3, AE_WEIGHT_F32, 1);
    char *path = file_in("new/talk.h5"), *text = file_in("text");
    ask(&a, questions[0]);
    save(&a, path);
    ask(&a, questions[1]);
    cr_assert_eq(ae_conversation_save(a.c, path, false), AE_ERR_USAGE);
    load(&b, path);
    cr_assert_eq(ae_conversation_turns(b.c), 1);
    cr_assert_eq(ae_conversation_save(a.c, path, true), AE_OK, "%s", ae_error_message());
    load(&b, path);
    cr_assert_eq(ae_conversation_turns(b.c), 2);
    cr_assert_eq(ae_file_write(text, "precious", 8), AE_OK);
    cr_assert_eq(ae_conversation_save(a.c, text, true), AE_ERR_USAGE);
    cr_assert_eq(ae_file_size(text), 8);
    expect_refused(&b, text, AE_ERR_INPUT, "expected an HDF5 file");
    expect_refused(&b, folder, AE_ERR_INPUT, "folder");
    free(text);
    text = file_in("none");
    expect_refused(&b, text, AE_ERR_INPUT, "nothing there");
    free(text);
    free(path);
    rig_free(&a);
    rig_free(&b);
}

/* A byte that changed is an error, or nothing that matters: never another conversation. */
Test(conversation_file, damage_is_seen) {
    enum { CHANGES = 150 };
    rig a, b;
    rig_init(&a, 3, AE_WEIGHT_F32, 1);
    rig_init(&b, 3, AE_WEIGHT_F32, 1);
    char *path = file_in("talk.h5"), *bytes = NULL;
    size_t n = 0;
    int refused = 0;
    for (int i = 0; i < 2; i++) ask(&a, questions[i]);
    picture want = take_picture(&a);
    save(&a, path);
    cr_assert_eq(ae_file_read(path, &bytes, &n), AE_OK);
    for (size_t i = 0; i < CHANGES; i++) {
        const size_t at = i * n / CHANGES;
        const char was = bytes[at];
        bytes[at] = (char)(was ^ (1 << i % 8));
        cr_assert_eq(ae_file_write(path, bytes, n), AE_OK);
        bytes[at] = was;
        const ae_status st = ae_conversation_load(b.c, path);
        cr_assert(st == AE_OK || st == AE_ERR_INPUT, "byte %zu: %d: %s", at, st, ae_error_message());
        refused += st != AE_OK;
        if (st == AE_OK) expect_picture(&b, &want, "damaged");
    }
    cr_assert_gt(refused, CHANGES / 2);
    for (size_t part = 0; part < 8; part++) {
        cr_assert_eq(ae_file_write(path, bytes, n * part / 8), AE_OK);
        cr_assert_eq(ae_conversation_load(b.c, path), AE_ERR_INPUT);
    }
    picture_free(&want);
    free(bytes);
    free(path);
    rig_free(&a);
    rig_free(&b);
}
