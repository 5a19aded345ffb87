# A picture (SVG) of goodhart.sh: rewards against the square root of the divergence, best-of-n on the left, learning on
# the right. The true reward has points and its fitted curve, what the proxy says a broken line. Reads fits.txt, then
# curves.txt; goodhart.awk says what their rows are.

BEGIN {
    split("#0b6e99 #d9730d #4b8b3b #8e44ad #b03a2e #555555", colours, " ")
    WIDTH = 400; HEIGHT = 300; TOP = 70
    left["best"] = 70; left["learn"] = 560
    title["best"] = "the best of n by the proxy"; title["learn"] = "a policy that learns from the proxy"
}

FILENAME == ARGV[1] {
    if ($3 == "gold") { a[$1, $2] = $4; b[$1, $2] = $5 }
    next
}

{
    d = sqrt($4)
    if (!($2 in colour)) { names[++n_names] = $2; colour[$2] = colours[(n_names - 1) % 6 + 1] }
    i = ++points[$1, $2]
    x[$1, $2, i] = d; gold[$1, $2, i] = $5; proxy[$1, $2, i] = $6
    if (d > right[$1]) right[$1] = d
    if ($5 < low[$1]) low[$1] = $5
    if ($6 < low[$1]) low[$1] = $6
    if ($5 > high[$1]) high[$1] = $5
    if ($6 > high[$1]) high[$1] = $6
}

# Steps of 1, 2 or 5 times a power of ten, four to ten of them.
function tick_of(span,    power) {
    power = exp(log(10) * int(log(span) / log(10) - (span < 1)))
    if (span / power < 2) return power / 5
    if (span / power < 5) return power / 2
    return power
}

function across(panel, d) { return left[panel] + WIDTH * d / right[panel] }
function up(panel, y) { return TOP + HEIGHT * (high[panel] - y) / (high[panel] - low[panel]) }

function text(x, y, words, more) { printf "<text x=\"%.1f\" y=\"%.1f\" %s>%s</text>\n", x, y, more, words }
function line(x1, y1, x2, y2, more) { printf "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" %s/>\n", x1, y1, x2, y2, more }

function axes(panel,    tick, v) {
    tick = tick_of(high[panel] - low[panel])
    for (v = tick * int(low[panel] / tick); v <= high[panel] + tick / 1e6; v += tick) {
        line(left[panel], up(panel, v), left[panel] + WIDTH, up(panel, v), "stroke=\"" (v * v < tick / 1e6 ? "#888" : "#ddd") "\"")
        text(left[panel] - 8, up(panel, v) + 4, sprintf("%g", int(v * 1000 + (v < 0 ? -0.5 : 0.5)) / 1000), "text-anchor=\"end\"")
    }
    tick = tick_of(right[panel])
    for (v = 0; v <= right[panel] + tick / 1e6; v += tick) {
        line(across(panel, v), TOP + HEIGHT, across(panel, v), TOP + HEIGHT + 5, "stroke=\"#444\"")
        text(across(panel, v), TOP + HEIGHT + 19, sprintf("%g", v), "text-anchor=\"middle\"")
    }
    line(left[panel], TOP, left[panel], TOP + HEIGHT, "stroke=\"#444\"")
    line(left[panel], TOP + HEIGHT, left[panel] + WIDTH, TOP + HEIGHT, "stroke=\"#444\"")
    text(left[panel] + WIDTH / 2, TOP - 12, title[panel], "text-anchor=\"middle\" font-weight=\"bold\"")
    text(left[panel] + WIDTH / 2, TOP + HEIGHT + 38, "square root of the divergence from the tuned model (nats)", "text-anchor=\"middle\"")
}

function fitted(panel, name, d) {
    return panel == "best" ? d * (a[panel, name] - b[panel, name] * d) : d * (a[panel, name] - b[panel, name] * log(d))
}

function curves_of(panel, name,    i, d, y, path, to) {
    path = ""
    for (i = 1; i <= points[panel, name]; i++)
        path = path sprintf(" %.1f,%.1f", across(panel, x[panel, name, i]), up(panel, proxy[panel, name, i]))
    printf "<polyline points=\"%s\" fill=\"none\" stroke=\"%s\" stroke-dasharray=\"5 4\" stroke-width=\"1.4\"/>\n", path, colour[name]
    for (i = 1; i <= points[panel, name]; i++)
        printf "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"/>\n", across(panel, x[panel, name, i]),
            up(panel, gold[panel, name, i]), colour[name]
    if (!((panel, name) in a)) return
    path = ""
    to = 0
    for (i = 1; i <= points[panel, name]; i++) if (x[panel, name, i] > to) to = x[panel, name, i]
    for (i = 1; i <= 60; i++) {
        d = to * i / 60
        y = fitted(panel, name, d)
        if (y >= low[panel] && y <= high[panel]) path = path sprintf(" %.1f,%.1f", across(panel, d), up(panel, y))
    }
    printf "<polyline points=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"2\"/>\n", path, colour[name]
}

END {
    printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 1000 480\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#222\">\n"
    print "<rect width=\"1000\" height=\"480\" fill=\"white\"/>"
    text(70, 26, "A learnt reward and the truth: gain in standard deviations of the tuned model&#39;s answers", "font-size=\"15\"")
    for (panel in left) {
        if (right[panel] == 0) continue
        if (high[panel] == low[panel]) high[panel] = low[panel] + 1
        high[panel] += (high[panel] - low[panel]) / 20
        if (low[panel] < 0) low[panel] -= (high[panel] - low[panel]) / 20
        axes(panel)
        for (k = 1; k <= n_names; k++) if ((panel, names[k]) in points) curves_of(panel, names[k])
    }
    for (k = 1; k <= n_names; k++) {
        printf "<circle cx=\"%d\" cy=\"446\" r=\"4\" fill=\"%s\"/>\n", 70 + 150 * (k - 1), colour[names[k]]
        text(80 + 150 * (k - 1), 450, "proxy of " names[k] " pairs", "")
    }
    k = 70 + 150 * n_names
    line(k, 446, k + 30, 446, "stroke=\"#222\" stroke-width=\"2\"")
    text(k + 36, 450, "true reward: points and fit", "")
    line(k + 210, 446, k + 240, 446, "stroke=\"#222\" stroke-dasharray=\"5 4\"")
    text(k + 246, 450, "what the proxy says", "")
    print "</svg>"
}
