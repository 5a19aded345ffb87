#include "benchmark/bar.h"

#include <stdio.h>

/* "64 answers being written  9.10 K new tokens", which move while no request ends. */
static void format_answers(char *out, size_t n, const ae_evaluation_progress *p) {
    char tokens[32];
    out[0] = '\0';
    if (p->growing == 0) return;
    ae_format_count(tokens, sizeof tokens, (double)p->new_tokens);
    snprintf(out, n, "%lld answer%s being written  %s new token%s", (long long)p->growing,
             ae_plural(p->growing), tokens, ae_plural(p->new_tokens));
}

void ae_evaluation_bar_show(ae_evaluation_bar *b, const ae_evaluation_progress *p) {
    char detail[96];
    if (!b->begun) {
        ae_progress_init(&b->line, "evaluate", p->first, p->all);
        b->line.unit = "request";
        b->begun = true;
        if (p->first > 0)
            ae_log("%lld of %lld requests were done before", (long long)p->first, (long long)p->all);
    }
    format_answers(detail, sizeof detail, p);
    ae_progress_weigh(&b->line, (double)p->worked, (double)p->left);
    ae_progress_show(&b->line, p->done, detail);
}

void ae_evaluation_bar_end(ae_evaluation_bar *b) {
    if (b->begun) ae_progress_end(&b->line);
}
