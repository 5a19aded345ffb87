#!/bin/sh
. "$(dirname "$0")/common.sh"
tiny=$fixtures/tiny

i=1
while [ $i -le 20 ]; do
    echo "{\"tokens\": [2, $((i * 7 % 64)), $((i % 5))]}"
    i=$((i + 1))
done >prompts

sample() { # OUTPUT FLAGS...: answers to the prompts
    to=$1
    shift
    run 0 "$aerie" generate --model "$tiny" --input prompts --output "$to" --max-new 12 --temperature 0.9 --logprobs "$@"
}
sample one --seed 5 --batch 1
[ "$(wc -l <one)" = 20 ] || fail "one answer a prompt"
for batch in 3 8 16 50; do
    sample many --seed 5 --batch $batch --force
    equal one many "batch $batch"
done
OMP_NUM_THREADS=1 "$aerie" generate --model "$tiny" --max-new 12 --temperature 0.9 --logprobs --seed 5 <prompts \
    --input - >threads 2>/dev/null
equal one threads "one thread, standard input"
sample other --seed 6
cmp -s one other && fail "another seed gives the same answers"

grep -vqE '^\{"tokens":\[[0-9,]+\],"logprobs":\[[-0-9.e,]+\],"finish":"(stop|length)"\}$' one && fail "form: $(head -1 one)"
awk '/"finish":"length"/ { n = gsub(/,/, ",", $0); if (n != 11 + 11 + 2) bad = 1 } END { exit bad }' one ||
    fail "an answer that ends by length has --max-new tokens"
awk '/"finish":"stop"/ { sub(/\].*/, ""); if ($0 !~ /[\[,]1$/) bad = 1 } END { exit bad }' one ||
    fail "an answer that stops ends in the end token"
sample long --seed 5 --ignore-eos
grep -q '"stop"' long && fail "--ignore-eos goes on"

# A field that is misspelt is told once.
printf '{"tokens": [2], "id": 1}\n{"tokens": [2], "temprature": 0.1, "stopp": 1}\n{"tokens": [2], "temprature": 0.1}\n' >misspelt
run 0 "$aerie" generate --model "$tiny" --input misspelt --max-new 2
warns 'misspelt:2: "temprature" is no field of a request'
[ "$(grep -c '^warning: ' err)" = 1 ] || fail "told once"
run 0 "$aerie" score --model "$tiny" --input misspelt
warns 'misspelt:2: "temprature" is no field of a request'

# Greedy: each token is the likeliest one that score names at its place.
run 0 "$aerie" generate --model "$tiny" --input prompts --max-new 6 --temperature 0 --ignore-eos
list_of tokens <out | awk '{ print } ' >greedy
sed 's/{"tokens":\[\([^]]*\)\].*/\1/' out | paste -d' ' prompts - | sed 's/\]} /, /; s/$/]}/' >whole
run 0 "$aerie" score --model "$tiny" --input whole --top 1
sed 's/.*"top":\[\[\[//; s/\]\]\]}$//; s/\]\],\[\[/ /g' out |
    awk '{ for (k = NF - 5; k <= NF; k++) { split($k, p, ","); print p[1] } }' >likeliest
equal greedy likeliest "greedy and score"

run 3 "$aerie" generate --model "$tiny" --prompt hello
says "no tokenizer"
run 3 "$aerie" generate --model "$tiny" --input prompts --stop x
says "no tokenizer"
echo '{"tokens": [64]}' >bad
run 3 "$aerie" generate --model "$tiny" --input bad --output none
says "bad:1: tokens[0]"
absent none none.part-*
: >empty
run 3 "$aerie" generate --model "$tiny" --input empty
says "empty file"

# Ends that the model's own files name, beside <eos>: with and without generation_config.json, and what export carries on.
cp -r "$tiny" named
echo '{"tokens": [2, 9, 13, 40]}' >prompt
run 0 "$aerie" generate --model named --input prompt --max-new 4 --temperature 0 --ignore-eos
cp out all
first=$(list_of tokens <all | head -n 1)
[ "$first" != 1 ] || fail "the prompt's answer begins with <eos>"
sed "s/\"eos_token_id\": [0-9]*/\"eos_token_id\": [1, $first]/" "$tiny/config.json" >named/config.json
run 0 "$aerie" generate --model named --input prompt --max-new 4 --temperature 0
grep -q "^{\"tokens\":\[$first\],\"finish\":\"stop\"}" out || fail "a list of ends does not end: $(cat out)"
run 0 "$aerie" export --model named --output exported
tr -d ' \n' <exported/generation_config.json | grep -q "\"eos_token_id\":\[1,$first\]" || fail "export lost an end"
sed "s/\"eos_token_id\": [0-9]*/\"eos_token_id\": [$(seq -s, 20 40)]/" "$tiny/config.json" >many.json
cp -r "$tiny" ended && mv many.json ended/config.json
run 0 "$aerie" export --model ended --output ended-exported
tr -d ' \n' <ended-exported/generation_config.json | grep -q ",38,39,40\]" || fail "export lost an end of many"
run 0 "$aerie" quantize --model named --dtype int8 --output integers
run 0 "$aerie" generate --model integers --input prompt --max-new 4 --temperature 0 --dtype int8
grep -q '"finish":"stop"' out || fail "quantize lost an end"
run 0 "$aerie" generate --model named --input prompt --max-new 4 --temperature 0 --ignore-eos
equal all out "--ignore-eos ignores all ends"
echo '{"eos_token_id": 1}' >named/generation_config.json
run 0 "$aerie" generate --model named --input prompt --max-new 1 --temperature 0
grep -q '"finish":"length"' out || fail "generation_config.json has no last word"
finish
