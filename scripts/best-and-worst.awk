# Pairs from several graded answers to a prompt: the best one is chosen, the worst one rejected. A line of input is
# separated by tabs: the prompt, N answers as aerie generate writes them, N grades as aerie-stories --grade does.
# Prompts whose answers are all worth the same give no pair, nor do those with an empty answer among the two.
function text_of(line, key) {
    return match(line, "\"" key "\": ?\"([^\"\\\\]|\\\\.)*\"") ? substr(line, RSTART + length(key) + 3, RLENGTH - length(key) - 3) : ""
}
function reward_of(line) {
    return match(line, /"reward": ?[-0-9.e]+/) ? substr(line, RSTART + 9, RLENGTH - 9) + 0 : 0
}
BEGIN { FS = "\t" }
{
    n = (NF - 1) / 2
    best = worst = 1
    for (k = 2; k <= n; k++) {
        if (reward_of($(1 + n + k)) > reward_of($(1 + n + best))) best = k
        if (reward_of($(1 + n + k)) < reward_of($(1 + n + worst))) worst = k
    }
    if (best == worst || text_of($(1 + best), "text") == "\"\"" || text_of($(1 + worst), "text") == "\"\"") next
    printf "{\"prompt\":%s,\"chosen\":%s,\"rejected\":%s}\n", text_of($1, "prompt"), text_of($(1 + best), "text"),
        text_of($(1 + worst), "text")
}
