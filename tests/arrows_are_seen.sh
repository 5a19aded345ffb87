#!/bin/sh
# The guard itself must notice a forbidden include, and let the allowed ones pass.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT

clean_tree() {
    rm -rf "$tree/model" "$tree/ops" "$tree/optim"
    mkdir -p "$tree/model" "$tree/ops/cpu" "$tree/optim"
    echo '#include "core/status.h"' >"$tree/model/a.c"
    printf '#include <sys/stat.h>\n#include "core/arena.h"\n' >"$tree/ops/cpu/b.c"
}

clean_tree
sh "$here/arrows.sh" "$tree"
for wrong in 'model/a.c "data/loader.h"' 'ops/cpu/b.c <model/model.h>' 'optim/c.c "model/params.h"'; do
    clean_tree
    echo "  #  include ${wrong#* }" >>"$tree/${wrong%% *}"
    if sh "$here/arrows.sh" "$tree"; then
        echo "not noticed: $wrong"
        exit 1
    fi
done
