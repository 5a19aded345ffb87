#!/bin/sh
. "$(dirname "$0")/common.sh"

# The model FLOPs of a token are those of the published yardstick's formula.
run 0 "$aerie" bench train --shape s5 --row-tokens 64 --steps 1 --json
prints '"flops_per_token":35195904'
for key in tokens_per_s gflops sgemm_openblas_gflops sgemm_onednn_gflops share_of_openblas share_of_better_sgemm \
    share_of_fma_peak peak_rss_bytes plan_peak_bytes cpu threads kernels openblas onednn; do
    prints "\"$key\":"
done
[ "$(wc -l <out)" = 1 ] || fail "--json is one object"
run 0 "$aerie" bench train --shape s5 --row-tokens 64 --steps 1
prints "machine"
prints "tok/s"
run 0 "$aerie" bench decode --shape small-1m --prefill 1,70 --tokens 3 --batch 2 --json
prints '"prefill":70'
prints '"share_of_read":'
run 0 "$aerie" bench ops --shape small-1m --row-tokens 32 --steps 1 --json
prints '"share_of_12_arrays":'
for op in embedding rmsnorm "linear D to E" gates conv rglru geglu rope attention head adamw; do prints "\"$op"; done

# A verb without a way of its own to end by a signal gives the same status as those that have one.
"$aerie" bench decode --shape small-1m --prefill 100000 --tokens 1000000 >out 2>err &
process=$!
i=0
until grep -q '^decoding' out || [ $i = 300 ]; do
    sleep 0.1
    i=$((i + 1))
done
kill -TERM $process
wait $process
got=$?
[ $got = 130 ] || fail "status $got after SIGTERM, expected 130"
[ "$(cat err)" = "aerie: interrupted" ] || fail "one line on stderr after SIGTERM, found: $(cat err)"
finish
