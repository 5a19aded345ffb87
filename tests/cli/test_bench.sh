#!/bin/sh
. "$(dirname "$0")/common.sh"

# The yardstick is loaded by bench alone: at its start it asks for 128 MiB of address space a thread, again and again where a limit says no.
ldd "$aerie" | grep -q openblas && fail "the program is linked with OpenBLAS"
if ! ldd "$aerie" | grep -q asan; then # the sanitizer wants terabytes of address space
    run 0 timeout 20 sh -c 'ulimit -v 1500000; OMP_NUM_THREADS=64 exec "$1" --version' - "$aerie"
    run 4 timeout 20 sh -c 'ulimit -v 1500000; OMP_NUM_THREADS=64 exec "$1" bench limits' - "$aerie"
    says "expected 8320 MB of address space for 64 threads"
fi

# The model FLOPs of a token are those of the published yardstick's formula.
run 0 "$aerie" bench train --shape s5 --row-tokens 64 --steps 1 --json
prints '"flops_per_token":35195904'
for key in tokens_per_s gflops sgemm_openblas_gflops sgemm_onednn_gflops share_of_openblas share_of_better_sgemm \
    share_of_fma_peak peak_rss_bytes plan_peak_bytes cpu threads kernels openblas onednn; do
    prints "\"$key\":"
done
[ "$(wc -l <out)" = 1 ] || fail "--json is one object"
run 0 "$aerie" bench ops --shape small-1m --row-tokens 32 --steps 1 --json
prints '"share_of_12_arrays":'
cp out ops.json
for op in embedding rmsnorm "linear D to E" gates conv rglru geglu rope attention head "head log-probs" "head divergence" \
    "head scalar" adamw; do prints "\"$op"; done

# With probes: the ops' times and the rest add up to the step, and the parts of the table are there.
run 0 "$aerie" bench train --shape small-1m --row-tokens 64 --steps 2 --profile --json
cp out before.json
for key in plain_step_s product_gflops ops roofline products_share other_s exp_per_s update_gbs; do prints "\"$key\":"; done
for op in linear_backward_weight adamw head_loss attention_backward rglru_forward; do prints "{\"op\":\"$op\""; done
sed 's/.*"profile"://' out | tr '{,' '\n\n' | awk -F: '
    $1 == "\"step_s\"" { step = $2 }
    $1 == "\"seconds\"" { sum += $2 }
    $1 == "\"other_s\"" { sum += $2; rest = $2 }
    END { exit !(step > 0 && rest > -1e-6 && sum > 0.999 * step && sum < 1.001 * step) }' ||
    fail "the times of the ops and the rest do not add up to the step"
run 0 "$aerie" bench train --shape small-1m --row-tokens 32 --steps 1 --profile --compare before.json
for words in "machine" "tok/s" "roofline" "other" "compared with before.json" "linear_backward_weight" "step  " \
    "row_tokens differs: 64.0 before, 32.0 now"; do prints "$words"; done
run 0 "$aerie" bench decode --shape small-1m --prefill 1,70 --tokens 3 --batch 2 --profile --json
cp out decode.json
prints '"prefill":70'
prints '"share_of_read":'
prints '"prefill_profile":'
prints '"unit":"token"'
run 0 "$aerie" bench decode --shape small-1m --prefill 70 --tokens 3 --batch 2 --compare decode.json --json
prints '"compare":[{"name":"a step after 70","before_s":'

# Answers to one prompt share its reading: 5 of them to 2 prompts of 20 tokens read 40.
run 0 "$aerie" bench rollout --shape small-1m --batch 1,5 --prompt 20 --answers 3 --after 30 --tokens 3 --json
prints '"batch":1,"prompts":1,"tokens_read":20,'
prints '"batch":5,"prompts":2,"tokens_read":40,'
for key in tokens_per_s share_of_product blocks_s head_s drawing_s other_s after_tokens_per_s product_gflops; do
    prints "\"$key\":"
