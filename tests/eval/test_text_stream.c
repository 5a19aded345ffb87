#include "core/file.h"
#include "eval/text_stream.h"
#include "tests/eval/small_tokenizer.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A model with sentencepiece's own defaults: a space in front of every text, which decoding drops again. */
static ae_tokenizer *prefixing_tokenizer(void) {
    char folder[] = "/tmp/aerie-stream-XXXXXX", command[1024];
    cr_assert_not_null(mkdtemp(folder));
    char *input = ae_path_join(folder, "text"), *output = ae_path_join(folder, "t.model");
    ae_tokenizer *t = NULL;
    FILE *f = fopen(input, "w");
    for (int i = 0; i < 200; i++) fprintf(f, "the bird %d sings to the hill\n", i);
    cr_assert_eq(fclose(f), 0);
    snprintf(command, sizeof command, "%s %s '--model_type=bpe --vocab_size=400 --byte_fallback=true' %s",
             ODD_MODEL, output, input);
    cr_assert_eq(system(command), 0);
    cr_assert_eq(ae_tokenizer_open(&t, output), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_folder_remove(folder), AE_OK);
    free(input);
    free(output);
    return t;
}

/* Every prefix that comes out is whole characters of the text, and in the end it is all there. */
static void check_growth(const ae_tokenizer *t, const char *text) {
    ae_ids ids = {0};
    ae_text_stream s;
    cr_assert_eq(ae_tokenizer_encode(t, text, strlen(text), &ids), AE_OK);
    ae_text_stream_init(&s, t);
    for (ptrdiff_t i = 0; i < ids.n; i++) {
        cr_assert_eq(ae_text_stream_push(&s, ids.ids[i]), AE_OK);
        cr_assert(s.n <= strlen(text) && (s.n == 0 || memcmp(s.text, text, s.n) == 0), "'%s' of '%s'", s.text,
                  text);
        cr_assert_neq((unsigned char)text[s.n] & 0xC0, 0x80, "cut inside a character of '%s'", text);
    }
    cr_assert_eq(ae_text_stream_finish(&s), AE_OK);
    cr_assert_str_eq(s.text, text);
    ae_text_stream_free(&s);
    ae_ids_free(&ids);
}

Test(text_stream, grows_by_whole_characters) {
    ae_tokenizer *t = small_tokenizer();
    check_growth(t, "");
    check_growth(t, "the bird 12 sings");
    check_growth(t, " leading space,  two spaces\nand\tlines\n");
    check_growth(t, "h\xC3\xB6he \xE2\x80\x94 \xF0\x9F\x98\x80\xF0\x9F\x98\x80\xE6\xBC\xA2\xE5\xAD\x97 end");
    ae_tokenizer_delete(t);
}

static int32_t byte_id(const ae_tokenizer *t, unsigned byte) {
    char piece[8];
    snprintf(piece, sizeof piece, "<0x%02X>", byte);
    const int32_t id = ae_tokenizer_id(t, piece);
    cr_assert_geq(id, 0);
    return id;
}

Test(text_stream, half_characters_wait_for_the_rest_or_the_end) {
    ae_tokenizer *t = small_tokenizer();
    ae_text_stream s;
    ae_text_stream_init(&s, t);
    const unsigned smile[] = {0xF0, 0x9F, 0x98, 0x80};
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(s.n, 0);
        cr_assert_eq(ae_text_stream_push(&s, byte_id(t, smile[i])), AE_OK);
    }
    cr_assert_str_eq(s.text, "\xF0\x9F\x98\x80");
    cr_assert_eq(ae_text_stream_push(&s, byte_id(t, 0xC3)), AE_OK);
    cr_assert_eq(s.n, 4);
    cr_assert_eq(ae_text_stream_finish(&s), AE_OK);
    cr_assert_str_eq(s.text, "\xF0\x9F\x98\x80\xEF\xBF\xBD");
    ae_text_stream_free(&s);
    ae_tokenizer_delete(t);
}

/* Answers of nothing but spaces, line ends or control tokens, then a word: the window stays small, and no
 * space is lost. */
