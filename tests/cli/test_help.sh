#!/bin/sh
. "$(dirname "$0")/common.sh"

run 0 "$aerie" --help
for verb in tokenizer data plan pretrain plot score generate merge inspect bench; do prints "  $verb "; done
prints "examples"
run 0 "$aerie" --version
prints "aerie "

for verb in tokenizer data plan pretrain plot score generate merge inspect bench; do
    run 0 "$aerie" $verb --help
    prints "usage: aerie $verb"
    [ -s err ] && fail "$verb --help writes to stderr"
done

run 2 "$aerie"
run 2 "$aerie" scroe
says "did you mean score?"
run 2 "$aerie" xyzzy
says "no such verb"
for verb in sft reward rlhf eval chat; do
    run 2 "$aerie" $verb --model m
    says "not in version"
done

run 2 "$aerie" score --modle m
says "did you mean --model?"
run 2 "$aerie" score
says "--model is missing"
run 2 "$aerie" generate --model m
says "either --prompt or --input"
run 2 "$aerie" generate --model m --prompt a --input b
says "found both"
run 2 "$aerie" generate --model m --prompt a --stop ""
says "empty string"
run 2 "$aerie" generate --model m --prompt a --top-p 1.5
says "--top-p"
run 2 "$aerie" bench trian
says "did you mean train?"
run 2 "$aerie" bench train --shape s24
says "s23"
run 2 "$aerie" bench decode --shape small-1m --prefill 1,x
says "--prefill"
run 2 "$aerie" bench train --dtype f16
says "f32|bf16|auto"
finish
