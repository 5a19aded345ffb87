#ifndef AE_OPS_COMPOSE_COMPOSE_H
#define AE_OPS_COMPOSE_COMPOSE_H
#include "ops/backend.h"

/* The composite rows of ops/blocks.h, made of the backend's smaller rows: what a backend without fused
 * kernels uses, and what fused kernels are held against. No element is read here. */
#define AE_COMPOSED(name, parameters, ...)       void ae_##name##_composed parameters;
#define AE_COMPOSED_BYTES(name, parameters, ...) size_t ae_##name##_composed parameters;
AE_COMPOSITE_ROWS(AE_COMPOSED)
AE_COMPOSITE_SIZES(AE_COMPOSED_BYTES)
#undef AE_COMPOSED
#undef AE_COMPOSED_BYTES

/* Puts all of them into a table. */
void ae_compose_fill(ae_backend *be);

#endif
