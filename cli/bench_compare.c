#include "cli/bench.h"

#include <stdlib.h>
#include <string.h>

/* Results are compared by seconds; the ratio is the earlier over the new one: above 1 is faster now. */

typedef struct {
    ae_bench *b;
    json_t *ratios;
    bool heading_said;
    const char *path;
} comparison;

static void tell(comparison *c, const char *name, double before_s, double now_s) {
    if (!(before_s > 0) || !(now_s > 0)) return;
    if (!c->heading_said) ae_bench_say(c->b, "compared with %s", c->path);
    c->heading_said = true;
    ae_bench_say(c->b, "%-34s %11.3f ms before %11.3f ms now %8.2f x", name, 1e3 * before_s, 1e3 * now_s,
                 before_s / now_s);
    json_array_append_new(c->ratios, json_pack("{s:s, s:o, s:o, s:o}", "name", name, "before_s",
                                               ae_json_number(before_s), "now_s", ae_json_number(now_s),
                                               "ratio", ae_json_number(before_s / now_s)));
}

static double seconds_of(const json_t *o, const char *key) {
    return json_number_value(json_object_get(o, key)); /* 0 where there is none */
}

static bool same_text(const json_t *a, const json_t *b, const char *key) {
    const char *x = json_string_value(json_object_get(a, key)),
               *y = json_string_value(json_object_get(b, key));
    return x == y || (x && y && strcmp(x, y) == 0);
}

/* The entry of the list with the same op and pass. */
static const json_t *same_op(const json_t *list, const json_t *op) {
    const json_t *other;
    size_t i;
    json_array_foreach(list, i, other) {
        if (same_text(other, op, "op") && same_text(other, op, "pass")) return other;
    }
    return NULL;
}

static void compare_ops(comparison *c, const json_t *old, const json_t *now, const char *prefix) {
    const json_t *op;
    size_t i;
    json_array_foreach(json_object_get(now, "ops"), i, op) {
        const json_t *before = same_op(json_object_get(old, "ops"), op);
        const char *pass = json_string_value(json_object_get(op, "pass"));
        char name[96];
        snprintf(name, sizeof name, "%s%s%s%s", prefix, json_string_value(json_object_get(op, "op")),
                 pass ? " " : "", pass ? pass : "");
        if (before) tell(c, name, seconds_of(before, "seconds"), seconds_of(op, "seconds"));
    }
    tell(c, "other", seconds_of(old, "other_s"), seconds_of(now, "other_s"));
}

static void compare_rounds(comparison *c, const json_t *old, const json_t *now) {
    const json_t *round, *before;
    size_t i, j;
    json_array_foreach(json_object_get(now, "rounds"), i, round) {
        const json_int_t prefill = json_integer_value(json_object_get(round, "prefill"));
        json_array_foreach(json_object_get(old, "rounds"), j, before) {
            char name[64];
            if (json_integer_value(json_object_get(before, "prefill")) != prefill) continue;
            compare_ops(c, json_object_get(before, "profile"), json_object_get(round, "profile"), "  ");
            snprintf(name, sizeof name, "a step after %lld", (long long)prefill);
            tell(c, name, seconds_of(before, "step_s"), seconds_of(round, "step_s"));
            snprintf(name, sizeof name, "reading %lld", (long long)prefill);
            const double was = seconds_of(before, "prefill_tokens_per_s"),
                         is = seconds_of(round, "prefill_tokens_per_s");
            if (was > 0 && is > 0) tell(c, name, (double)prefill / was, (double)prefill / is);
        }
    }
}

static double sum_of_ops(const json_t *report) {
    const json_t *op;
    double sum = 0;
    size_t i;
    json_array_foreach(json_object_get(report, "ops"), i, op) sum += seconds_of(op, "seconds");
    return sum;
}

/* What differs beside the speed is said: a ratio of two shapes says nothing about the code. */
static void tell_differences(const comparison *c, const json_t *old) {
    static const char *const keys[] = {"shape", "dtype", "row_tokens", "batch_rows", "batch", "prefill"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const json_t *a = json_object_get(old, keys[i]), *x = json_object_get(c->b->report, keys[i]);
        if (!a || !x || json_equal(a, x)) continue;
        char *before = json_dumps(a, JSON_ENCODE_ANY), *now = json_dumps(x, JSON_ENCODE_ANY);
        ae_bench_say(c->b, "           %s differs: %s before, %s now", keys[i], before ? before : "?",
                     now ? now : "?");
        free(before);
        free(now);
    }
    if (!same_text(json_object_get(old, "machine"), json_object_get(c->b->report, "machine"), "cpu"))
        ae_bench_say(c->b, "           the machine differs: %s before",
                     json_string_value(json_object_get(json_object_get(old, "machine"), "cpu")));
}

ae_status ae_bench_compare(ae_bench *b, const json_t *old, const char *path) {
    comparison c = {.b = b, .ratios = json_array(), .path = path};
    const json_t *now = b->report;
    compare_ops(&c, json_object_get(old, "profile"), json_object_get(now, "profile"), "");
    compare_ops(&c, old, now, "");
    compare_rounds(&c, old, now);
    tell(&c, "all ops", sum_of_ops(old), sum_of_ops(now));
    tell(&c, "step", seconds_of(old, "step_s"), seconds_of(now, "step_s"));
    tell_differences(&c, old);
    const size_t n = json_array_size(c.ratios);
    ae_bench_put_json(b, "compare", c.ratios);
    if (n > 0) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT,
                   "%s: expected a result of the same mode of bench with --json, found no figure to compare",
                   path);
}
