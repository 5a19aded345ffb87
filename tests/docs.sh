#!/bin/sh
# Fails when a page has a line of more than 120 characters outside tables and code blocks, names a file or a function that is not there, or
# lacks a heading that a comment names: docs/model.md, "Optimiser".
# usage: docs.sh ROOT
set -eu
cd "$1"
pages="README.md docs/*.md"
bad=$(mktemp)
trap 'rm -f "$bad"' EXIT

# Bytes that continue a character of UTF-8 do not count.
LC_ALL=C awk '
    FNR == 1 { code = 0 }
    /^ *```/ { code = !code; next }
    code || /^\|/ { next }
    { line = $0; gsub(/[\200-\277]/, "", line) }
    length(line) > 120 { printf "%s:%d: %d characters, at most 120\n", FILENAME, FNR, length(line) }
' $pages >>"$bad"

for page in $pages; do
    grep -oE '\]\([^)#]+' "$page" | sed 's/^](//' | grep -vE '^[a-z]+:' | while IFS= read -r target; do
        [ -e "$(dirname "$page")/$target" ] || echo "$page: a link to $target, which is not there" >>"$bad"
    done
done

grep -ohE '`[a-z]+/[a-z0-9_/-]+\.(c|h|cc|sh|py)`' $pages | tr -d '`' | sort -u | while IFS= read -r file; do
    [ -e "$file" ] || echo "pages name $file, which is not there" >>"$bad"
done

grep -ohE '\bae_[a-z0-9_]+' $pages | sort -u | while IFS= read -r name; do
    grep -rqw --exclude-dir=build --include='*.h' --include='*.c' -e "$name" . ||
        echo "pages name $name, which no source has" >>"$bad"
done

grep -rohE --exclude-dir=build --include='*.c' --include='*.h' 'docs/[a-z]+\.md, "[^"]+"' . | sort -u | while IFS= read -r reference; do
    page=${reference%%,*}
    name=${reference#*\"}
    grep -qsE "^#+ ${name%\"}" "$page" || echo "comments name $reference: no such heading" >>"$bad"
done

cat "$bad"
[ ! -s "$bad" ]
