#!/bin/sh
# Fails when a folder includes a header of a folder that docs/architecture.md does not allow it.
# usage: arrows.sh ROOT
set -eu
page=$(dirname "$0")/../docs/architecture.md
rules=$(mktemp)
found=$(mktemp)
trap 'rm -f "$rules" "$found"' EXIT

# Lines "folder what it may include" from the page's table; a folder may also include its own headers.
awk -F'|' '/^## /{here = $0 == "## Arrows"}
    here && /^\| `/{
        gsub("`", "", $2)
        gsub(/^ +| +$/, "", $3)
        n = split($2, folders, /[ ,]+/)
        for (i = 1; i <= n; i++) if (folders[i] != "") print folders[i], $3, folders[i]
    }' "$page" >"$rules"
ours=$(awk '{printf "%s%s", sep, $1; sep = "|"}' "$rules")
[ -n "$ours" ] || {
    echo "$page: no table of arrows found"
    exit 1
}
cd "$1"

# Lines "file:line:header" of what a folder includes in quotes, and in brackets where that is one of ours.
list_includes() {
    find "$1" -type f \( -name '*.c' -o -name '*.h' -o -name '*.cc' -o -name '*.inc' \) -exec \
        grep -HnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*("|<('"$ours"')/)' {} + |
        sed 's/^\([^:]*:[0-9]*\):.*include[[:space:]]*["<]\([^">]*\)[">].*/\1:\2/'
}

bad=0
seen=0
while read -r folder may; do
    [ -d "$folder" ] || continue
    case " $may " in *" all "*) continue ;; esac
    list_includes "$folder" >"$found"
    while IFS= read -r line; do
        seen=$((seen + 1))
        header=${line##*:}
        case "$header" in
        */*) target=${header%%/*} ;;
        *) target=$folder ;; # beside the file
        esac
        case " $may " in
        *" $target "*) ;;
        *)
            echo "${line%:*}: $folder may include ($may), found \"$header\""
            bad=$((bad + 1))
            ;;
        esac
    done <"$found"
done <"$rules"

[ "$seen" -gt 0 ] || {
    echo "no includes found below $1"
    exit 1
}
echo "$seen includes, $bad against the arrows"
[ "$bad" -eq 0 ]
