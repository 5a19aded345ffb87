#ifndef AE_TESTS_DAMAGE_LOOKS_H
#define AE_TESTS_DAMAGE_LOOKS_H
#include "core/status.h"
#include "tests/damage/mutate.h"

#include <stdint.h>

/* Opens what lies at `path` the way the program does, reads all of it, and sums it up in `digest`. Where the bytes carry no checksum it
 * reads them a second time by means of its own, and *wrong says what differs from that (NULL: nothing). */
typedef ae_status look(const char *path, const content *bytes, uint64_t *digest, const char **wrong);

look look_run, look_token_set, look_hf, look_h5, look_tokenizer, look_yaml, look_state, look_model_json,
    look_metrics;

/* aerie inspect of the same: AE_OK, and how many faults it finds. */
ae_status inspect_folder_hf(const char *path, size_t *faults);
ae_status inspect_run(const char *path, size_t *faults);
ae_status inspect_token_set(const char *path, size_t *faults);
ae_status inspect_tensors(const char *path, size_t *faults);
ae_status inspect_tokenizer(const char *path, size_t *faults);

#endif
