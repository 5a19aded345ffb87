#!/bin/bash
# Installs what is needed, builds, and runs every test: optimised, some again with other settings of OpenMP and with the kernels of AVX2,
# then under the sanitizers, then the style checks.
# The last line is "N passed, N failed, N skipped": skipped is what this machine cannot run. Exit status 0 only when nothing failed.
# usage: scripts/test.sh [--fast] [--tidy] [--kills [N]] [--damage] [--browser] [--transformers PYTHON]
#   --fast: no sanitizers;  --tidy: clang-tidy on the files changed since main;  --kills: a run of each objective (pretrain, sft,
#   reward, dpo, ppo, jbond, and one that waits for its rewards) and an evaluation, each killed N times (200), end like those
#   left alone;
#   --damage: files cut off at 2500 places and changed 22000 times, under the sanitizers;
#   --browser: the page of `aerie judge serve`, driven by keys in headless Chromium, which has to be installed;
#   --transformers: scripts/check-transformers.py too, with a python that has torch and transformers, and
#   scripts/check-peft.py where it has peft, scripts/check-lm-eval.py where it has lm_eval
set -uo pipefail
cd "$(dirname "$0")/.."

fast=no
tidy=no
kills=0
damage=no
browser=no
transformers=
usage() {
    echo "usage: scripts/test.sh [--fast] [--tidy] [--kills [N]] [--damage] [--browser] [--transformers PYTHON]" >&2
    exit 2
}
while [ $# -gt 0 ]; do
    case "$1" in
    --fast) fast=yes ;;
    --tidy) tidy=yes ;;
    --damage) damage=yes ;;
    --browser) browser=yes ;;
    --transformers)
        [ $# -gt 1 ] || usage
        transformers=$2
        shift
        ;;
    --kills)
        kills=200
        if [[ "${2:-}" =~ ^[1-9][0-9]*$ ]]; then
            kills=$2
            shift
        fi
        ;;
    *) usage ;;
    esac
    shift
done

passed=0
failed=0
skipped=0
build_log=$(mktemp)
memory_folder=
trap 'rm -rf "$build_log" $memory_folder' EXIT

# Hundreds of checkpoints wait for the disk, so tests keep their files in memory where there is a file system for that with 4 GB left.
if [ -z "${TMPDIR:-}" ] && [ -w /dev/shm ] && [ "$(df -Pk /dev/shm | awk 'NR == 2 { print $4 }')" -ge 4000000 ]; then
    memory_folder=$(mktemp -d /dev/shm/aerie-tests-XXXXXX) && export TMPDIR="$memory_folder"
    chmod 711 "$memory_folder" # programs in the sandbox, which are nobody's, get to what tests show them in it
fi

count() { # PASSED FAILED [SKIPPED]
    passed=$((passed + $1))
    failed=$((failed + $2))
    skipped=$((skipped + ${3:-0}))
}

check() { # NAME COMMAND...: one more test
    local name=$1 output
    shift
    if output=$("$@" 2>&1); then
        echo "$name: passed"
        count 1 0
    else
        printf '%s\n%s: failed\n' "$output" "$name"
        count 0 1
    fi
}

run_tests() { # PRESET CTEST-OPTION...
    local preset=$1 log=build/$1/Testing/Temporary/LastTest.log passing failing left status=0
    shift
    mkdir -p "$(dirname "$log")"
    : >"$log"
    ctest --test-dir "build/$preset" -j "$(nproc)" --output-on-failure "$@" || status=1
    read -r passing failing left < <(awk -f scripts/count-tests.awk "$log")
    [ "$status" -eq 0 ] && [ "$passing" -gt 0 ] || [ "$failing" -gt 0 ] || failing=1
    count "$passing" "$failing" "$left"
}

build_and_test() { # PRESET CMAKE-OPTION...
    local preset=$1
    shift
    echo "== $preset"
    if ! cmake --preset "$preset" "$@" >"$build_log" || ! cmake --build --preset "$preset" >>"$build_log"; then
        cat "$build_log"
        echo "$preset: the build failed"
        count 0 1
        return
    fi
    run_tests "$preset"
}

# The tests of a label once more: with settings of OpenMP that grant fewer threads than are asked for or bind them to places, and with the
# kernels that most people's processors have.
test_with() { # SETTING LABEL
    echo "== release, $1"
    export "${1?}"
    run_tests release -L "$2"
    unset "${1%%=*}"
}

sources() {
    git ls-files -- '*.c' '*.h' '*.cc' 2>/dev/null ||
        find . -path ./build -prune -o \( -name '*.c' -o -name '*.h' -o -name '*.cc' \) -print
}

check_format() {
    sources | xargs clang-format --dry-run --Werror
}

check_tidy() {
    local base
    base=$(git merge-base HEAD origin/main 2>/dev/null || git rev-parse HEAD)
    git diff --name-only --diff-filter=d "$base" -- '*.c' | xargs -r -n 1 clang-tidy --quiet -p build/release
}

# The sanitizers are needed, whatever --fast says.
check_damage() {
    cmake --preset asan >/dev/null && cmake --build --preset asan --target test_damage >/dev/null &&
        OMP_WAIT_POLICY=passive ASAN_OPTIONS=detect_leaks=1:max_allocation_size_mb=2048:allocator_may_return_null=1 \
            build/asan/tests/damage/test_damage 2500 22000
}

# Our own threads; OpenMP's library is not instrumented, so it gets no threads to share work with.
check_races() {
    cmake --preset tsan >/dev/null && cmake --build --preset tsan --target test_rollouts >/dev/null &&
        OMP_NUM_THREADS=1 TSAN_OPTIONS=halt_on_error=1 build/tsan/tests/eval/test_rollouts tests/fixtures/tiny
}

scripts/install-packages.sh || exit $?
build_and_test release -DAERIE_TESTS=ON -DAERIE_WERROR=ON
for setting in OMP_THREAD_LIMIT=1 OMP_DYNAMIC=true OMP_PROC_BIND=true; do test_with "$setting" openmp; done
test_with AERIE_ISA=avx2 kernels
[ "$fast" = yes ] || build_and_test asan
[ "$fast" = yes ] || check "races of rollouts" check_races
[ -z "$transformers" ] ||
    check transformers "$transformers" scripts/check-transformers.py build/release/cli/aerie
[ -z "$transformers" ] || ! "$transformers" -c 'import peft' 2>/dev/null ||
    check peft "$transformers" scripts/check-peft.py build/release/cli/aerie
[ -z "$transformers" ] || ! "$transformers" -c 'import lm_eval' 2>/dev/null ||
    check lm-eval "$transformers" scripts/check-lm-eval.py build/release/cli/aerie
[ "$browser" = no ] || check "votes by keys" python3 scripts/check-judge.py build/release/cli/aerie
for verb in pretrain sft reward dpo ppo jbond program; do
    [ "$kills" = 0 ] ||
        check "$kills kills of $verb" env OMP_WAIT_POLICY=passive sh tests/train/kills.sh build/release/cli/aerie tests/fixtures "$kills" $verb
done
[ "$kills" = 0 ] || check "$kills kills of eval" env OMP_WAIT_POLICY=passive sh tests/cli/kills_eval.sh build/release/cli/aerie tests/fixtures "$kills"
[ "$damage" = no ] || check damage check_damage
echo "== style"
check clang-format check_format
[ "$tidy" = no ] || check clang-tidy check_tidy

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
