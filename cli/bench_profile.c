#include "cli/bench_profile.h"

#include <math.h>
#include <stdlib.h>

ae_status ae_bench_profile_init(ae_bench_profile *p, const ae_bench *b, int64_t capacity) {
    *p = (ae_bench_profile){.capacity = capacity, .plain = b->be};
    p->steps = calloc((size_t)capacity, sizeof *p->steps);
    if (!p->steps) return AE_FAIL(AE_ERR_RESOURCE, "bench: out of memory");
    return ae_backend_profile(&p->probed, &p->plain, b->weights.weights);
}

void ae_bench_profile_free(ae_bench_profile *p) {
    free(p->steps);
    p->steps = NULL;
    ae_backend_free(&p->probed);
}

/* The model holds a pointer to the bench's table: changing what stands in it is enough. */
void ae_bench_profile_begin(ae_bench_profile *p, ae_bench *b) {
    b->be = p->probed;
    ae_probe_start();
}

void ae_bench_profile_end(ae_bench_profile *p, ae_bench *b, double seconds) {
    ae_probe_stop();
    b->be = p->plain;
    if (p->n == p->capacity) return;
    ae_profiled_step *s = &p->steps[p->n++];
    s->seconds = seconds;
    s->threads = b->be.threads;
    for (int op = 0; op < AE_PROFILE_N_OPS; op++) s->sums[op] = ae_probe_read(op);
}

static int by_time(const void *a, const void *b) {
    const double x = ((const ae_profiled_step *)a)->seconds, y = ((const ae_profiled_step *)b)->seconds;
    return (x > y) - (x < y);
}

/* One line of the table. */
typedef struct {
    const char *name;
    const ae_probe_sum *sum;
    double seconds, least_s, products; /* products: share of the threads' time in them */
    ae_bench_bound bound;
} line;

static int by_self_time(const void *a, const void *b) {
    const double x = ((const line *)a)->seconds, y = ((const line *)b)->seconds;
    return (x < y) - (x > y);
}

static double bytes_of(const ae_work *w) {
    return w->read_bytes + w->written_bytes;
}

/* Bytes that pass before an op sees the same ones again, so that the cache they fit in bounds it: those of
 * one call, or of the whole step where it walks over the parameters. */
static double size_at_hand(const ae_profiled_step *s, int op, bool sweeps_model) {
    double step = 0;
    const double own = bytes_of(&s->sums[op].work);
    if (ae_profile_sweeps_parameters(op)) return own;
    if (!sweeps_model) return own / (double)s->sums[op].calls;
    for (int i = 0; i < AE_PROFILE_N_OPS; i++) step += bytes_of(&s->sums[i].work);
    return step;
}

double ae_bench_profile_largest(const ae_bench_profile *p, bool sweeps_model) {
    double largest = 0;
    for (int op = 0; p->n > 0 && op < AE_PROFILE_N_OPS; op++)
        if (p->steps[0].sums[op].calls > 0)
            largest = fmax(largest, size_at_hand(&p->steps[0], op, sweeps_model));
    return largest;
}

/* A composite that is made of smaller rows, or a row that had nothing to do: what little they took is in
 * "other". */
static bool is_empty_shell(const ae_probe_sum *sum, double step_s) {
    return bytes_of(&sum->work) + sum->work.flops <= 0 && sum->self_s < 0.001 * step_s;
}

static int lines_of(const ae_profiled_step *s, const ae_bench_rates *r, bool sweeps_model, line *lines) {
    const double threads = s->threads;
    int n = 0;
    for (int op = 0; op < AE_PROFILE_N_OPS; op++) {
        const ae_probe_sum *sum = &s->sums[op];
        if (sum->calls == 0 || is_empty_shell(sum, s->seconds)) continue;
        line *l = &lines[n++];
        *l = (line){.name = ae_profile_name(op), .sum = sum, .seconds = sum->self_s};
        l->least_s = ae_bench_least_seconds(r, &sum->work, size_at_hand(s, op, sweeps_model), &l->bound);
        if (sum->self_s > 0) l->products = sum->part_thread_s / threads / sum->self_s;
    }
    qsort(lines, (size_t)n, sizeof *lines, by_self_time);
    return n;
}

