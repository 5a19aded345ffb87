#!/bin/sh
. "$(dirname "$0")/common.sh"

# Every task against rows written out by hand (tests/benchmark/prompts): the exact prompts, the same from each layout of the
# benchmark's data. A file has "==> LAYOUT/FILE <==" and "==> show TASK FLAGS <==" with what is expected behind it.
prompts=$here/../benchmark/prompts

# The parts of a file of prompts, as files; what is expected as show.1, show.2, ..
cut_up() { # FILE FOLDER
    awk -v folder="$2" '
        /^==> .* <==$/ {
            if (out) close(out)
            name = substr($0, 5, length($0) - 8)
            if (name ~ /^show /) { print substr(name, 6) > (folder "/show." ++n ".args"); name = "show." n }
            out = folder "/" name
            parent = out
            sub(/\/[^\/]*$/, "", parent)
            system("mkdir -p \"" parent "\"")
            printf "" > out
            next
        }
        out { print > out }' "$1"
}

layouts=0
for file in "$prompts"/*.txt; do
    name=$(basename "$file" .txt)
    mkdir "$name"
    cut_up "$file" "$name"
    for args in "$name"/show.*.args; do
        for layout in "$name"/*/; do
            # shellcheck disable=SC2046
            run 0 "$aerie" eval show $(cat "$args") "$layout" --n 100
            sed '/^=== /s/: [^ ]*\(:[0-9]*\| row [0-9]*\)\(, group .*\)\{0,1\}$/\2/' out >got
            cmp -s got "${args%.args}" || {
                fail "$name: $layout"
                diff "${args%.args}" got | head -20
            }
            layouts=$((layouts + 1))
        done
    done
done
[ "$layouts" -gt 60 ] || fail "$layouts layouts only"

# No task is without such a row: of those with parts one is enough.
sed -n 's/^==> show \([^ ]*\).*/\1/p' "$prompts"/*.txt | sort >shown
"$aerie" eval ls --json | while read -r line; do
    task=$(echo "$line" | sed 's/.*"task":"\([^"]*\)".*/\1/')
    { echo "$task"; echo "$line" | list_of parts | tr -d '"'; } | sort | comm -12 - shown | grep -q . || echo "$task"
done >missing
[ -s missing ] && fail "tasks without a row in $prompts: $(cat missing)"

finish
