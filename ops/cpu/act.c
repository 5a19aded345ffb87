#include "ops/cpu/act.h"

#include "ops/cpu/table.h"
#include "ops/cpu/vmath.h"

void AE_ROW_NAME(ae_cpu_act_from_f32)(const ae_backend *be, ae_act *to_, const ae_f32 *x_, ptrdiff_t n) {
    enum { CHUNK = 4096, WIDE = 4 };
    ae_elem *to = ae_ma(to_);
    const float *x = ae_cf(x_);
#pragma omp parallel for num_threads(ae_team(be))
    for (ptrdiff_t first = 0; first < n; first += CHUNK) {
        const ptrdiff_t last = ae_min(n, first + CHUNK);
        ptrdiff_t i = first;
        for (; i + WIDE * VF <= last; i += WIDE * VF)
            AE_EACH(j, WIDE) va_store(to + i + j * VF, vf_load(x + i + j * VF));
        for (; i < last; i += VF) va_store_n(to + i, vf_load_n(x + i, last - i), last - i);
    }
}

void AE_ROW_NAME(ae_cpu_act_add_f32)(const ae_backend *be, ae_act *y_, const ae_f32 *x_, ptrdiff_t n) {
    enum { CHUNK = 4096 };
    ae_elem *y = ae_ma(y_);
    const float *x = ae_cf(x_);
#pragma omp parallel for num_threads(ae_team(be))
    for (ptrdiff_t first = 0; first < n; first += CHUNK) {
        const ptrdiff_t last = ae_min(n, first + CHUNK);
        for (ptrdiff_t i = first; i < last; i += VF)
            va_store_n(y + i, va_load_n(y + i, last - i) + vf_load_n(x + i, last - i), last - i);
    }
}
