#include "benchmark/python_random.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>

enum { N = 624, M = 397 };

/* Matsumoto's init_genrand. */
static void fill_state(ae_python_random *r, uint32_t seed) {
    r->state[0] = seed;
    for (uint32_t i = 1; i < N; i++)
        r->state[i] = 1812433253u * (r->state[i - 1] ^ (r->state[i - 1] >> 30)) + i;
    r->next = N;
}

static uint32_t mixed(const ae_python_random *r, int i, uint32_t factor) {
    const uint32_t before = r->state[i - 1];
    return r->state[i] ^ ((before ^ (before >> 30)) * factor);
}

/* init_by_array with the one word that a seed below 2^32 is. */
void ae_python_random_seed(ae_python_random *r, uint32_t seed) {
    int i = 1;
    fill_state(r, 19650218u);
    for (int k = 0; k < N; k++) {
        r->state[i] = mixed(r, i, 1664525u) + seed;
        if (++i == N) {
            r->state[0] = r->state[N - 1];
            i = 1;
        }
    }
    for (int k = 0; k < N - 1; k++) {
        r->state[i] = mixed(r, i, 1566083941u) - (uint32_t)i;
        if (++i == N) {
            r->state[0] = r->state[N - 1];
            i = 1;
        }
    }
    r->state[0] = 0x80000000u;
}

static void twist(ae_python_random *r) {
    for (int i = 0; i < N; i++) {
        const uint32_t y = (r->state[i] & 0x80000000u) | (r->state[(i + 1) % N] & 0x7fffffffu);
        r->state[i] = r->state[(i + M) % N] ^ (y >> 1) ^ ((y & 1u) != 0 ? 0x9908b0dfu : 0u);
    }
    r->next = 0;
}

uint32_t ae_python_random_bits(ae_python_random *r) {
    if (r->next == N) twist(r);
    uint32_t y = r->state[r->next++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

/* A whole number below n: as many leading bits as n has, again until they are below it. */
static size_t below(ae_python_random *r, size_t n) {
    int bits = 0;
    assert(n > 0 && n < UINT32_MAX);
    while (bits < 32 && (n >> bits) != 0) bits++;
    for (;;) {
        const uint32_t x = ae_python_random_bits(r) >> (32 - bits);
        if (x < n) return x;
    }
}

static bool is_among(size_t x, const size_t *places, size_t k) {
    for (size_t i = 0; i < k; i++)
        if (places[i] == x) return true;
    return false;
}

/* Python draws from a shrinking pool where n is small, and else again whenever a place comes twice: `limit` is what it
 * takes for the size of a set of k. */
void ae_python_random_sample(ae_python_random *r, size_t n, size_t k, size_t *places, size_t *scratch) {
    double limit = 21;
    assert(k <= n);
    if (k > 5) limit += pow(4, ceil(log((double)k * 3) / log(4)));
    if ((double)n <= limit) {
        for (size_t i = 0; i < n; i++) scratch[i] = i;
        for (size_t i = 0; i < k; i++) {
            const size_t j = below(r, n - i);
            places[i] = scratch[j];
            scratch[j] = scratch[n - i - 1];
        }
        return;
    }
    for (size_t i = 0; i < k; i++) {
        do places[i] = below(r, n);
        while (is_among(places[i], places, i));
    }
}
