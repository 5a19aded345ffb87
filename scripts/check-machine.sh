#!/bin/bash
# What a kind of machine reaches, as tables for docs/performance.md: its limits, a training step, answers side by side
# and decoding, with every kind of kernels that it can run. Takes five minutes or so.
# usage: scripts/check-machine.sh [--quick] [AERIE]
#   --quick: tiny shapes, to see that all of it runs;  AERIE: the program (default: build/release/cli/aerie)
set -euo pipefail

refuse() { # STATUS MESSAGE
    echo "check-machine: $2" >&2
    exit "$1"
}

quick=no
if [ "${1:-}" = --quick ]; then
    quick=yes
    shift
fi
[ $# -le 1 ] && [[ "${1:-}" != -* ]] || refuse 2 "usage: scripts/check-machine.sh [--quick] [AERIE]"
aerie=${1:-$(dirname "$0")/../build/release/cli/aerie}
[ -x "$aerie" ] || refuse 3 "$aerie: no such program; build it first, or name it"

if [ $quick = yes ]; then
    train="--shape small-1m --row-tokens 64 --steps 1"
    rollout="--shape small-1m --batch 1,16 --prompt 16 --tokens 3 --after 4"
    decode="--shape small-1m --prefill 1 --tokens 3 --batch 1"
else
    train="--shape s23 --steps 3"
    rollout="--shape small-25m --batch 1,16,64 --tokens 16 --after 16"
    decode="--shape small-400m --prefill 1 --tokens 16 --batch 1"
fi

errors=$(mktemp)
trap 'rm -f "$errors"' EXIT

bench() { # FLAGS...
    "$aerie" bench "$@" --json 2>"$errors" || {
        tail -n 1 "$errors" >&2
        refuse 1 "aerie bench $* failed"
    }
}

# Values of a key of one line of JSON, one a line: numbers, or texts with --text.
values() { # [--text] KEY JSON
    if [ "$1" = --text ]; then
        grep -o "\"$2\":\"[^\"]*\"" <<<"$3" | cut -d'"' -f4
    else
        grep -o "\"$1\":[-0-9.e+]*" <<<"$2" | cut -d: -f2
    fi
}

shape_of() { # FLAGS
    awk '{ print $2 }' <<<"$1"
}

first() { # [--text] KEY JSON
    values "$@" | head -n 1
}

percent() { # PART
    awk -v x="$1" 'BEGIN { printf "%.0f %%", 100 * x }'
}

rounded() { # NUMBER
    awk -v x="$1" 'BEGIN { printf x < 100 ? "%.1f" : "%.0f", x }'
}

# ---- what there is ----


# The widest kernels of this machine: "avx512" of "(the machine: up to avx512)".
widest() {
    "$aerie" bench train --shape small-1m --row-tokens 64 --steps 1 2>"$errors" |
        sed -n 's/.*(the machine: up to \([a-z0-9]*\)).*/\1/p'
}

isas() { # WIDEST
    case "$1" in
    avx2) echo avx2 ;;
    avx512) echo avx2 avx512 ;;
    *) echo avx2 avx512 amx ;;
    esac
}

# Products of two bfloat16 operands that differ on this machine with the kernels AERIE_ISA names.
products() {
    if [ "$AERIE_ISA" != avx2 ] && grep -qwE 'avx512_bf16|amx_bf16' /proc/cpuinfo; then
        echo f32 bf16
    else
        echo f32
    fi
}

# ---- tables ----

limits() {
    local j
    j=$(bench limits)
    printf '| limit of %s threads | |\n| --- | --- |\n' "$(first threads "$j" | cut -d. -f1)"
    printf '| float32 multiply-adds | %s GFLOP/s |\n' "$(rounded "$(first fma_gflops "$j")")"
    printf '| sgemm 2048, OpenBLAS / oneDNN | %s / %s |\n' "$(rounded "$(first sgemm_openblas_gflops "$j")")" \
        "$(rounded "$(first sgemm_onednn_gflops "$j")")"
    printf '| memory, read, 1 GB | %s GB/s |\n' "$(rounded "$(first read_gbs "${j##*tanh_per_s}")")"
    echo
}

train_row() { # DTYPE PRODUCTS
    local j
    j=$(AERIE_PRODUCTS=$2 bench train $train --dtype "$1")
    printf '| %s | %s | %s | %s | %s | %s |\n' "$(first --text kernels "$j")" "$(rounded "$(first tokens_per_s "$j")")" \
        "$(rounded "$(first gflops "$j")")" "$(percent "$(first share_of_fma_peak "$j")")" \
        "$(percent "$(first share_of_better_sgemm "$j")")" "$(percent "$(first others "$j")")"
}

train_table() {
    local kind
    printf '| a training step, %s | tok/s | GFLOP/s | of multiply-adds | of sgemm | other programs |\n' "$(shape_of "$train")"
    echo '| --- | --- | --- | --- | --- | --- |'
    for AERIE_ISA in $all; do
        export AERIE_ISA
        train_row f32 f32
        for kind in $(products); do train_row bf16 "$kind"; done
    done
    unset AERIE_ISA
    echo
}

rollout_table() {
    local j
    printf '| answers side by side, %s | tok/s | of products | other programs |\n| --- | --- | --- | --- |\n' "$(shape_of "$rollout")"
    for AERIE_ISA in $all; do
        export AERIE_ISA
        j=$(bench rollout $rollout)
        paste <(values batch "$j") <(values tokens_per_s "$j") <(values share_of_product "$j") |
            while read -r batch rate share; do
                printf '| %s, batch %s | %s | %s | %s |\n' "$(first --text kernels "$j")" "$batch" "$(rounded "$rate")" \
                    "$(percent "$share")" "$(percent "$(first others "$j")")"
            done
    done
    unset AERIE_ISA
    echo
}

decode_table() {
    local j dtype
    printf '| decoding, %s | tok/s | of memory | other programs |\n| --- | --- | --- | --- |\n' "$(shape_of "$decode")"
    for AERIE_ISA in $all; do
        export AERIE_ISA
        for dtype in bf16 int8 int4; do
            j=$(bench decode $decode --dtype $dtype)
            printf '| %s, %s weights | %s | %s | %s |\n' "$(first --text kernels "$j")" $dtype \
                "$(rounded "$(first tokens_per_s "$j")")" "$(percent "$(first share_of_read "$j")")" \
                "$(percent "$(first others "$j")")"
        done
    done
    unset AERIE_ISA
}

all=$(isas "$(widest)")
echo "$("$aerie" --version); $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) cores; kernels: $all"
echo
limits
train_table
rollout_table
decode_table
