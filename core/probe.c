#include "core/probe.h"

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

bool ae_probe_on;

typedef struct {
    int64_t calls, total_ns, self_ns, part_ns;
    ae_work work;
} sum;

/* One thread's own; aligned, so that no two share a cache line. Pages of threads that never come are never touched. */
typedef struct {
    _Alignas(64) sum ops[AE_PROBE_OPS_MAX];
    int64_t inside_ns; /* of ops that ended inside the open one */
} account;

static account accounts[AE_PROBE_THREADS_MAX];
static atomic_int n_accounts;
static atomic_int open_op = -1;
static _Thread_local account *own;

static account *own_account(void) {
    if (own) return own;
    const int index = atomic_fetch_add(&n_accounts, 1);
    if (index < AE_PROBE_THREADS_MAX) own = &accounts[index];
    return own;
}

static int accounts_in_use(void) {
    const int n = atomic_load(&n_accounts);
    return n < AE_PROBE_THREADS_MAX ? n : AE_PROBE_THREADS_MAX;
}

int64_t ae_probe_clock_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void ae_probe_start(void) {
    const int n = accounts_in_use();
    for (int i = 0; i < n; i++) memset(&accounts[i], 0, sizeof accounts[i]);
    atomic_store(&open_op, -1);
    ae_probe_on = true;
}

void ae_probe_stop(void) {
    ae_probe_on = false;
}

ae_probe ae_probe_enter(int op) {
    assert(op >= 0 && op < AE_PROBE_OPS_MAX);
    account *a = own_account();
    if (!a) return (ae_probe){.op = -1};
    ae_probe p = {.op = op, .outer_op = atomic_load(&open_op), .outer_inside_ns = a->inside_ns};
    a->inside_ns = 0;
    atomic_store(&open_op, op);
    p.start_ns = ae_probe_clock_ns();
    return p;
}

void ae_probe_leave(const ae_probe *p) {
    const int64_t spent = ae_probe_clock_ns() - p->start_ns;
    account *a = own;
    sum *s = &a->ops[p->op];
    s->calls++;
    s->total_ns += spent;
    s->self_ns += spent - a->inside_ns;
    a->inside_ns = p->outer_inside_ns + spent;
    atomic_store(&open_op, p->outer_op);
}

static void add_work(ae_work *to, const ae_work *w) {
    to->flops += w->flops;
    to->read_bytes += w->read_bytes;
    to->written_bytes += w->written_bytes;
    to->exps += w->exps;
    to->sigmoids += w->sigmoids;
    to->tanhs += w->tanhs;
}

void ae_probe_count(int op, const ae_work *work) {
    account *a = own_account();
    if (a) add_work(&a->ops[op].work, work);
}

void ae_probe_count_part(int64_t start_ns) {
    const int64_t spent = ae_probe_clock_ns() - start_ns;
    const int op = atomic_load_explicit(&open_op, memory_order_relaxed);
    account *a = own_account();
    if (a && op >= 0) a->ops[op].part_ns += spent;
}

ae_probe_sum ae_probe_read(int op) {
    ae_probe_sum total = {0};
    const int n = accounts_in_use();
    for (int i = 0; i < n; i++) {
        const sum *s = &accounts[i].ops[op];
        total.calls += s->calls;
        total.total_s += 1e-9 * (double)s->total_ns;
        total.self_s += 1e-9 * (double)s->self_ns;
        total.part_thread_s += 1e-9 * (double)s->part_ns;
        add_work(&total.work, &s->work);
    }
    return total;
}
