#ifndef AE_MODEL_CONFIG_CHECK_H
#define AE_MODEL_CONFIG_CHECK_H
#include "model/config.h"

/* What the fields are called where the sizes came from, so that a message names what the user can change. */
typedef struct {
    const char *V, *D, *C, *E, *N, *G, *H, *W, *K, *blocks, *rope_theta, *rope_share, *norm_eps, *soft_cap;
} ae_size_names;

/* Every size in its range and every division exact: AE_ERR_INPUT with "where: field: expected, found". */
ae_status ae_model_config_check_named(const ae_model_config *c, const char *where, const ae_size_names *f);

/* What a size may be: memory and 32-bit tokens set the bounds, and products of them stay below 2^63. */
enum { AE_WIDTH_MAX = 1 << 20, AE_TAPS_MAX = 64, AE_WINDOW_MAX = 1 << 30 };

#endif
