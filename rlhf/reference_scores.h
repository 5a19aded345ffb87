#ifndef AE_RLHF_REFERENCE_SCORES_H
#define AE_RLHF_REFERENCE_SCORES_H
#include "data/pairs.h"
#include "exchange/source.h"
#include "model/fingerprint.h"
#include "rlhf/preference_step.h"

/* What a frozen reference gives to the pairs of a run, scored once and kept in the run's folder:
 *
 *   RUN/reference.h5   attribute "reference": JSON text, what the scores were made with
 *                      /ROLE-HASH, float64: log-probabilities of chosen and rejected answer of each usable pair
 *                      of a token set, one pair after the other; NaN: not scored yet. ROLE: train-1, train-2, ..., heldout; HASH: of the
 *                      set and of which of its pairs are usable
 *
 * The file is written aside, synced and renamed. */

extern const char ae_reference_file[];

/* The usable pairs of a token set. */
typedef struct {
    const ae_pair_set *set; /* borrowed */
    ae_pair_scores *scores; /* [set->count.pairs]; NaN where not scored yet */
    char name[48];          /* ROLE-HASH */
} ae_reference_part;

ae_status ae_reference_part_init(ae_reference_part *p, const ae_pair_set *set, const char *role);
void ae_reference_part_free(ae_reference_part *p);
bool ae_reference_is_scored(const ae_reference_part *p, int64_t pair);
/* Pairs without scores. */
int64_t ae_reference_missing(const ae_reference_part *p);

/* Reads the scores of parts that the file has and that were made with the same; the others stay as they are. A file
 * that is not there, or cannot be read, which gives a warning, has none. */
ae_status ae_reference_read(const char *path, const char *made_with, ae_reference_part *parts, size_t n);
ae_status ae_reference_write(const char *path, const char *made_with, const ae_reference_part *parts,
                             size_t n);

/* By which a reference is known: fingerprint and sample of the base (model/fingerprint.h), and the CRC-32 of the
 * adapter's file, "" where there is none: "0123456789abcdef-0123456789abcdef-01234567". Reads some weights of the
 * base. `adapter` may be NULL. */
enum { AE_REFERENCE_IDENTITY_BYTES = 2 * AE_FINGERPRINT_BYTES + 16 };
ae_status ae_reference_identity(char out[AE_REFERENCE_IDENTITY_BYTES], const ae_model_source *base,
                                const char *adapter);

#endif
