#!/bin/sh
# Fails where the number of threads is OpenMP's own, which holds for one calling thread, or where a thread is made that takes its maker's
# one place: see core/threads.h.
# usage: regions.sh ROOT
set -eu
cd "$1"
folders="core ops data formats model exchange optim eval train cli corpus"
bad=0

expect_none() { # WHAT LINES
    [ -z "$2" ] && return
    printf '%s:\n%s\n' "$1" "$2"
    bad=1
}

regions=$(grep -rnE --include='*.c' --include='*.h' --include='*.cc' '#pragma omp parallel' $folders)
[ -n "$regions" ] || bad=1
expect_none "a region without num_threads" "$(echo "$regions" | grep -v 'num_threads(' || true)"
expect_none "OpenMP's own number" "$(grep -rnE --include='*.c' --include='*.h' 'omp_(get_max|set_num)_threads *\(' $folders |
    grep -vE '^(ops/cpu/alone\.h|cli/library_team\.h|cli/openblas\.c):' || true)"
expect_none "a thread that is not made by ae_thread_start" \
    "$(grep -rnE --include='*.c' --include='*.h' --include='*.cc' 'pthread_create *\(' $folders | grep -v '^core/threads\.c:' || true)"
exit $bad
