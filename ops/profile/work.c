#include "ops/profile/work.h"

static const double F32 = sizeof(float);

ae_work ae_work_moved(double read_bytes, double written_bytes) {
    return (ae_work){.read_bytes = read_bytes, .written_bytes = written_bytes};
}

ae_work ae_work_linear(ae_work_types t, ptrdiff_t M, ptrdiff_t I, ptrdiff_t O, bool residual) {
    const double m = (double)M, i = (double)I, o = (double)O;
    return (ae_work){.flops = 2 * m * i * o,
                     .read_bytes = t.act * m * i + t.weight * i * o + (residual ? F32 * m * o : 0),
                     .written_bytes = (residual ? F32 : t.act) * m * o};
}

ae_work ae_work_linear_input(ae_work_types t, ptrdiff_t M, ptrdiff_t I, ptrdiff_t O, bool add) {
    ae_work w = ae_work_linear(t, M, O, I, false);
    if (add) w.read_bytes += t.act * (double)M * (double)I;
    return w;
}

ae_work ae_work_linear_weight(ae_work_types t, ptrdiff_t M, ptrdiff_t I, ptrdiff_t O) {
    const double m = (double)M, i = (double)I, o = (double)O;
    return (ae_work){.flops = 2 * m * i * o,
                     .read_bytes = t.act * m * (i + o) + F32 * i * o,
                     .written_bytes = F32 * i * o};
}

/* Its weights are float32, or bfloat16 as those of gates. */
ae_work ae_work_adapter(ae_work_types t, ae_adapter_dims n, ae_adapter_kind kind) {
    const double m = (double)n.M, i = (double)n.I, o = (double)n.O, r = (double)n.R;
    ae_work w = {.flops = 2 * m * r * (i + o), .read_bytes = t.gate * r * (i + o)};
    if (kind == AE_ADAPTER_WEIGHTS) {
        w.flops *= 2;
        w.read_bytes += t.act * m * (i + o) + F32 * r * (i + o);
        w.written_bytes = F32 * r * (i + o);
        return w;
    }
    w.written_bytes = (kind == AE_ADAPTER_STREAM ? F32 : t.act) * m * o;
    w.read_bytes += t.act * m * i + w.written_bytes;
    return w;
}

ae_work ae_work_gates(ae_work_types t, ptrdiff_t M, ptrdiff_t C, ptrdiff_t N, ae_gates_kind kind) {
    const double acts = t.act * (double)M * (double)C, elements = (double)C * (double)C / (double)N;
    ae_work w = {.flops = 2 * (double)M * elements, .read_bytes = acts, .written_bytes = acts};
    if (kind == AE_GATES_WEIGHT)
        return (ae_work){
            .flops = w.flops, .read_bytes = 2 * acts + F32 * elements, .written_bytes = F32 * elements};
    w.read_bytes += t.gate * elements + (kind == AE_GATES_INPUT_ADD ? acts : 0);
    return w;
}

/* Two gates, and the decay by one exponential: 1 - a^2 follows from expm1. */
ae_work ae_work_rglru(ae_work_types t, ae_rglru_dims d, bool backward) {
    const double n = (double)d.B * (double)d.T * (double)d.C;
    return (ae_work){.read_bytes = t.act * n * (backward ? 5 : 3),
                     .written_bytes = t.act * n * (backward ? 3 : 1),
                     .exps = n,
                     .sigmoids = 2 * n};
}

ae_work ae_work_geglu(ae_work_types t, ptrdiff_t elements, bool backward) {
    const double n = (double)elements;
    return (ae_work){.read_bytes = t.act * n * (backward ? 3 : 2),
                     .written_bytes = t.act * n * (backward ? 3 : 1),
                     .sigmoids = n};
}

/* Forward two products, q k^T and P v; backward five: the first one again, dP, dv, dq, dk. */
ae_work ae_work_attention(ae_work_types t, ae_attention_dims d, double pairs, double ring_keys,
                          bool backward) {
    const double heads = (double)d.N, size = (double)d.H, tokens = (double)d.B * (double)d.T;
    const double q = t.act * tokens * heads * size, k = t.act * tokens * (double)d.G * size;
    const double ring = t.act * 2 * ring_keys * (double)d.G * size, lse = F32 * tokens * heads;
    const ae_work forward = {.flops = 4 * pairs * heads * size,
                             .read_bytes = q + 2 * k + ring,
                             .written_bytes = q + lse + (ring_keys > 0 ? 2 * k : 0),
                             .exps = pairs * heads};
    const ae_work back = {.flops = 10 * pairs * heads * size,
                          .read_bytes = 3 * q + 2 * k + lse, /* do, q, o */
                          .written_bytes = q + 2 * k,
                          .exps = pairs * heads};
    return backward ? back : forward;
}

ae_work ae_work_head(ae_work_types t, ae_head_dims d, ae_head_kind kind) {
    const double m = (double)d.M, width = (double)d.D, v = (double)d.V;
    ae_work w = {.flops = 2 * m * width * v,
                 .read_bytes = t.act * m * width + t.weight * v * width,
                 .written_bytes = F32 * (kind == AE_HEAD_LOGITS ? m * v : m),
                 .exps = kind == AE_HEAD_LOGITS ? 0 : m * v,
                 .tanhs = d.cap > 0 ? m * v : 0};
    if (kind != AE_HEAD_LOSS) return w;
    w.flops *= 3;
    w.read_bytes += F32 * v * width;
    w.written_bytes += t.act * m * width + F32 * v * width;
    return w;
}

ae_work ae_work_head_kl(ae_work_types t, const ae_head_side *p, const ae_head_side *q, ptrdiff_t M,
                        ptrdiff_t V, bool backward) {
    const ae_head_dims dims_p = {M, p->D, V, p->cap}, dims_q = {M, q->D, V, q->cap};
    const ae_work of_q = ae_work_head(t, dims_q, AE_HEAD_SCORE);
    ae_work w = ae_work_head(t, dims_p, backward ? AE_HEAD_LOSS : AE_HEAD_SCORE);
    w.flops += of_q.flops;
    w.read_bytes += of_q.read_bytes;
    w.exps += of_q.exps;
    w.tanhs += of_q.tanhs;
    return w;
}

/* w, m, v and g, each read and written. */
ae_work ae_work_adamw(ptrdiff_t n) {
    return ae_work_moved(4 * F32 * (double)n, 4 * F32 * (double)n);
}