static void print_line(const ae_bench *b, const line *l, double step_s) {
    char roofline[16] = "", products[16] = "";
    if (l->bound != AE_BOUND_NONE)
        snprintf(roofline, sizeof roofline, "%5.1f %%", 100 * l->least_s / l->seconds);
    if (l->products > 0) snprintf(products, sizeof products, "%3.0f %%", 100 * l->products);
    ae_bench_say(b, "%-24s %6lld %9.3f %6.1f %% %9.3f %9.2f %9s  %-9s %9s", l->name, (long long)l->sum->calls,
                 1e3 * l->seconds, 100 * l->seconds / step_s, bytes_of(&l->sum->work) / 1e9,
                 l->sum->work.flops / 1e9, products, ae_bench_bound_name(l->bound), roofline);
}

static json_t *line_json(const line *l, double step_s) {
    const bool bounded = l->bound != AE_BOUND_NONE;
    return json_pack("{s:s, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "op", l->name, "calls",
                     (json_int_t)l->sum->calls, "seconds", ae_json_number(l->seconds), "share",
                     ae_json_number(l->seconds / step_s), "gb", ae_json_number(bytes_of(&l->sum->work) / 1e9),
                     "gflop", ae_json_number(l->sum->work.flops / 1e9), "products_share",
                     ae_json_number(l->products), "bound",
                     bounded ? json_string(ae_bench_bound_name(l->bound)) : json_null(), "roofline",
                     bounded ? ae_json_number(l->least_s / l->seconds) : json_null());
}

static void say_header(const ae_bench *b, const ae_bench_rates *r, const ae_bench_profile_view *view,
                       int64_t n, double step_s) {
    ae_bench_say(b, "profile    a %s of %.3f ms, the middle one of %lld; without probes %.3f ms (%+.1f %%)",
                 view->unit, 1e3 * step_s, (long long)n, 1e3 * view->plain_s,
                 100 * (step_s / view->plain_s - 1));
    ae_bench_say(b,
                 "           roofline: bytes at the bandwidth measured for %s, or FLOPs at %.0f GFLOP/s%s "
                 "functions at their rates, whichever takes longer",
                 view->sweeps_model ? "all that a token reads" : "the size of a call", r->product / 1e9,
                 r->tiles ? " or" : " plus");
    ae_bench_say(b, "%-24s %6s %9s %8s %9s %9s %9s  %-9s %9s", "op", "calls", "ms", "share", "GB", "GFLOP",
                 "products", "bound", "roofline");
}

json_t *ae_bench_profile_tell(ae_bench_profile *p, const ae_bench *b, const ae_bench_rates *r,
                              const ae_bench_profile_view *view) {
    line lines[AE_PROFILE_N_OPS];
    qsort(p->steps, (size_t)p->n, sizeof *p->steps, by_time);
    const ae_profiled_step *s = &p->steps[p->n / 2];
    const int n = lines_of(s, r, view->sweeps_model, lines);
    json_t *ops = json_array();
    double other_s = s->seconds;
    say_header(b, r, view, p->n, s->seconds);
    for (int i = 0; i < n; i++) {
        print_line(b, &lines[i], s->seconds);
        json_array_append_new(ops, line_json(&lines[i], s->seconds));
        other_s -= lines[i].seconds;
    }
    ae_bench_say(b, "%-24s %6s %9.3f %6.1f %%", "other", "", 1e3 * other_s, 100 * other_s / s->seconds);
    json_t *report = json_pack("{s:s, s:I, s:o, s:o, s:o, s:o, s:o}", "unit", view->unit, "steps",
                               (json_int_t)p->n, "product_gflops", ae_json_number(r->product / 1e9), "step_s",
                               ae_json_number(s->seconds), "plain_step_s", ae_json_number(view->plain_s),
                               "ops", ops, "other_s", ae_json_number(other_s));
    p->n = 0;
    return report;
}