done
# As many answers to a prompt and as long a prompt as is said where none is asked for: 8 answers read 512 tokens.
run 0 "$aerie" bench rollout --shape small-1m --batch 8 --after 30 --tokens 3 --json
prints '"batch":8,"prompts":1,"tokens_read":512,'
# A yardstick has no wider instructions than the products that it is held to.
run 0 env AERIE_ISA=avx2 "$aerie" bench rollout --shape small-1m --batch 1 --prompt 5 --after 5 --tokens 3
grep -qE 'kernels (SkylakeX|Cooperlake|SapphireRapids)' out && fail "AVX-512 in the yardstick of products of AVX2"
# Models side by side by length: a state of fixed size, and one that grows; 8 at once write 8 tokens a step.
shapes="--shape small-1m,baseline-25m"
run 0 "$aerie" bench throughput $shapes --lengths 5,300 --batch 1,8 --tokens 3 --json
for words in '"name":"small-1m","parameters":1106816,' '"name":"baseline-25m","parameters":25025024,' '"length":5,"read_s":' \
    '"length":300,"read_s":' '"state_bytes":786436,' '"state_bytes":1572868,' '{"batch":1,"step_s":' '{"batch":8,"step_s":'; do
    prints "$words"
done
[ "$(grep -o '"state_bytes":137220,' out | wc -l)" = 2 ] || fail "the state of small-1m grows"
run 0 "$aerie" bench throughput --shape small-1m --lengths 5,300 --batch 1 --tokens 3
prints "throughput  small-1m (1.11 M parameters) in f32"
prints "written by 1"
quantized=folder-of-int8
run 0 "$aerie" quantize --preset small-1m --dtype int8 --output $quantized --quiet
run 0 "$aerie" bench throughput --shape $quantized,small-1m --lengths 5 --batch 1 --tokens 3
prints "$quantized (1.11 M parameters), small-1m (1.11 M parameters) in f32"
run 2 "$aerie" bench throughput --shape small-1m --lengths 300,5
says "--lengths: expected rising numbers, found '300,5'"
run 2 "$aerie" bench throughput --shape small-1m,
says "--shape"
run 2 "$aerie" bench throughput --model $quantized
says "found throughput"
run 2 "$aerie" bench rollout --shape small-1m --batch 1,x
says "--batch: expected 1 to 16 numbers"
run 2 "$aerie" bench train --shape small-1m --batch 1,2
says "--batch: expected one number from 1 to 4096, found '1,2'"

run 0 "$aerie" quantize --preset small-1m --dtype int8 --output folder --quiet
run 0 "$aerie" bench decode --model folder --dtype auto --prefill 5 --tokens 3
prints "decoding   folder, 1.11 M parameters in int8"
run 2 "$aerie" bench decode --model folder --shape small-1m
says "found both"
run 2 "$aerie" bench train --model folder
says "found train"
run 4 "$aerie" bench train --shape small-1m --row-tokens 64 --memory-gb 0.01
says "--memory-gb below what the program has taken"
run 0 "$aerie" bench ops --shape small-1m --row-tokens 32 --steps 1 --compare ops.json
prints "geglu backward"
prints "all ops"
run 3 "$aerie" bench train --shape small-1m --row-tokens 64 --steps 1 --compare ops.json
says "same mode"
run 3 "$aerie" bench train --compare nowhere.json
echo '{' >broken.json
run 3 "$aerie" bench train --compare broken.json
says "broken.json"
run 0 "$aerie" bench limits --json
for key in bf16_dot_gflops bf16_onednn_gflops; do
    grep -q avx512_bf16 /proc/cpuinfo && prints "\"$key\":"
done
prints '"memory":[{"bytes":1048576.0,"read_gbs":'
prints '"tanh_per_s":'

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
# Arguments are checked before anything is said about the machine.
refuses() { # WORDS ARGUMENTS
    words=$1
    shift
    run 2 "$aerie" bench "$@"
    says "$words"
    [ -s out ] && fail "something was printed before the refusal: $*"
}
refuses "--lengths: expected rising numbers" throughput --lengths 128,64
refuses "nope" throughput --shape small-1m,nope
refuses "--shape: expected names" throughput --shape small-1m,
refuses "--batch: expected" throughput --batch 0
refuses "--batch: expected" rollout --batch 4,x
refuses "--prefill: expected" decode --prefill 1,,2
refuses "nope" decode --shape nope
refuses "nope" train --shape nope
finish
