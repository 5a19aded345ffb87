# The figures of goodhart.sh. -v task=NAME says which:
#   texts     a line of aerie's answers.jsonl as lines for aerie score --rewards, an answer each
#   scored    what aerie score says as "prompt gold proxy proxy .."; answers of a prompt stand together
#   standard  such lines as "name mean deviation", of gold and of each proxy
#   best      such lines, sorted by prompt and by the proxy in COLUMN, as rows of a curve: best-of-n
#   learnt    the evaluations of a run as rows of a curve: learning
#   fit       rows of curves as "method proxy gold|proxy a b R2 KL-of-the-best"
#   flip      graded pairs with a quarter of the labels swapped, which FLIPPED gets too
#   warm      two files of "chosen rejected" by each member and by the average: clean pairs, swapped pairs
# A row of a curve is "method proxy n-or-step KL gold proxy-reward", rewards in deviations of the tuned model's answers.

function number_of(line, key) {
    return match(line, "\"" key "\": ?[-0-9.e+]+") ? substr(line, RSTART + length(key) + 3, RLENGTH - length(key) - 3) + 0 : 0
}

# The list KEY of a line of JSON without its brackets, up to the key NEXT_KEY. A quote in a text has a backslash before it.
function list_of(line, key, next_key,    rest) {
    rest = substr(line, index(line, "\"" key "\":[") + length(key) + 4)
    return substr(rest, 1, index(rest, "],\"" next_key "\":") - 1)
}

# Texts of JSON hold no quote without a backslash before it, so that "," separates them and nothing else.
task == "texts" {
    match($0, /^\{"prompt":"([^"\\]|\\.)*"/)
    prompt = substr($0, 2, RLENGTH - 1)
    texts = list_of($0, "answers", "tokens")
    n = split(substr(texts, 2, length(texts) - 2), text, /","/)
    if (split(list_of($0, "truncated", "row"), cut, ",") != n) {
        print "goodhart.awk: an answer without its end: " prompt >"/dev/stderr"
        exit 1
    }
    for (i = 1; i <= n; i++) printf "{%s,\"answer\":\"%s\",\"truncated\":%s}\n", prompt, text[i], cut[i]
}

task == "scored" {
    if (FNR == 1) n = split(proxies, pairs, " ")
    line = int((FNR - 1) / answers) + 1 " " number_of($0, "grade")
    for (k = 1; k <= n; k++) line = line " " number_of($0, "proxy-" pairs[k])
    print line
}

task == "standard" {
    for (k = 2; k <= NF; k++) {
        sum[k] += $k
        squares[k] += $k * $k
    }
    columns = NF
}

# "name mean deviation", the first file of best and learnt.
(task == "best" || task == "learnt") && FILENAME == "standard.txt" {
    mean[$1] = $2
    deviation[$1] = $3
    next
}

# Rank i of N has the weight C(i - 1, n - 1) / C(N, n): the chance that it is the best of n.
task == "best" {
    if (rank == answers) rank = 0
    rank++
    gold[rank] += $2
    proxy[rank] += $column
    lines++
}

task == "learnt" && /"eval_reward"/ {
    step = number_of($0, "step")
    if (step == 0) first = number_of($0, "eval_reward_grade")
    if (step == 0) first_proxy = number_of($0, "eval_reward_proxy")
    print "learn", name, step, number_of($0, "eval_kl"), (number_of($0, "eval_reward_grade") - first) / deviation["gold"],
        (number_of($0, "eval_reward_proxy") - first_proxy) / deviation["proxy-" name]
}

# Least squares of y = a u + b v without a constant: u = d; v = -d d for best-of-n, -d ln d for learning.
function add_to_fit(key, d, v, y) {
    if (!(key in count)) keys[++curves] = key
    count[key]++
    uu[key] += d * d
    uv[key] += d * v
    vv[key] += v * v
    uy[key] += d * y
    vy[key] += v * y
    yy[key] += y * y
    total[key] += y
}

