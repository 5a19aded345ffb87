#!/bin/sh
# However many threads OpenMP grants, the numbers are the same; and where it binds threads to places, all places count.
. "$(dirname "$0")/common.sh"
tiny=$fixtures/tiny
unset OMP_NUM_THREADS OMP_THREAD_LIMIT OMP_DYNAMIC OMP_MAX_ACTIVE_LEVELS OMP_PROC_BIND OMP_PLACES GOMP_CPU_AFFINITY

score() { # SETTING...: to out and err
    run 0 env "$@" "$aerie" score --model "$tiny" --input "$here/tiny_lines.jsonl"
}
count() { # threads that the last run says it has
    sed -n '/^warning/!s/.* \([0-9]*\) threads\{0,1\},.*/\1/p' err
}
expect() { # THREADS WHAT
    [ "$(count)" = "$1" ] || fail "$2: expected $1 threads, found $(count)"
}
warnings() { # NUMBER WORDS
    [ "$(grep -c "^warning: .*$2" err)" = "$1" ] || { fail "expected $1 warnings with '$2'"; cat err; }
}

score A=1
cp out all
cores=$(count)

# Fewer than asked for.
for setting in OMP_THREAD_LIMIT=1 OMP_MAX_ACTIVE_LEVELS=0 OMP_DYNAMIC=true OMP_NUM_THREADS=1; do
    score $setting
    equal all out "$setting"
done
score OMP_NUM_THREADS=8 OMP_THREAD_LIMIT=3
equal all out "three of eight"
expect 3 "OMP_THREAD_LIMIT=3"
score OMP_THREAD_LIMIT=1
expect 1 "OMP_THREAD_LIMIT=1"
for dtype in bf16 int8; do
    "$aerie" score --model "$tiny" --dtype $dtype --input "$here/tiny_lines.jsonl" >want 2>/dev/null
    OMP_THREAD_LIMIT=1 "$aerie" score --model "$tiny" --dtype $dtype --input "$here/tiny_lines.jsonl" >one 2>/dev/null
    equal want one "$dtype on one of $cores threads"
done

awk 'BEGIN { srand(3); for (i = 0; i < 900; i++) printf "the %d birds of hill %d sing %d songs\n", rand() * 99, i % 31, rand() * 999 }' >text.txt
run 0 "$aerie" tokenizer train --input text.txt --output t.model --vocab-size 300
run 0 "$aerie" data prepare --input text.txt --tokenizer t.model --output set --heldout 0.01
train() { # FOLDER SETTING...
    folder=$1
    shift
    run 0 env "$@" "$aerie" pretrain run.dir="$folder" data.train=set/train.h5 data.heldout=set/heldout.h5 model.width=64 \
        model.recurrent_width=64 model.mlp_width=128 model.heads=2 model.blocks=3 model.window=16 train.row_tokens=64 \
        train.batch_rows=4 train.steps=5 train.sample_tokens=0 train.dtype=f32
}
train whole OMP_NUM_THREADS=3
for setting in OMP_THREAD_LIMIT=1 OMP_THREAD_LIMIT=2 OMP_DYNAMIC=true OMP_PROC_BIND=true; do
    train "$setting" OMP_NUM_THREADS=3 "$setting"
    for file in weights.h5 optimizer.h5; do
        equal whole/checkpoints/step-000005/$file "$setting/checkpoints/step-000005/$file"
    done
done

# Bound to places.
for setting in OMP_PROC_BIND=true OMP_PROC_BIND=close OMP_PROC_BIND=spread OMP_PLACES=threads; do
    score $setting
    equal all out "$setting"
    expect "$cores" "$setting"
done
score GOMP_CPU_AFFINITY=0-1023
equal all out "processors that are not there"
[ "$(count)" -le "$(getconf _NPROCESSORS_ONLN)" ] || fail "more threads than there are processors: $(count)"
score GOMP_CPU_AFFINITY=0-1023 OMP_NUM_THREADS=1000
warnings 1 "threads: OpenMP was given places without usable processors"
score OMP_PROC_BIND=close OMP_PLACES=threads OMP_NUM_THREADS=1
expect 1 "bound, and one asked for"
score OMP_PROC_BIND=false OMP_PLACES=threads
expect "$cores" "places without binding"

# OMP_NUM_THREADS.
score OMP_NUM_THREADS=2,1
expect 2 "a list"
warnings 0 OMP_NUM_THREADS
score OMP_NUM_THREADS=
expect "$cores" "an empty one"
warnings 0 OMP_NUM_THREADS
for bad in four 0 -1 2.5 2000; do
    score OMP_NUM_THREADS=$bad
    equal all out "OMP_NUM_THREADS=$bad"
    expect "$cores" "OMP_NUM_THREADS=$bad"
    warnings 1 "OMP_NUM_THREADS: expected numbers from 1 to 1024.*found \"$bad\""
done
score OMP_NUM_THREADS=$((2 * cores))
warnings 0 threads:
score OMP_NUM_THREADS=$((2 * cores + 1))
warnings 1 "threads: $((2 * cores + 1)) on $cores usable cores"
equal all out "many threads"


# Threads that cannot be.
for size in 64K 100000G; do
    score OMP_STACKSIZE=$size OMP_NUM_THREADS=2
    equal all out "OMP_STACKSIZE=$size"
    expect 1 "OMP_STACKSIZE=$size"
    warnings 1 threads:
done

finish
