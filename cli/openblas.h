#ifndef AE_CLI_OPENBLAS_H
#define AE_CLI_OPENBLAS_H
#include "core/status.h"

#include <cblas.h>

/* OpenBLAS, a yardstick and nothing more: products of the model go elsewhere. So it is loaded when it is
 * asked for. At its start it asks for 128 MiB of address space a thread, which a limit (ulimit -v) can
 * refuse; it would then ask again for ever, before main if it were linked. */
typedef struct {
    __typeof__(cblas_sgemm) *sgemm;
    __typeof__(openblas_get_num_threads) *get_num_threads;
    __typeof__(openblas_set_num_threads) *set_num_threads;
    __typeof__(openblas_get_config) *get_config;
    __typeof__(openblas_get_corename) *get_corename;
} ae_openblas;

/* Loaded once, for the process. AE_ERR_RESOURCE when the library is not there or the address space is limited
 * to less than it wants. From any thread. */
ae_status ae_openblas_load(const ae_openblas **library);

#endif
