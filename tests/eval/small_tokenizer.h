#ifndef AE_TESTS_EVAL_SMALL_TOKENIZER_H
#define AE_TESTS_EVAL_SMALL_TOKENIZER_H
#include "core/file.h"
#include "data/tokenizer.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

/* A tokenizer of a few words: other characters fall back to bytes, a token each. Its bytes are among the ids
 * of the fixtures' models. */
static inline ae_tokenizer *small_tokenizer(void) {
    char folder[] = "/tmp/aerie-eval-XXXXXX";
    cr_assert_not_null(mkdtemp(folder));
    char *input = ae_path_join(folder, "text"), *output = ae_path_join(folder, "t.model");
    FILE *f = fopen(input, "w");
    for (int i = 0; i < 200; i++) fprintf(f, "the bird %d sings to the hill\n", i);
    cr_assert_eq(fclose(f), 0);
    const char *inputs[] = {input};
    const ae_tokenizer_training how = {.inputs = inputs,
                                       .n_inputs = 1,
                                       .output = output,
                                       .text_key = "text",
                                       .vocab_size = 300,
                                       .kind = "bpe",
                                       .sample_bytes = 1 << 20};
    ae_tokenizer *t = NULL;
    cr_assert_eq(ae_tokenizer_train(&how), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_tokenizer_open(&t, output), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_folder_remove(folder), AE_OK);
    free(input);
    free(output);
    return t;
}

#endif
