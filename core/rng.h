#ifndef AE_CORE_RNG_H
#define AE_CORE_RNG_H
#include <stddef.h>
#include <stdint.h>

/* Counter-based random numbers: value k of stream s under a seed is a pure function of (seed, s, k), so any
 * part of a sequence can be made by any thread, and a state is three integers. The mixer is Philox4x32-10
 * (Salmon et al. 2011). */

typedef struct {
    uint64_t seed, stream, counter;
} ae_rng;

ae_rng ae_rng_make(uint64_t seed, uint64_t stream);
void ae_rng_words(ae_rng *r,
                  uint32_t words[4]); /* all bits of one counter; the others below use some of them */
uint32_t ae_rng_u32(ae_rng *r);
uint64_t ae_rng_u64(ae_rng *r);
double ae_rng_uniform(ae_rng *r);                      /* [0, 1), 53 bits */
uint64_t ae_rng_below(ae_rng *r, uint64_t n);          /* [0, n), unbiased */
double ae_rng_normal(ae_rng *r);                       /* mean 0, std 1 */
uint64_t ae_rng_hash(uint64_t seed, const char *name); /* a stream number from a name */

/* A permutation of [0, n) as a function: position -> value, in O(1) memory (a Feistel network walked until in
 * range). */
uint64_t ae_rng_permute(uint64_t seed, uint64_t stream, uint64_t n, uint64_t index);

#endif
