#!/bin/sh
# regions.sh takes a tree without faults, and finds each of them.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
for folder in core ops data formats model exchange optim eval train cli corpus; do mkdir "$tree/$folder"; done

sees() { # LINE
    printf '#pragma omp parallel num_threads(ae_threads())\n%s\n' "$1" >"$tree/model/a.c"
    sh "$here/regions.sh" "$tree" >/dev/null && { echo "not seen: $1"; exit 1; }
    return 0
}
printf '#pragma omp parallel for num_threads(ae_threads())\n' >"$tree/model/a.c"
sh "$here/regions.sh" "$tree"
sees '#pragma omp parallel'
sees '#pragma omp parallel for schedule(static)'
sees 'size_t bytes = EACH * (size_t)omp_get_max_threads();'
sees 'omp_set_num_threads(2);'
sees 'pthread_create(&thread, NULL, run, NULL);'
