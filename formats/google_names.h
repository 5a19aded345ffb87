#ifndef AE_FORMATS_GOOGLE_NAMES_H
#define AE_FORMATS_GOOGLE_NAMES_H
#include <stdbool.h>
#include <stdint.h>

/* Names and shapes of the PyTorch state dict of Google's release (github.com/google-deepmind/recurrentgemma,
 * recurrentgemma/torch), where they differ from the Hugging Face ones:
 *
 *   embedder.input_embedding [V or more, D]         the first V rows are the table
 *   blocks.I.mlp_block.ffw_up.w [2, D, E]           gate_proj and up_proj, each [E, D] transposed
 *   blocks.I.mlp_block.ffw_up.b [2, 1, 1, E]        their biases
 *   blocks.I.recurrent_block.conv_1d.w [K, C]       conv_1d.weight [C, 1, K] transposed
 *
 * All others keep their shape. */
typedef enum {
    AE_LAYOUT_SAME,
    AE_LAYOUT_FIRST_ROWS,
    AE_LAYOUT_HALF,        /* of [2, 1, 1, E] */
    AE_LAYOUT_HALF_TURNED, /* of [2, D, E] */
    AE_LAYOUT_TURNED       /* of [K, C] */
} ae_tensor_layout;

enum { AE_GOOGLE_NAMES_MAX = 2, AE_LAYOUT_RANK_MAX = 4 };
typedef struct {
    char name[96]; /* the Hugging Face one */
    ae_tensor_layout layout;
    int half; /* 0 or 1 */
} ae_google_tensor;

/* A tensor that every such file has and no other. */
extern const char ae_google_table_name[];

/* What a tensor of that release holds: one tensor, or two halves; 0 for a name that it does not have. */
int ae_google_tensors(const char *name, ae_google_tensor out[AE_GOOGLE_NAMES_MAX]);

/* Shape in the file of a tensor that has `shape` here. Returns its rank. */
int ae_layout_shape(ae_tensor_layout layout, int rank, const int64_t *shape, int64_t out[AE_LAYOUT_RANK_MAX]);
bool ae_layout_is_turned(ae_tensor_layout layout);

#endif
