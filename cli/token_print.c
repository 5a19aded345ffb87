#include "cli/token_print.h"

#include "core/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Tokens that count as targets stand on two colours in turn, the others are grey, control tokens red. */
static const char *const COUNTED[] = {"\033[30;48;5;151m", "\033[30;48;5;117m"};
static const char MASKED[] = "\033[38;5;245m", CONTROL[] = "\033[1;31m", PLAIN[] = "\033[0m";

static bool has_piece(const ae_token_print *p, int32_t id) {
    return p->tokenizer && id < ae_tokenizer_size(p->tokenizer);
}

static bool is_control(const ae_token_print *p, int32_t id) {
    if (!has_piece(p, id)) return false;
    const ae_special_ids s = ae_tokenizer_special(p->tokenizer);
    return ae_tokenizer_is_control(p->tokenizer, id) || id == s.start_of_turn || id == s.end_of_turn;
}

/* A piece as text: spaces as spaces, line ends seen and kept. */
static void print_piece(const ae_token_print *p, int32_t id) {
    if (!has_piece(p, id)) {
        printf("%d", id);
        return;
    }
    for (const char *c = ae_tokenizer_piece(p->tokenizer, id); *c; c++) {
        const bool space = strncmp(c, "\xE2\x96\x81", 3) == 0;
        if (space)
            putchar(' ');
        else if (*c == '\n')
            fputs("\xE2\x8F\x8E\n", stdout);
        else if (*c == '\t')
            fputs("\xE2\x87\xA5\t", stdout);
        else if ((unsigned char)*c < 32)
            printf("\\x%02X", (unsigned)*c);
        else
            putchar(*c);
        if (space) c += 2;
    }
}

void ae_print_token(const ae_token_print *p, int32_t id, bool counted, int64_t place) {
    if (p->color) {
        fputs(is_control(p, id) ? CONTROL : counted ? COUNTED[place % 2] : MASKED, stdout);
        print_piece(p, id);
        fputs(PLAIN, stdout);
        if (!p->tokenizer) putchar(' ');
        return;
    }
    putchar(counted ? '[' : '(');
    print_piece(p, id);
    putchar(counted ? ']' : ')');
}

void ae_print_run(const ae_token_print *p, const ae_token_run *run) {
    const int64_t n = p->most && p->most < run->n ? p->most : run->n;
    for (int64_t i = 0; i < n; i++) {
        const bool counted = run->mask ? run->mask[i] : run->counted;
        ae_print_token(p, run->ids[i], counted && !(run->begins && i == 0), i);
    }
    printf("\n");
    if (n < run->n) printf("... %lld token%s more\n", (long long)(run->n - n), ae_plural(run->n - n));
}

void ae_print_pair(const ae_token_print *p, const ae_token_run *prompt, const ae_token_run *chosen,
                   const ae_token_run *rejected) {
    ae_print_run(p, prompt);
    printf("chosen, %lld token%s:\n", (long long)chosen->n, ae_plural(chosen->n));
    ae_print_run(p, chosen);
    printf("rejected, %lld token%s:\n", (long long)rejected->n, ae_plural(rejected->n));
    ae_print_run(p, rejected);
}

/* ---- JSON ---- */

json_t *ae_ints_json(const int32_t *x, int64_t n) {
    json_t *list = json_array();
    for (int64_t i = 0; i < n; i++) json_array_append_new(list, json_integer(x[i]));
    return list;
}

json_t *ae_mask_json(const uint8_t *mask, int64_t n) {
    json_t *list = json_array();
    for (int64_t i = 0; i < n; i++) json_array_append_new(list, json_integer(mask[i]));
    return list;
}

json_t *ae_pieces_json(const ae_token_print *p, const int32_t *ids, int64_t n) {
    if (!p->tokenizer) return json_null();
    json_t *list = json_array();
    for (int64_t i = 0; i < n; i++)
        json_array_append_new(
            list, has_piece(p, ids[i]) ? json_string(ae_tokenizer_piece(p->tokenizer, ids[i])) : json_null());
    return list;
}

json_t *ae_text_json(const ae_token_print *p, const int32_t *ids, int64_t n) {
    char *text = NULL;
    size_t bytes = 0;
    if (!p->tokenizer || ae_tokenizer_decode(p->tokenizer, ids, n, &text, &bytes) != AE_OK)
        return json_null();
    json_t *value = json_stringn(text, bytes);
    free(text);
    return value ? value : json_null();
}
