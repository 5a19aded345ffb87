#ifndef AE_OPS_TYPES_H
#define AE_OPS_TYPES_H
#include "core/arena.h"
#include "core/dims.h"

/* Memory of a device, never read by the host: pointers of types that are never defined, so that model, optim
 * and rlhf cannot touch an element. Bytes travel by upload and download. */
typedef struct ae_act ae_act; /* activations, in the storage type of the backend */
typedef struct ae_f32
    ae_f32; /* float32: parameters, gradients, optimiser, residual stream, states, statistics */
typedef struct ae_weight ae_weight; /* a matrix of parameters in the form the products want */
typedef struct ae_i32 ae_i32;       /* int32: tokens, targets, positions */
typedef struct ae_f64 ae_f64;       /* float64: sums over whole tensors */
typedef struct ae_moment ae_moment; /* running means of the optimiser, in a storage type of their own */

/* The table of rows that an op is called by (ops/backend.h). */
typedef struct ae_backend ae_backend;

/* Storage type of activations, and of the compact forms of weights. */
typedef enum { AE_DTYPE_F32, AE_DTYPE_BF16 } ae_dtype;
typedef enum { AE_WEIGHT_F32, AE_WEIGHT_BF16, AE_WEIGHT_INT8, AE_WEIGHT_INT4 } ae_weight_type;

/* "f32", "bf16", "int8", "int4": as flags, keys and files say it. */
static inline const char *ae_weight_type_name(ae_weight_type type) {
    static const char *const names[] = {"f32", "bf16", "int8", "int4"};
    return names[type];
}

/* A compact weight. parts > 0: the gates' square blocks [in, out], rows = parts * cols; else a matrix [rows,
 * cols]. */
typedef struct {
    ae_weight_type type; /* not F32 */
    ptrdiff_t rows, cols, parts;
    ptrdiff_t group; /* integers: inputs that share a scale, a multiple of 8 up to 256 */
} ae_weight_shape;

/* The group of compact integers where none is asked for (0). */
static inline ptrdiff_t ae_weight_group(ae_weight_type type, ptrdiff_t group) {
    return group > 0 ? group : type == AE_WEIGHT_INT8 ? 128 : 64;
}

/* The header of an op gives each of its rows as a macro, so that its signature is written once:
 *     ROW(name, (parameters), (arguments), work)
 * calls it as be->name(be, ...). `work` says what the row has to do at least (ops/profile/work.h), with `t`
 * for the sizes of types. ops/rows.h lists the macros, and the tables of all backends are made from that
 * list.
 *
 * One rule for all ops: the backend comes first, then outputs, inputs, sizes. Gradients of parameters
 * accumulate, gradients of activations overwrite; a parameter gradient that is NULL is not computed. Nothing
 * overlaps unless a header says so.
 *
 * positions[m] counts from 0 inside each document; a 0 starts a document, and documents lie side by side in a
 * row. */

/* Documents and forks. Each token has a predecessor, by the positions [B, T] of the batch:
 *
 *   position 0                                   none: a document begins
 *   positions[t] = positions[t-1] + 1            place t-1
 *   otherwise place t is a *fork*                the token of its document at position positions[t] - 1
 *
 * The first place of a row is never a fork. So one row may hold a prompt once, as the document's *trunk*, and
 * the answers to it as *continuations*, which do not see each other:
 *
 *   token      p0 p1 p2 a0 a1 a2 b0 b1        positions   0  1  2  3  4  5  3  4
 *
 * All forks of a document are at one position, and it begins in the row: a document that goes on from a state
 * has none. No row goes on from a state after a forked document. Ops that mix tokens (conv, rglru, attention) add the gradients of all
 * continuations to the trunk's; to all others a place is a place. */

#endif
