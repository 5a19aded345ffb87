#include "ops/cpu/gemm.h"

#include "core/machine.h"
#include "core/probe.h"
#include "ops/cpu/blocked.h"
#include "ops/cpu/gemm_bf16.h"
#include "ops/cpu/gemm_f32.h"
#include "ops/cpu/memory.h"
#include "ops/cpu/object.h"
#include "ops/cpu/panels.h"
#include "ops/cpu/team.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Tall tiles amortise packing; small products are cut finer so that every thread has work. */
enum { TILE_N = 1024, TILE_M_MIN = 128, TILE_N_MIN = 192, TILES_WANTED = 4, TILES_MANY = 16, MANY_MAX = 4 };
/* B is packed once for all tiles where that takes no more floats than so many, else by each tile for itself. */
enum { SHARED_FLOATS = 4 << 20, HUGE_PAGE = 2 << 20 };

/* ---- engines ---- */

/* Of each thread, whatever the backends that it calls. */
static pthread_key_t tile_room, shared_room, turned_room, part_room;
static pthread_once_t once = PTHREAD_ONCE_INIT;

ae_products ae_products_pick(void) {
    const char *asked = getenv("AERIE_PRODUCTS");
    const bool can = ae_machine_has_bf16() && ae_isa_pick() >= AE_ISA_AVX512;
    if (asked && strcmp(asked, "bf16") == 0 && can) return AE_PRODUCTS_BF16;
    if (asked && strcmp(asked, "f32") == 0) return AE_PRODUCTS_F32;
    const bool fast = ae_isa_pick() == AE_ISA_AMX || (can && ae_machine_has_fast_bf16());
    return fast ? AE_PRODUCTS_BF16 : AE_PRODUCTS_F32;
}

const char *ae_products_name(ae_products p) {
    return p == AE_PRODUCTS_BF16 ? "bf16" : "f32";
}

static void make_keys(void) {
    pthread_key_t *const keys[] = {&tile_room, &shared_room, &turned_room, &part_room};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (pthread_key_create(keys[i], free) != 0) abort();
}

/* Scratch of this thread, kept from call to call: | its floats, in a line of their own | the floats |. NULL: none is to be had, which the backend
 * tells (ops/cpu/memory.h). */
