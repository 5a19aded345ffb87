#include "cli/plot_html.h"

#include "core/file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void ae_html_escaped(FILE *f, const char *text, size_t n) {
    for (size_t i = 0; i < n; i++) {
        switch (text[i]) {
        case '&':
            fputs("&amp;", f);
            break;
        case '<':
            fputs("&lt;", f);
            break;
        case '>':
            fputs("&gt;", f);
            break;
        case '"':
            fputs("&quot;", f);
            break;
        default:
            fputc(text[i], f);
        }
    }
}

void ae_html_text(FILE *f, const char *text) {
    ae_html_escaped(f, text, strlen(text));
}

void ae_html_number(FILE *f, double x, int digits, const char *unit) {
    if (isfinite(x))
        fprintf(f, "<td>%.*f%s</td>", digits, x, unit);
    else
        fputs("<td>-</td>", f);
}

void ae_html_estimate(FILE *f, const ae_estimate *e, int digits) {
    if (isfinite(e->value) && isfinite(e->low))
        fprintf(f, "<td>%.*f<br><small>[%.*f, %.*f]</small></td>", digits, e->value, digits, e->low, digits,
                e->high);
    else
        ae_html_number(f, e->value, digits, "");
}

void ae_html_heading(FILE *f, const char *text) {
    fputs("<th>", f);
    ae_html_text(f, text);
    fputs("</th>", f);
}

void ae_html_file(FILE *f, const char *path) {
    char *text = NULL;
    size_t n = 0;
    if (ae_file_read(path, &text, &n) != AE_OK) return;
    fputs("<pre>", f);
    ae_html_escaped(f, text, n);
    fputs("</pre>\n", f);
    free(text);
}

void ae_html_pictures(FILE *f, const char *svg, size_t n) {
    static const char begin[] = "<svg", end[] = "</svg>";
    const char *at = svg, *stop = svg + n;
    fputs("<div class=\"pictures\">\n", f);
    while ((at = memmem(at, (size_t)(stop - at), begin, sizeof begin - 1)) != NULL) {
        const char *last = memmem(at, (size_t)(stop - at), end, sizeof end - 1);
        if (!last) break;
        last += sizeof end - 1;
        fputs("<div>", f);
        fwrite(at, 1, (size_t)(last - at), f);
        fputs("</div>\n", f);
        at = last;
    }
    fputs("</div>\n", f);
}
