#include "cli/plot_html.h"

#include "core/file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char style[] =
    "body{font:15px/1.5 system-ui,sans-serif;color:#222;background:#fff;max-width:1200px;margin:2em "
    "auto;padding:0 1em;overflow-wrap:break-word}"
    "h1{font-size:1.5em;margin:0 0 .2em}h2{font-size:1.25em;margin:2em 0 "
    ".4em}h3{font-size:1.05em;margin:1.4em 0 .4em}"
    "svg{width:100%;height:auto;display:block}"
    ".pictures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,380px),1fr));gap:.5em}"
    ".one{max-width:900px}.wide{overflow-x:auto}"
    "table{border-collapse:collapse}td,th{padding:.25em .9em;border-bottom:1px solid #ddd;text-align:right;"
    "white-space:nowrap}"
    "td:first-child,th:first-child{text-align:left}th{color:#555;font-weight:600}"
    "pre{background:#f6f6f4;padding:.8em "
    "1em;overflow-x:auto;white-space:pre-wrap;font-size:13px;border-radius:4px}"
    "summary{cursor:pointer;color:#1f5fa8}small{color:#666}a{color:#1f5fa8}";

void ae_html_begin(FILE *f, const char *title, const char *more) {
    fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
          "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>aerie: ",
          f);
    ae_html_text(f, title);
    fprintf(f, "</title><style>%s%s</style></head><body>\n", style, more);
}

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
