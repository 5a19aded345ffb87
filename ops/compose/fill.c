#include "ops/compose/compose.h"

void ae_compose_fill(ae_backend *be) {
#define FILL(name, ...) be->name = ae_##name##_composed;
    AE_COMPOSITE_ROWS(FILL)
    AE_COMPOSITE_SIZES(FILL)
#undef FILL
}
