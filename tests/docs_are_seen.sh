#!/bin/sh
# The guard of the pages must notice each kind of fault, and let a sound page pass.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
long=$(printf '%0121d' 0)

clean_tree() {
    mkdir -p "$tree/docs" "$tree/ops"
    printf '# Pages\n\n[a page](docs/a.md)\n\n```\n%s\n```\n\n| %s |\n' "$long" "$long" >"$tree/README.md"
    printf '# A\n\n## Rows of it\n\n%s…\n' "${long%00}" >"$tree/docs/a.md"
    printf '`ops/a.h` has `ae_a`.\n' >>"$tree/docs/a.md"
    printf '/* docs/a.md, "Rows" */\nvoid ae_a(void);\n' >"$tree/ops/a.h"
}

expect_fault() { # WHAT
    if sh "$here/docs.sh" "$tree"; then
        echo "not noticed: $1"
        exit 1
    fi
    clean_tree
}

clean_tree
sh "$here/docs.sh" "$tree"
echo "$long" >>"$tree/docs/a.md"
expect_fault "a long line"
echo '[gone](b.md)' >>"$tree/docs/a.md"
expect_fault "a link that leads nowhere"
echo 'See `ops/b.h`.' >>"$tree/docs/a.md"
expect_fault "a file that is not there"
echo 'Call `ae_gone`.' >>"$tree/docs/a.md"
expect_fault "a function that is not there"
echo '/* docs/a.md, "Columns" */' >"$tree/ops/a.h"
expect_fault "a heading that is not there"