static void check_pile(const ae_tokenizer *t, const int32_t *pile, int n_pile, bool follows) {
    enum { TOKENS = 500 };
    ae_ids all = {0}, words = {0};
    ae_text_stream s;
    char *whole = NULL, *prompt = NULL;
    size_t n_whole, n_prompt = 0;
    cr_assert_eq(ae_tokenizer_encode(t, "x the", 5, &words), AE_OK);
    const int32_t word = words.ids[words.n - 1];
    ae_text_stream_init(&s, t);
    if (follows) ae_ids_append(&all, word);
    if (follows) ae_text_stream_follow(&s, all.ids, all.n);
    cr_assert_eq(ae_tokenizer_decode(t, all.ids, all.n, &prompt, &n_prompt), AE_OK);
    for (int i = 0; i < TOKENS; i++) {
        const int32_t id = i + 1 < TOKENS ? pile[i % n_pile] : word;
        ae_ids_append(&all, id);
        cr_assert_eq(ae_text_stream_push(&s, id), AE_OK);
        cr_assert_lt(s.window.n, 200, "token %d", i);
    }
    cr_assert_eq(ae_text_stream_finish(&s), AE_OK);
    cr_assert_eq(ae_tokenizer_decode(t, all.ids, all.n, &whole, &n_whole), AE_OK);
    cr_assert_str_eq(s.text, whole + n_prompt);
    ae_text_stream_free(&s);
    ae_ids_free(&all);
    ae_ids_free(&words);
    free(whole);
    free(prompt);
}

Test(text_stream, spaces_and_control_tokens_do_not_pile_up) {
    ae_tokenizer *all[] = {small_tokenizer(), prefixing_tokenizer()};
    for (int k = 0; k < 2; k++) {
        const ae_tokenizer *t = all[k];
        const int32_t space = ae_tokenizer_id(t, "\xE2\x96\x81"), line = byte_id(t, '\n'),
                      eos = ae_tokenizer_special(t).eos;
        const int32_t piles[][4] = {{space, space, space, space},
                                    {line, line, line, line},
                                    {eos, eos, eos, eos},
                                    {space, eos, line, space},
                                    {eos, space, space, space}};
        for (size_t i = 0; i < sizeof piles / sizeof *piles; i++)
            for (int follows = 0; follows < 2; follows++) check_pile(t, piles[i], 4, follows);
    }
    for (int k = 0; k < 2; k++) ae_tokenizer_delete(all[k]);
}

/* A model that only babbles bytes must not make the window grow without bound. */
Test(text_stream, bytes_that_never_become_a_character_come_out) {
    ae_tokenizer *t = small_tokenizer();
    ae_text_stream s;
    ae_text_stream_init(&s, t);
    for (int i = 0; i < 100; i++) cr_assert_eq(ae_text_stream_push(&s, byte_id(t, 0xFF)), AE_OK);
    cr_assert_gt(s.n, 0);
    cr_assert_lt(s.window.n, 32);
    ae_text_stream_free(&s);
    ae_tokenizer_delete(t);
}

Test(text_stream, control_tokens_have_no_text) {
    ae_tokenizer *t = small_tokenizer();
    ae_text_stream s;
    ae_text_stream_init(&s, t);
    cr_assert_eq(ae_text_stream_push(&s, ae_tokenizer_special(t).eos), AE_OK);
    cr_assert_eq(s.n, 0);
    cr_assert_eq(ae_text_stream_push(&s, byte_id(t, 'x')), AE_OK);
    cr_assert_str_eq(s.text, "x");
    ae_text_stream_free(&s);
    ae_tokenizer_delete(t);
}

Test(text_stream, the_first_stop_string_is_found) {
    const char *const stops[] = {"end", "\n\n", "nd"};
    cr_assert_eq(ae_text_find_stop("the end", 7, 0, stops, 3), 4);
    cr_assert_eq(ae_text_find_stop("the end", 7, 5, stops, 3), 5);
    cr_assert_eq(ae_text_find_stop("a\n\nb end", 8, 0, stops, 3), 1);
    cr_assert_eq(ae_text_find_stop("nothing", 7, 0, stops, 3), SIZE_MAX);
    cr_assert_eq(ae_text_find_stop("end", 3, 3, stops, 3), SIZE_MAX);
    cr_assert_eq(ae_text_find_stop("end", 3, 0, stops, 0), SIZE_MAX);
}

