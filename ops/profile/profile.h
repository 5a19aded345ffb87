#ifndef AE_OPS_PROFILE_PROFILE_H
#define AE_OPS_PROFILE_PROFILE_H
#include "core/probe.h"
#include "ops/backend.h"

/* A backend whose rows are probed: each row runs that of another backend between ae_probe_begin and
 * ae_probe_end and says what it had to do at least, from its sizes. Kernels are not touched, so every backend
 * can be looked at, and results are those of the inner one.
 *
 * Composite rows are entered with the probed table: one that is composed of smaller rows shows them, and what
 * is left to itself is close to nothing; a fused one is an op of its own. */

#define AE_PROFILE_ID(name, ...) AE_OP_##name,
enum { AE_ROWS(AE_PROFILE_ID) AE_PROFILE_N_OPS };
#undef AE_PROFILE_ID

/* The row's name in ae_backend. */
const char *ae_profile_name(int op);
/* Whether the op walks over all parameters once a step, a piece a call: its memory is never in a cache. */
bool ae_profile_sweeps_parameters(int op);

/* `be` becomes the probed table over `of`, which it borrows, for a model that keeps its products in
 * `weights`: memory and weights of either serve both. */
ae_status ae_backend_profile(ae_backend *be, ae_backend *of, ae_weight_type weights);

#endif
