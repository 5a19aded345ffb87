#ifndef AE_DATA_TOKENIZER_JSON_H
#define AE_DATA_TOKENIZER_JSON_H
#include "data/tokenizer.h"

/* tokenizer.json, the form of the library `tokenizers` that transformers reads: a sentencepiece model as its
 * rules say them, so that text gets the same ids there. Control tokens are found in text, as transformers
 * does with any tokenizer. */

/* Whether transformers needs it: its class for Gemma builds a BPE with byte fallback over text as it is,
 * whatever the model says, and takes symbols of the user's apart. */
ae_status ae_tokenizer_needs_json(const ae_tokenizer *t, bool *needs);

/* The caller frees *text. *approximate names what the library does otherwise for rare characters, or is NULL.
 * AE_ERR_INPUT, by name, for a model that this form cannot say: of words or characters, spaces after words
 * or as they are, rewriting of decoded text, pieces that are not used, symbols of the user's together with a
 * space before the text. */
ae_status ae_tokenizer_json(const ae_tokenizer *t, char **text, const char **approximate);

#endif
