#!/bin/sh
# Fails when a folder includes a header of a folder that docs/architecture.md does not allow it.
# usage: arrows.sh ROOT
set -eu
cd "$1"

folders="core ops dist data formats model exchange optim eval train rlhf corpus"
found=$(mktemp)
trap 'rm -f "$found"' EXIT

# cli, tests and bench may include everything and are not asked about.
allowed() {
    case "$1" in
    core) echo "core" ;;
    corpus) echo "core corpus" ;;
    ops) echo "core ops" ;;
    dist) echo "core dist" ;;
    data) echo "core data" ;;
    formats) echo "core formats" ;;
    model) echo "core ops formats model" ;;
    exchange) echo "core ops formats model data exchange" ;;
    optim) echo "core ops dist optim" ;;
    eval) echo "core ops dist data formats model eval" ;;
    train) echo "core ops dist data formats model exchange optim eval train" ;;
    rlhf) echo "core ops dist data formats model exchange optim eval train rlhf" ;;
    esac
}

# Lines "file:line:header" of what a folder includes in quotes, and in brackets where that is one of ours.
list_includes() {
    find "$1" -type f \( -name '*.c' -o -name '*.h' -o -name '*.cc' -o -name '*.inc' \) -exec \
        grep -HnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*("|<(core|ops|dist|data|formats|model|exchange|optim|eval|train|rlhf|corpus|cli|tests|bench)/)' \
        {} + | sed 's/^\([^:]*:[0-9]*\):.*include[[:space:]]*["<]\([^">]*\)[">].*/\1:\2/'
}

bad=0
seen=0
for folder in $folders; do
    [ -d "$folder" ] || continue
    may=$(allowed "$folder")
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
done

[ "$seen" -gt 0 ] || {
    echo "no includes found below $1"
    exit 1
}
echo "$seen includes, $bad against the arrows"
[ "$bad" -eq 0 ]
