#include "ops/cpu/table.h"

void AE_ROW_NAME(ae_cpu_fill)(ae_backend *be) {
#define FILL(name, ...) be->name = AE_ROW_NAME(ae_cpu_##name);
    AE_OP_ROWS(FILL)
    AE_OP_SIZES(FILL)
#undef FILL
}