task == "fit" && $4 > 0 {
    d = sqrt($4)
    v = $1 == "best" ? -d * d : -d * log(d)
    add_to_fit($1 " " $2 " gold", d, v, $5)
    add_to_fit($1 " " $2 " proxy", d, v, $6)
}

function print_fit(key,    det, a, b, left, spread, best) {
    det = uu[key] * vv[key] - uv[key] * uv[key]
    if (count[key] < 3 || det <= 0) return
    a = (uy[key] * vv[key] - vy[key] * uv[key]) / det
    b = (uu[key] * vy[key] - uv[key] * uy[key]) / det
    left = yy[key] - a * uy[key] - b * vy[key]
    spread = yy[key] - total[key] * total[key] / count[key]
    best = "-"
    if (b > 0 && key ~ /^best/ && a > 0) best = sprintf("%.3g", (a / (2 * b)) ^ 2)
    if (b > 0 && key ~ /^learn/ && a / b < 20) best = sprintf("%.3g", exp(2 * (a / b - 1)))
    printf "%s %.4f %.4f %.4f %s\n", key, a, b, (spread > 0 ? 1 - left / spread : 0), best
}

# Random numbers of our own, which are the same for every awk.
task == "flip" {
    if (FNR == 1) state = seed * 7919 + 12345
    state = (state * 16807) % 2147483647
    if (state < 2147483647 / 4) {
        sub(/,"chosen":/, ",\"other\":")
        sub(/,"rejected":/, ",\"chosen\":")
        sub(/,"other":/, ",\"rejected\":")
        print >flipped
    }
    print
}

# Columns: two for each member, two for the average.
task == "warm" {
    members = NF / 2 - 1
    file = FNR == NR ? 1 : 2
    scores = 0
    pairs_of[file]++
    for (k = 1; k <= members + 1; k++) {
        margin = $(2 * k - 1) - $(2 * k)
        right[file, k] += (margin > 0) + (margin == 0) / 2
        if (k <= members) scores += margin
    }
    right[file, "scores"] += (scores > 0) + (scores == 0) / 2
}

function print_shares(what, clean, swapped) {
    printf "%-28s %10.1f %% %22.1f %%\n", what, 100 * clean / pairs_of[1], 100 * swapped / pairs_of[2]
}

END {
    if (task == "standard") {
        n = split("gold " proxies, names, " ")
        for (k = 1; k <= n; k++) {
            m = sum[k + 1] / NR
            variance = squares[k + 1] / NR - m * m
            if (variance <= 1e-12 * m * m) {
                print "goodhart.awk: " names[k] ": every answer is worth " m ", so there are no deviations to count in" >"/dev/stderr"
                exit 1
            }
            print ((k == 1 ? "" : "proxy-") names[k]), m, sqrt(variance)
        }
    }
    if (task == "best") {
        groups = lines / answers
        for (n = 1; n <= answers; n *= 2) {
            weight = n / answers
            best_gold = best_proxy = 0
            for (i = answers; i >= n; i--) {
                best_gold += weight * gold[i] / groups
                best_proxy += weight * proxy[i] / groups
                weight *= (i - n) / (i - 1 + (i == 1))
            }
            print "best", name, n, log(n) - (n - 1) / n, (best_gold - mean["gold"]) / deviation["gold"],
                (best_proxy - mean["proxy-" name]) / deviation["proxy-" name]
        }
    }
    if (task == "fit")
        for (k = 1; k <= curves; k++) print_fit(keys[k])
    if (task == "warm") {
        print "                             held-out pairs     wrong labels it follows"
        for (k = 1; k <= members; k++) {
            print_shares("member " k, right[1, k], right[2, k])
            mean_clean += right[1, k] / members
            mean_swapped += right[2, k] / members
        }
        print_shares("mean of the members", mean_clean, mean_swapped)
        print_shares("their scores averaged", right[1, "scores"], right[2, "scores"])
        print_shares("their weights averaged", right[1, members + 1], right[2, members + 1])
    }
}
