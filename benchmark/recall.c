#include "benchmark/recall.h"

#include "core/dims.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *ae_recall_text(const int32_t *ids, ptrdiff_t n, const char *text, size_t n_text) {
    char *out = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&out, &size);
    if (!f) return NULL;
    for (ptrdiff_t i = 0; i < n; i++) fprintf(f, "%s%d", i > 0 ? " " : "", (int)ids[i]);
    fputc('\n', f);
    fwrite(text, 1, n_text, f);
    if (fclose(f) == 0) return out;
    free(out);
    return NULL;
}

/* row[i]: distance of the answer's tokens so far to the first i ids. */
ptrdiff_t ae_recall_distance(const char *answer, const int32_t *ids, ptrdiff_t n) {
    ptrdiff_t *row = malloc(((size_t)n + 1) * sizeof *row);
    if (!row) return -1;
    for (ptrdiff_t i = 0; i <= n; i++) row[i] = i;
    const char *end = answer + strcspn(answer, "\n");
    while (answer < end) {
        char *behind;
        const long token = strtol(answer, &behind, 10);
        if (behind == answer) break;
        answer = behind;
        ptrdiff_t diagonal = row[0]++;
        for (ptrdiff_t i = 1; i <= n; i++) {
            const ptrdiff_t exchanged = diagonal + (ids[i - 1] != token);
            diagonal = row[i];
            row[i] = ae_min(exchanged, ae_min(row[i], row[i - 1]) + 1);
        }
    }
    const ptrdiff_t distance = row[n];
    free(row);
    return distance;
}