Test(text_stream, what_may_become_a_stop_string_waits) {
    const char *const stops[] = {"end", "\n\n"};
    cr_assert_eq(ae_text_maybe_stop("the e", 5, stops, 2), 1);
    cr_assert_eq(ae_text_maybe_stop("the en", 6, stops, 2), 2);
    cr_assert_eq(ae_text_maybe_stop("the\n", 4, stops, 2), 1);
    cr_assert_eq(ae_text_maybe_stop("that", 4, stops, 2), 0);
    cr_assert_eq(ae_text_maybe_stop("e", 1, stops, 2), 1);
    cr_assert_eq(ae_text_maybe_stop("", 0, stops, 2), 0);
}

/* The text of `all` behind the first `n` of them is what they decode to together, less what the first do. */
static void check_seam(const ae_tokenizer *t, const ae_ids *all, ptrdiff_t n) {
    char *whole = NULL, *prompt = NULL;
    size_t n_whole, n_prompt;
    ae_text_stream s;
    cr_assert_eq(ae_tokenizer_decode(t, all->ids, all->n, &whole, &n_whole), AE_OK);
    cr_assert_eq(ae_tokenizer_decode(t, all->ids, n, &prompt, &n_prompt), AE_OK);
    ae_text_stream_init(&s, t);
    ae_text_stream_follow(&s, all->ids, n);
    for (ptrdiff_t i = n; i < all->n; i++) cr_assert_eq(ae_text_stream_push(&s, all->ids[i]), AE_OK);
    cr_assert_eq(ae_text_stream_finish(&s), AE_OK);
    if (memcmp(whole, prompt, n_prompt) == 0)
        cr_assert_str_eq(s.text, whole + n_prompt, "%td of %s", n, whole);
    ae_text_stream_free(&s);
    free(whole);
    free(prompt);
}

Test(text_stream, an_answer_is_what_follows_its_prompt) {
    ae_tokenizer *all[] = {small_tokenizer(), prefixing_tokenizer()};
    for (int k = 0; k < 2; k++) {
        ae_ids ids = {0};
        ae_ids_append(&ids, ae_tokenizer_special(all[k]).bos);
        const char *text = "the bird sings to the hill h\xC3\xB6he \xF0\x9F\x98\x80 the the";
        cr_assert_eq(ae_tokenizer_encode(all[k], text, strlen(text), &ids), AE_OK);
        const int32_t space = ae_tokenizer_id(all[k], "\xE2\x96\x81"), word = ids.ids[1];
        for (int i = 0; i < 3; i++) ae_ids_append(&ids, space);
        ae_ids_append(&ids, word);
        for (ptrdiff_t n = 1; n <= ids.n; n++) check_seam(all[k], &ids, n);
        ae_ids_free(&ids);
        ae_tokenizer_delete(all[k]);
    }
}

/* Bytes of one character on both sides of the seam. */
Test(text_stream, a_character_may_begin_in_the_prompt) {
    ae_tokenizer *t = small_tokenizer();
    ae_text_stream s;
    const int32_t ids[] = {byte_id(t, 'x'), byte_id(t, 0xF0), byte_id(t, 0x9F)};
    ae_text_stream_init(&s, t);
    ae_text_stream_follow(&s, ids, 3);
    cr_assert_eq(ae_text_stream_push(&s, byte_id(t, 0x98)), AE_OK);
    cr_assert_eq(ae_text_stream_push(&s, byte_id(t, 0x80)), AE_OK);
    cr_assert_eq(ae_text_stream_push(&s, byte_id(t, '!')), AE_OK);
    cr_assert_eq(ae_text_stream_finish(&s), AE_OK);
    cr_assert_str_eq(s.text, "\xF0\x9F\x98\x80!");
    ae_text_stream_free(&s);
    ae_tokenizer_delete(t);
}
