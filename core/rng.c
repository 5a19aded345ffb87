#include "core/rng.h"

#include <assert.h>
#include <math.h>

/* Philox4x32-10: ten rounds of two 32 x 32 -> 64 bit products over a counter of four words. */
typedef struct {
    uint32_t w[4];
} block;

static const uint64_t TURN_53 = (uint64_t)1 << 53;

static block philox(block c, uint64_t key) {
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c.w[0], p1 = (uint64_t)0xCD9E8D57u * c.w[2];
        c = (block){{(uint32_t)(p1 >> 32) ^ c.w[1] ^ k0, (uint32_t)p1, (uint32_t)(p0 >> 32) ^ c.w[3] ^ k1,
                     (uint32_t)p0}};
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return c;
}

static block next_block(ae_rng *r) {
    uint64_t k = r->counter++;
    return philox(
        (block){{(uint32_t)k, (uint32_t)(k >> 32), (uint32_t)r->stream, (uint32_t)(r->stream >> 32)}},
        r->seed);
}

static uint64_t low64(block b) {
    return b.w[0] | (uint64_t)b.w[1] << 32;
}

static uint64_t high64(block b) {
    return b.w[2] | (uint64_t)b.w[3] << 32;
}

ae_rng ae_rng_make(uint64_t seed, uint64_t stream) {
    return (ae_rng){.seed = seed, .stream = stream};
}

void ae_rng_words(ae_rng *r, uint32_t words[4]) {
    block b = next_block(r);
    for (int i = 0; i < 4; i++) words[i] = b.w[i];
}

uint32_t ae_rng_u32(ae_rng *r) {
    return next_block(r).w[0];
}

uint64_t ae_rng_u64(ae_rng *r) {
    return low64(next_block(r));
}

double ae_rng_uniform(ae_rng *r) {
    return (double)(ae_rng_u64(r) >> 11) / (double)TURN_53;
}

/* The high word of a 128-bit product, with the few low words refused that would favour some values (Lemire 2019). */
uint64_t ae_rng_below(ae_rng *r, uint64_t n) {
    assert(n > 0);
    uint64_t refused_below = (0 - n) % n;
    for (;;) {
        __extension__ typedef unsigned __int128 wide;
        wide product = (wide)ae_rng_u64(r) * n;
        if ((uint64_t)product >= refused_below) return (uint64_t)(product >> 64);
    }
}

/* Box and Muller; one block holds both uniforms, so that every normal costs one counter. */
double ae_rng_normal(ae_rng *r) {
    block b = next_block(r);
    double radius = (double)((low64(b) >> 11) + 1) / (double)TURN_53; /* (0, 1] */
    double turn = (double)(high64(b) >> 11) / (double)TURN_53;
    return sqrt(-2.0 * log(radius)) * cos(6.283185307179586476925 * turn);
}

/* FNV-1a over the name, then the finaliser of splitmix64. */
uint64_t ae_rng_hash(uint64_t seed, const char *name) {
    uint64_t h = 0xCBF29CE484222325u ^ seed;
    for (const char *c = name; *c != '\0'; c++) h = (h ^ (unsigned char)*c) * 0x100000001B3u;
    h = (h ^ (h >> 30)) * 0xBF58476D1CE4E5B9u;
    h = (h ^ (h >> 27)) * 0x94D049BB133111EBu;
    return h ^ (h >> 31);
}

/* The top bit of the second word keeps these counters apart from those of the sequence above. */
static uint32_t feistel_word(uint64_t seed, uint64_t stream, uint32_t round, uint32_t right) {
    block c = {{right, 0x80000000u | round, (uint32_t)stream, (uint32_t)(stream >> 32)}};
    return philox(c, seed).w[0];
}

static int half_bits(uint64_t n) {
    int bits = 1;
    while (bits < 64 && ((n - 1) >> bits) != 0) bits++;
    return (bits + 1) / 2;
}

uint64_t ae_rng_permute(uint64_t seed, uint64_t stream, uint64_t n, uint64_t index) {
    enum { ROUNDS = 8 };
    assert(index < n);
    int half = half_bits(n);
    uint64_t mask = ((uint64_t)1 << half) - 1, x = index;
    do {
        uint64_t left = x >> half, right = x & mask;
        for (uint32_t round = 0; round < ROUNDS; round++) {
            uint64_t mixed = left ^ (feistel_word(seed, stream, round, (uint32_t)right) & mask);
            left = right;
            right = mixed;
        }
        x = left << half | right;
    } while (x >= n);
    return x;
}
