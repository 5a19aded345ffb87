#include "model/config.h"

/* Blocks of a preset, written out so that the table stays constant data. */
#define R1    AE_RECURRENT
#define A1    AE_ATTENTION
#define RRA   R1, R1, A1
#define RRA4  RRA, RRA, RRA, RRA
#define RRA16 RRA4, RRA4, RRA4, RRA4
#define A5    A1, A1, A1, A1, A1
#define A17   A5, A5, A5, A1, A1
#define A85   A17, A17, A17, A17, A17
#define RRA85 RRA16, RRA16, RRA16, RRA16, RRA16, RRA4, RRA

/* clang-format off */
#define GRIFFIN {RRA85, R1} /* all AE_BLOCKS_MAX places, so that a preset may be lengthened by model.blocks */
#define HAWK    {R1}
#define ATTENTION {A85, A85, A85, A1}
/* clang-format on */

#define FAMILY .K = 4, .rope_theta = 10000, .rope_share = 0.5, .norm_eps = 1e-6
#define CAPPED FAMILY, .soft_cap = 30, .scale_embeddings = true

/* The published proportions: recurrence as wide as the model, MLP three times, one key head. */
#define SHAPE(v, d, n, l, w)                                                                                 \
    {                                                                                                        \
        .V = (v), .D = (d), .C = (d), .E = 3 * (ptrdiff_t)(d), .N = (n), .G = 1, .H = (d) / (n), .W = (w),   \
        .blocks = (l), .pattern = GRIFFIN, CAPPED                                                            \
    }
/* Gemma 1 (arXiv 2403.08295): every block attends without a window. The twins of a preset of the ladder have its
 * width, heads and blocks, and an MLP that makes up for the parameters of its recurrent blocks. */
#define GEMMA(v, d, e, n, h, l, exact)                                                                       \
    {                                                                                                        \
        .V = (v), .D = (d), .C = (d), .E = (e), .N = (n), .G = 1, .H = (h), .W = -1, .K = 4, .blocks = (l),  \
        .pattern = ATTENTION, .rope_theta = 10000, .rope_share = 1, .norm_eps = 1e-6,                        \
        .scale_embeddings = true, .scale_exact = (exact), .no_biases = true                                  \
    }
#define PAPER(layers)                                                                                        \
    .V = 0, .D = 4096, .C = 5632, .E = 12288, .N = 32, .G = 1, .H = 128, .W = 1024, .blocks = (layers), FAMILY

const ae_preset ae_presets[] = {
    {"small-1m", "1.1 M parameters with 2048 tokens; for tests and very small texts",
     SHAPE(0, 128, 2, 4, 256), 2048},
    {"small-5m", "5.1 M parameters with 4096 tokens", SHAPE(0, 256, 4, 5, 512), 4096},
    {"small-25m", "25 M parameters with 12288 tokens", SHAPE(0, 512, 8, 6, 512), 12288},
    {"small-100m", "98 M parameters with 16384 tokens", SHAPE(0, 768, 6, 12, 1024), 16384},
    {"small-400m", "393 M parameters with 32768 tokens", SHAPE(0, 1280, 10, 18, 2048), 32768},
    {"baseline-25m", "a transformer of the size of small-25m: attention without a window in every block",
     GEMMA(0, 512, 1648, 8, 64, 6, true), 12288},
    {"baseline-100m", "the same of small-100m", GEMMA(0, 768, 2480, 6, 128, 12, true), 16384},
    {"s5", "yardstick: 5.8 M parameters", SHAPE(4096, 256, 4, 6, 512), 4096},
    {"s23", "yardstick: 23 M parameters", SHAPE(8192, 512, 8, 6, 512), 8192},
    {"s100", "yardstick: 98 M parameters", SHAPE(16384, 768, 6, 12, 1024), 16384},
    {"griffin-7b",
     "the paper's Griffin, 6.7 G parameters with 32000 tokens",
     {PAPER(32), .pattern = GRIFFIN},
     32000},
    {"hawk-7b", "the paper's Hawk, recurrent blocks only", {PAPER(32), .pattern = HAWK}, 32000},
    {"recurrentgemma-2b", "the published 2.68 G parameters", SHAPE(256000, 2560, 10, 26, 2048), 256000},
    {"recurrentgemma-9b", "the published 8.58 G parameters", SHAPE(256000, 4096, 16, 38, 2048), 256000},
    {"gemma-2b", "the published 2.51 G parameters of Gemma 1", GEMMA(256000, 2048, 16384, 8, 256, 18, false),
     256000},
};
const size_t ae_n_presets = sizeof ae_presets / sizeof *ae_presets;