static float *room_of(const ae_backend *be, pthread_key_t key, ptrdiff_t floats) {
    enum { HEADER = 64 };
    char *room = pthread_getspecific(key);
    if (room && *(ptrdiff_t *)(void *)room >= floats) return (float *)(void *)(room + HEADER);
    free(room);
    (void)pthread_setspecific(key, NULL); /* what has a place keeps it */
    const size_t bytes = (size_t)floats * sizeof(float) + HEADER,
                 padded = (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    room = ae_cpu_room(be, HUGE_PAGE, padded);
    if (room && pthread_setspecific(key, room) != 0) {
        free(room);
        room = NULL;
        ae_cpu_note_failure(be, padded);
    }
    if (!room) return NULL;
    (void)madvise(room, padded, MADV_HUGEPAGE); /* advice: without it only slower */
    *(ptrdiff_t *)(void *)room = (ptrdiff_t)((padded - HEADER) / sizeof(float));
    return (float *)(void *)(room + HEADER);
}

/* The library takes products of one type, ours those that mix types or have panels, and narrow ones (gates), for which it is slow. */
enum { NARROW_N = 128, NARROW_K = 384 };
typedef enum { LIBRARY_F32, LIBRARY_BF16, OWN } engine;

static engine engine_of(const ae_backend *be, const ae_gemm_args *g) {
    const bool bf16 = g->a.type == AE_ELEM_BF16;
    if (g->own || g->b.weight || g->b.type != g->a.type || g->k <= 0) return OWN;
    const bool narrow = g->n <= NARROW_N && g->k <= NARROW_K && !g->a.trans;
    const bool turned = (g->a.trans || !g->b.trans) && ae_cpu_of(be)->kernels->turns_faster;
    if (!bf16) return g->c_type == AE_ELEM_F32 && !narrow && !turned ? LIBRARY_F32 : OWN;
    return ae_cpu_of(be)->products == AE_PRODUCTS_BF16 ? LIBRARY_BF16 : OWN;
}

static void product(const ae_backend *be, const ae_gemm_args *g, const float *packed) {
    if (g->m <= 0 || g->n <= 0) return;
    const engine e = engine_of(be, g);
    const int64_t part = ae_probe_part_begin();
    const bool done = e == LIBRARY_BF16 ? ae_gemm_bf16(be, g) : e == LIBRARY_F32 && ae_gemm_f32(be, g);
    float *room = done ? NULL : room_of(be, tile_room, ae_cpu_of(be)->kernels->room(g->m, g->n));
    if (room) ae_cpu_of(be)->kernels->product(g, packed, room);
    ae_probe_part_end(part);
}

/* ---- cutting ---- */

/* With ours and with tiles of AMX the rows of A stay in the second-level cache. The library's bfloat16 kernels copy nothing where B is
 * blocked, so tiles of few rows cost nothing, and many threads find work; but they want whole rows of C. */
static const ptrdiff_t tile_rows[] = {[LIBRARY_F32] = 1024, [LIBRARY_BF16] = 256, [OWN] = 512};
enum { OWN_ROWS_MIN = 96 };
enum {
    BLOCKED_TILE_M_MIN = 32,
    BLOCKED_TILE_N_MIN = 256,
    BLOCKED_TILES_WANTED = 8,
    NEAR_ELEMENTS = 1 << 20,
    NEAR_ROWS = 64
};

typedef struct {
    ae_gemm_args g;
    ptrdiff_t rows, cols, tiles_m, tiles; /* of a tile; tiles down, and in all */
    ptrdiff_t panels, panel_floats;       /* of B packed once for all tiles; else 0 */
    float *packed;
} job;

static ptrdiff_t round_up(ptrdiff_t n, ptrdiff_t to) {
    return ae_ceil_div(n, to) * to;
}

/* A B that stays in the second-level cache may be read for few rows at a time. Columns are cut, at the price of a copy, where there are
 * not enough rows. */
static void cut_blocked(job *w) {
    w->cols = w->g.n;
    if (w->g.k * w->g.n <= NEAR_ELEMENTS) w->rows = NEAR_ROWS;
    while (ae_ceil_div(w->g.m, w->rows) < BLOCKED_TILES_WANTED && w->rows > BLOCKED_TILE_M_MIN) w->rows /= 2;
    const ptrdiff_t down = ae_ceil_div(w->g.m, w->rows);
    while (down * ae_ceil_div(w->g.n, w->cols) < BLOCKED_TILES_WANTED && w->cols > BLOCKED_TILE_N_MIN)
        w->cols /= 2;
}

/* Tiles of one size, so many that no thread of two or four waits for another with its last one. */
static void cut(job *w) {
    ptrdiff_t down = ae_ceil_div(w->g.m, w->rows), across = ae_ceil_div(w->g.n, TILE_N);
    while (down * across < TILES_MANY && (down * across) % TILES_WANTED != 0) {
        if (ae_ceil_div(w->g.m, down + 1) >= TILE_M_MIN)
            down++;
        else if (ae_ceil_div(w->g.n, across + 1) >= TILE_N_MIN)
            across++;
        else
            break;
    }
    w->rows = ae_ceil_div(w->g.m, down);
    w->cols = ae_ceil_div(w->g.n, across);
}

/* Rows of A, as deep as they are packed, take half of the second-level cache at most. */
static ptrdiff_t own_rows(const ae_backend *be) {
    const ptrdiff_t row = ae_cpu_of(be)->kernels->depth * (ptrdiff_t)sizeof(float),
                    fit = (ptrdiff_t)ae_machine_l2_bytes() / 2 / row;
    return ae_max(OWN_ROWS_MIN, ae_min(tile_rows[OWN], fit));
}

static job job_of(const ae_backend *be, const ae_gemm_args *g) {
    const engine e = engine_of(be, g);
    const bool whole_rows = e == LIBRARY_BF16 && g->b.blocked;
    job w = {.g = *g, .rows = e == OWN ? own_rows(be) : tile_rows[e]};
    if (g->m <= 0 || g->n <= 0) return w;
    (whole_rows ? cut_blocked : cut)(&w);
    w.rows =
        round_up(ae_ceil_div(g->m, ae_ceil_div(g->m, w.rows)), e == OWN ? ae_cpu_of(be)->kernels->rows : 16);
    w.cols = round_up(ae_ceil_div(g->n, ae_ceil_div(g->n, w.cols)),
                      g->b.blocked ? AE_BLOCKED_COLS : AE_PRODUCT_COLS);
    w.tiles_m = ae_ceil_div(g->m, w.rows);
    w.tiles = w.tiles_m * ae_ceil_div(g->n, w.cols);
    if (w.tiles_m > 1 && e == OWN) {
        w.panels = ae_ceil_div(g->n, AE_PRODUCT_COLS);
        w.panel_floats = ae_cpu_of(be)->kernels->packed(g->k);
    }
    return w;
}

static ptrdiff_t bytes_of(ae_elem_type type) {
    return (ptrdiff_t)(type == AE_ELEM_BF16 ? sizeof(uint16_t) : sizeof(float));
}

/* op(X) from row i and column j on; of a blocked B from its first row on. */
static ae_gemm_operand part_of(ae_gemm_operand x, ptrdiff_t i, ptrdiff_t j) {
    if (x.weight) {
        x.first += x.trans ? j : i;
        x.col += x.trans ? i : j;
        return x;
    }
    if (x.blocked)
        x.at = (const uint16_t *)x.at + j * x.ld;
    else
        x.at = (const char *)x.at + (x.trans ? j * x.ld + i : i * x.ld + j) * bytes_of(x.type);
    return x;
}

static void tile(const ae_backend *be, const job *w, ptrdiff_t index) {
    const ptrdiff_t i = index % w->tiles_m * w->rows, j = index / w->tiles_m * w->cols;
    ae_gemm_args s = w->g;
    s.m = ae_min(w->rows, s.m - i);
    s.n = ae_min(w->cols, s.n - j);
    s.a = part_of(s.a, i, 0);
    s.b = part_of(s.b, 0, j);
    s.c = (char *)s.c + (i * s.ldc + j) * bytes_of(s.c_type);
    if (s.bias) s.bias += j;
    if (s.residual) s.residual += i * s.ldc + j;
    product(be, &s, w->packed ? w->packed + j / AE_PRODUCT_COLS * w->panel_floats : NULL);
}

/* ---- running ---- */

static void pack_panel(const ae_backend *be, const job *w, ptrdiff_t panel) {
    const ptrdiff_t col = panel * AE_PRODUCT_COLS;
    float *to = w->packed + panel * w->panel_floats;
    ae_cpu_of(be)->kernels->pack(to, &w->g.b, w->g.k, col, ae_min(AE_PRODUCT_COLS, w->g.n - col));
}

/* Room for what is packed once, if it is worth it. */
static void share(const ae_backend *be, job *w, ptrdiff_t n) {
    ptrdiff_t floats = 0;
    for (ptrdiff_t i = 0; i < n; i++) floats += w[i].panels * w[i].panel_floats;
    float *room = floats > 0 && floats <= SHARED_FLOATS ? room_of(be, shared_room, floats) : NULL;
    for (ptrdiff_t i = 0; i < n; i++) {
        if (!room) w[i].panels = 0;
        if (w[i].panels == 0) continue;
        w[i].packed = room;
        room += w[i].panels * w[i].panel_floats;
    }
}

static ptrdiff_t job_with(const ptrdiff_t *first, ptrdiff_t task) {
    ptrdiff_t i = 0;
    while (task >= first[i + 1]) i++;
    return i;
}

static void run_many(const ae_backend *be, const ae_gemm_args *g, ptrdiff_t n) {
    job w[MANY_MAX];
    ptrdiff_t panels[MANY_MAX + 1] = {0}, tiles[MANY_MAX + 1] = {0};
    for (ptrdiff_t i = 0; i < n; i++) w[i] = job_of(be, &g[i]);
    share(be, w, n);
    for (ptrdiff_t i = 0; i < n; i++) {
        panels[i + 1] = panels[i] + w[i].panels;
        tiles[i + 1] = tiles[i] + w[i].tiles;
    }
#pragma omp parallel num_threads(ae_team(be))
    {
        if (panels[n] > 0) {
#pragma omp for schedule(dynamic)
            for (ptrdiff_t task = 0; task < panels[n]; task++) {
                const ptrdiff_t i = job_with(panels, task);
                pack_panel(be, &w[i], task - panels[i]);
            }
        }
#pragma omp for schedule(dynamic)
        for (ptrdiff_t task = 0; task < tiles[n]; task++) {
            const ptrdiff_t i = job_with(tiles, task);
            tile(be, &w[i], task - tiles[i]);
        }
    }
}

/* ---- gradients of weights in bfloat16 ---- */

/* C += A^T B as the library's kernels like it best: B blocked once for all tiles, a slab of the depth at a time; and each tile's part of A
 * turned by its own thread just before, so that it never leaves the second-level cache. */
enum { TURNED_DEPTH = 2048, TURNED_DEPTH_MIN = 256, TURNED_ROWS = 128, TURNED_MIN = 32, TURN = 32 };
enum { SLAB_ELEMENTS = 8 << 20 };

static bool wants_turning(const ae_backend *be, const ae_gemm_args *g) {
    return engine_of(be, g) == LIBRARY_BF16 && g->a.trans && !g->b.trans && !g->b.blocked && !g->bias &&
           !g->residual && g->c_type == AE_ELEM_F32 && ae_min(ae_min(g->m, g->n), g->k) >= TURNED_MIN &&
           ae_gemm_bf16_takes_blocked();
}

static ptrdiff_t slab_depth(const ae_gemm_args *g) {
    const ptrdiff_t fit = ae_max(TURNED_DEPTH_MIN, SLAB_ELEMENTS / ae_blocked_cols(g->n));
    return ae_blocked_depth(ae_ceil_div(g->k, ae_ceil_div(g->k, ae_min(fit, TURNED_DEPTH))));
}

static ptrdiff_t turned_rows(ptrdiff_t m) {
    ptrdiff_t rows = TURNED_ROWS;
    while (ae_ceil_div(m, rows) < BLOCKED_TILES_WANTED && rows > TURN) rows /= 2;
    return rows;
}

/* Rows [i, i + rows) of A^T, [rows, depth] without gaps; zeros stand beyond the depth of both factors. */
static void turned_tile(const ae_backend *be, const ae_gemm_args *g, const uint16_t *blocked, ptrdiff_t i,
                        ptrdiff_t rows) {
    const ptrdiff_t depth = ae_blocked_depth(g->k);
    uint16_t *a = (uint16_t *)(void *)room_of(be, part_room, depth * rows / 2);
    if (!a) return;
    ae_gemm_args s = *g;
    s.m = ae_min(rows, g->m - i);
    s.k = depth;
    for (ptrdiff_t r = 0; r < s.m; r += TURN)
        ae_turn_bf16(a + r * depth, depth, (const uint16_t *)g->a.at + i + r, g->a.ld, g->k,
                     ae_min(TURN, s.m - r));
    s.a = ae_operand(AE_ELEM_BF16, a, depth, false);
    s.b = ae_blocked_operand(blocked, depth);
    s.c = (float *)g->c + i * g->ldc;
    product(be, &s, NULL);
}

static void run_slab(const ae_backend *be, const ae_gemm_args *g, uint16_t *blocked) {
    const ptrdiff_t depth = ae_blocked_depth(g->k), rows = turned_rows(g->m);
#pragma omp parallel num_threads(ae_team(be))
    {
#pragma omp for schedule(dynamic)
        for (ptrdiff_t j = 0; j < g->n; j += AE_BLOCKED_COLS)
            ae_blocked_pack(blocked + j * depth, &g->b, g->k, j, ae_min(AE_BLOCKED_COLS, g->n - j));
#pragma omp for schedule(dynamic)
        for (ptrdiff_t i = 0; i < g->m; i += rows) turned_tile(be, g, blocked, i, rows);
    }
}

static void run_turned(const ae_backend *be, const ae_gemm_args *g) {
    const ptrdiff_t depth = slab_depth(g);
    uint16_t *blocked = (uint16_t *)(void *)room_of(be, turned_room, depth * ae_blocked_cols(g->n) / 2);
    if (!blocked) return;
    for (ptrdiff_t p = 0; p < g->k; p += depth) {
        ae_gemm_args s = *g;
        s.k = ae_min(depth, g->k - p);
        s.a.at = (const uint16_t *)g->a.at + p * g->a.ld;
        s.b.at = (const uint16_t *)g->b.at + p * g->b.ld;
        if (p > 0) s.beta = 1;
        run_slab(be, &s, blocked);
    }
}

/* ---- compact weights ---- */

/* Panels become what the library takes, some columns of B at a time and once for all rows: in bfloat16 blocked, else in float32. B is
 * W^T in forward (trans), and W for the gradient of the input. */
enum { UNPACKED_FLOATS = 4 << 20, PITCH = 16, UNPACKED_ROWS = 64, UNPACKED_DEPTH = 1024 };
_Static_assert(UNPACKED_DEPTH % AE_BLOCKED_DEPTH == 0, "depths that are blocked one after the other");

/* op(B) in float32, [k, n] from row `i` and column `j` of it on: to[p * ld + c]. */
static void unpack(float *to, ptrdiff_t ld, const ae_gemm_operand *b, ptrdiff_t i, ptrdiff_t k, ptrdiff_t j,
                   ptrdiff_t n) {
    if (b->trans)
        ae_cpu_panels_unpack(to, ld, b->weight, b->first + j, n, b->col + i, k);
    else
        ae_cpu_panels_unpack_rows(to, ld, b->weight, b->first + i, k, b->col + j, n);
}

/* Bfloat16 panels are W^T as it is blocked. */
static void copy_pairs(const ae_gemm_args *g, uint16_t *panel, ptrdiff_t j, ptrdiff_t cols) {
    const ptrdiff_t each = ae_blocked_depth(g->k) * AE_BLOCKED_COLS;
    if (cols % AE_BLOCKED_COLS || g->k % AE_BLOCKED_DEPTH) memset(panel, 0, (size_t)each * sizeof *panel);
    ae_cpu_panels_pairs(panel, 2 * AE_BLOCKED_COLS, g->b.weight, g->b.first + j, cols);
}

static void unpack_blocked(const ae_backend *be, const ae_gemm_args *g, uint16_t *to) {
    const ptrdiff_t depth = ae_blocked_depth(g->k);
#pragma omp parallel for num_threads(ae_team(be))
    for (ptrdiff_t j = 0; j < g->n; j += AE_BLOCKED_COLS) {
        const ptrdiff_t cols = ae_min(AE_BLOCKED_COLS, g->n - j);
        uint16_t *panel = to + j * depth;
        if (g->b.trans && g->b.weight->type == AE_WEIGHT_BF16) {
            copy_pairs(g, panel, j, cols);
            continue;
        }
        float *wide = room_of(be, tile_room, UNPACKED_DEPTH * AE_BLOCKED_COLS);
        for (ptrdiff_t p = 0; p < g->k && wide; p += UNPACKED_DEPTH) {
            const ptrdiff_t k = ae_min(UNPACKED_DEPTH, g->k - p);
            const ae_gemm_operand b = ae_operand(AE_ELEM_F32, wide, AE_BLOCKED_COLS, false);
            unpack(wide, AE_BLOCKED_COLS, &g->b, p, k, j, cols);
            ae_blocked_pack(panel + p * AE_BLOCKED_COLS, &b, k, 0, cols);
        }
    }
}

/* Cut along the rows of the weight, which its panels hold together. */
static void unpack_plain(const ae_backend *be, const ae_gemm_args *g, float *to, ptrdiff_t ld) {
    const ptrdiff_t rows = g->b.trans ? g->n : g->k;
#pragma omp parallel for num_threads(ae_team(be))
    for (ptrdiff_t r = 0; r < rows; r += UNPACKED_ROWS) {
        const ptrdiff_t n = ae_min(UNPACKED_ROWS, rows - r);
        if (g->b.trans)
            unpack(to + r, ld, &g->b, 0, g->k, r, n);
        else
            unpack(to + r * ld, ld, &g->b, r, n, 0, g->n);
    }
}

static bool blocks_panels(const ae_backend *be, const ae_gemm_args *g) {
    return g->a.type == AE_ELEM_BF16 && ae_cpu_of(be)->products == AE_PRODUCTS_BF16 &&
           ae_gemm_bf16_takes_blocked();
}

/* Gates' blocks are small: their products unpack for themselves. */
static bool wants_unpacking(const ae_gemm_args *g) {
    return g->b.weight && g->b.weight->parts == 0 && g->m > 0;
}

static void run_unpacked(const ae_backend *be, const ae_gemm_args *g) {
    const bool blocked = blocks_panels(be, g);
    const ptrdiff_t k = blocked ? ae_blocked_depth(g->k) / 2 : g->k,
                    fit = ae_max(1, (UNPACKED_FLOATS / k - PITCH) / AE_BLOCKED_COLS) * AE_BLOCKED_COLS,
                    cols = ae_min(fit, ae_blocked_cols(g->n));
    float *room = room_of(be, turned_room, k * (cols + PITCH));
    if (!room) return;
    for (ptrdiff_t j = 0; j < g->n; j += cols) {
        ae_gemm_args s = *g;
        s.n = ae_min(cols, g->n - j);
        s.b = part_of(g->b, 0, j);
        s.c = (char *)g->c + j * bytes_of(g->c_type);
        if (s.bias) s.bias += j;
        if (s.residual) s.residual += j;
        if (blocked)
            unpack_blocked(be, &s, (uint16_t *)(void *)room);
        else
            unpack_plain(be, &s, room, cols + PITCH);
        s.b = blocked ? ae_blocked_operand((const uint16_t *)(const void *)room, g->k)
                      : ae_operand(AE_ELEM_F32, room, cols + PITCH, false);
        run_many(be, &s, 1);
    }
}

/* ---- weights that are blocked at use ---- */

static void run_rounded(const ae_backend *be, const ae_gemm_args *g) {
    const ptrdiff_t depth = ae_blocked_depth(g->k);
    float *room = room_of(be, turned_room, depth * ae_blocked_cols(g->n) / 2);
    if (!room) return;
    uint16_t *blocked = (uint16_t *)(void *)room;
#pragma omp parallel for schedule(dynamic) num_threads(ae_team(be))
    for (ptrdiff_t j = 0; j < g->n; j += AE_BLOCKED_COLS)
        ae_blocked_pack(blocked + j * depth, &g->b, g->k, j, ae_min(AE_BLOCKED_COLS, g->n - j));
    ae_gemm_args s = *g;
    s.b = ae_blocked_operand(blocked, g->k);
    run_many(be, &s, 1);
}

/* ---- the door ---- */

void ae_gemm_many(const ae_backend *be, const ae_gemm_args *g, ptrdiff_t n) {
    assert(n <= MANY_MAX);
    (void)pthread_once(&once, make_keys);
    ae_gemm_args rest[MANY_MAX];
    ptrdiff_t others = 0;
    for (ptrdiff_t i = 0; i < n; i++) {
        if (g[i].b.rounded)
            run_rounded(be, &g[i]);
        else if (wants_turning(be, &g[i]))
            run_turned(be, &g[i]);
        else if (wants_unpacking(&g[i]))
            run_unpacked(be, &g[i]);
        else
            rest[others++] = g[i];
    }
    if (others > 0) run_many(be, rest, others);
}

void ae_gemm(const ae_backend *be, const ae_gemm_args *g) {
    ae_gemm_many(be, g, 1);
}

void ae_gemm_serial(const ae_backend *be, const ae_gemm_args *g) {
    assert(!g->b.rounded);
    (void)pthread_once(&once, make_keys);
    product(be, g, NULL);
}
