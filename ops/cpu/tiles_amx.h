#ifndef AE_OPS_CPU_TILES_AMX_H
#define AE_OPS_CPU_TILES_AMX_H
#include <immintrin.h>
#include <stdint.h>

/* Tiles (AMX): registers of up to 16 rows of up to 64 bytes. C [16, 16] in 32 bits += A B, where A has 16 rows of inputs and B rows of
 * 16 outputs times the inputs of 32 bits. */
enum { AE_TILE_ROWS = 16, AE_TILE_BYTES = 1024, AE_TILE_LINE = 64, AE_TILES_MAX = 4 };

typedef struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} ae_tile_shapes;

/* Eight whole registers. */
static inline ae_tile_shapes ae_tile_shapes_whole(void) {
    ae_tile_shapes s = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        s.row_bytes[i] = AE_TILE_LINE;
        s.rows[i] = AE_TILE_ROWS;
    }
    return s;
}

/* Until _tile_release. */
static inline void ae_tile_take(const ae_tile_shapes *shapes) {
    _Alignas(64) ae_tile_shapes s = *shapes;
    /* GCC 12 takes _tile_loadconfig for a read of 8 bytes, and would leave out the rest of the table. */
    __asm__ volatile("" : : "r"(&s) : "memory");
    _tile_loadconfig(&s);
}

/* GCC 12 does not see what _tile_stored writes. */
#define AE_TILE_STORED(to) __asm__ volatile("" : : "r"(to) : "memory")

#endif
