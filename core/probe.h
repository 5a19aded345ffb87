#ifndef AE_CORE_PROBE_H
#define AE_CORE_PROBE_H
#include <stdbool.h>
#include <stdint.h>

/* Where time goes: numbered ops, each with its calls, its time, and the work that it did. Off, a probe is one
 * branch on a global that does not change.
 *
 * One thread enters ops, which run parallel regions of their own, so the time on that thread is wall time.
 * Ops inside an op are told apart: `self_s` of the outer one leaves them out, and the self times of all ops
 * add up to the time spent in any. A part (the products inside attention) runs on any thread and counts, as
 * thread-seconds, to the op that is open. Threads write sums of their own, in cache lines of their own. */

enum { AE_PROBE_OPS_MAX = 64, AE_PROBE_THREADS_MAX = 256 }; /* later threads are not counted */

/* What an op must do at least, whatever the kernel: each array moved once. */
typedef struct {
    double flops;                     /* of matrix products */
    double read_bytes, written_bytes; /* of memory */
    double exps, sigmoids, tanhs;     /* evaluations */
} ae_work;

typedef struct {
    int64_t calls;
    double total_s, self_s;
    double part_thread_s;
    ae_work work;
} ae_probe_sum;

typedef struct {
    int op; /* < 0: nothing is counted */
    int outer_op;
    int64_t start_ns, outer_inside_ns;
} ae_probe;

extern bool ae_probe_on; /* read only; ae_probe_start and ae_probe_stop set it, while no op is open */

void ae_probe_start(void); /* from zero */
void ae_probe_stop(void);  /* the sums stay to be read */
ae_probe_sum ae_probe_read(int op);

ae_probe ae_probe_enter(int op);
void ae_probe_leave(const ae_probe *p);
void ae_probe_count(int op, const ae_work *work);
int64_t ae_probe_clock_ns(void);
void ae_probe_count_part(int64_t start_ns);

static inline ae_probe ae_probe_begin(int op) {
    return __builtin_expect(ae_probe_on, false) ? ae_probe_enter(op) : (ae_probe){.op = -1};
}
/* `work` may be NULL. */
static inline void ae_probe_end(const ae_probe *p, const ae_work *work) {
    if (__builtin_expect(p->op < 0, true)) return;
    ae_probe_leave(p);
    if (work) ae_probe_count(p->op, work);
}

/* What `begin` gave goes to `end`, on the same thread. */
static inline int64_t ae_probe_part_begin(void) {
    return __builtin_expect(ae_probe_on, false) ? ae_probe_clock_ns() : -1;
}
static inline void ae_probe_part_end(int64_t start_ns) {
    if (__builtin_expect(start_ns >= 0, false)) ae_probe_count_part(start_ns);
}

#endif
