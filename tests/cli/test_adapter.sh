#!/bin/sh
. "$(dirname "$0")/common.sh"
make_adapter=$3
tiny=$fixtures/tiny
lines=$here/tiny_lines.jsonl

make() { # RUN BASE WORDS...
    run_of=$1 base=$2
    shift 2
    run 0 "$make_adapter" "$base" "$run_of/checkpoints/step-000001" "$@"
}

score() { # OUTPUT FLAGS...
    to=$1
    shift
    run 0 "$aerie" score --input "$lines" --output "$to" "$@"
}

differ() { # FILE FILE
    cmp -s "$1" "$2" && fail "$1 and $2 are the same"
}

# A run brings its base; it is the same as the base with the run, or with its checkpoint.
make learnt "$tiny" rank=3 'whole=*recurrent_param' 'whole=*_norm.weight'
score s-base --model "$tiny"
score s-run --model learnt
grep -q "/tiny and learnt/checkpoints/step-000001 merged into it: " err || fail "the adapter is not told: $(cat err)"
score s-both --model "$tiny" --adapter learnt/
score s-step --model "$tiny" --adapter learnt/checkpoints/step-000001
score s-alone --model learnt/checkpoints/step-000001
differ s-base s-run
equal s-run s-both
equal s-run s-step
equal s-run s-alone

# Exported it is a model of its own. Rounding comes after merging, when exporting and when loading.
run 0 "$aerie" export --model learnt --output merged
grep -q " merged with learnt/checkpoints/step-000001 in f32" err || fail "the adapter is not told: $(cat err)"
score s-merged --model merged
equal s-run s-merged
run 0 "$aerie" export --model "$tiny" --adapter learnt --output merged-bf16 --dtype bf16
run 0 "$aerie" export --model merged --output rounded --dtype bf16
equal merged-bf16/model.safetensors rounded/model.safetensors
run 0 "$aerie" quantize --model merged --output narrow --dtype bf16
score s-bf16 --model learnt --dtype bf16
score s-narrow --model narrow --dtype bf16
equal s-bf16 s-narrow
run 0 "$aerie" export --model "$tiny" --adapter learnt --output merged --force
run 2 "$aerie" export --model learnt --output learnt/checkpoints/step-000001 --force
says "step-000001"

# Not beside its own merge, whose norms are those of the base; but beside the base in other forms.
make plain "$tiny" rank=3
run 0 "$aerie" export --model plain --output merged-plain
run 3 "$aerie" score --model merged-plain --adapter plain --input "$lines"
says "/tiny (sample of matrices "
says "give that base as --model"
run 0 "$aerie" quantize --model "$tiny" --output half --dtype bf16
run 0 "$aerie" export --model half --output half-again --dtype f32
for form in half half-again; do run 0 "$aerie" score --model $form --adapter plain --input "$lines"; done

# Beside integers: of the base that it learnt on, and of one that was quantised later. Decoding sees what scoring sees.
run 0 "$aerie" quantize --model "$tiny" --output q8 --dtype int8 --group 16
run 0 "$aerie" quantize --model "$tiny" --output q4 --dtype int4 --group 16
make on-q4 q4 int4 rslora 'on=*linear_?.weight' 'on=*.mlp_block.*'
for pair in "q8 learnt" "q4 on-q4" "q4 learnt"; do
    set -- $pair
    score s-integers --model "$1" --adapter "$2"
    grep -q "$2/checkpoints/step-000001 beside it: .* in int" err || fail "the adapter is not told: $(cat err)"
    score s-without --model "$1"
    differ s-integers s-without
    echo '{"tokens":[2,9,52,60,15,19]}' >prompt.jsonl
    run 0 "$aerie" generate --model "$1" --adapter "$2" --input prompt.jsonl --max-new 4 --temperature 0 --ignore-eos \
        --logprobs --output answers
    echo "{\"tokens\":[2,9,52,60,15,19,$(list_of tokens <answers | paste -sd,)]}" >whole.jsonl
    run 0 "$aerie" score --model "$1" --adapter "$2" --input whole.jsonl --output s-whole
    list_of logprobs <s-whole | tail -n 4 >from-score
    list_of logprobs <answers >from-generate
    paste from-score from-generate | awk '{ d = $1 - $2; if (d < 0) d = -d; if (d > 0.05) exit 1 } END { if (NR != 4) exit 1 }' ||
        fail "$1 with $2: $(paste from-score from-generate)"
    rm -f s-integers s-without s-whole answers
done
run 0 "$aerie" score --model on-q4 --input "$lines"
# In float32 and exported the base is what its integers stand for.
score s-real --model on-q4 --dtype f32
grep -q "merged into it: .* in f32" err || fail "float32 is not merged: $(cat err)"
run 0 "$aerie" export --model on-q4 --output from-q4
score s-from-q4 --model from-q4
equal s-real s-from-q4

# What using one takes: beside integers more than the base alone, merged the same.
parameters_of() { # WORDS...: of a plan
    run 0 "$aerie" plan --json "$@"
    sed 's/.*"parameters":\([0-9]*\).*/\1/' out
}
[ "$(parameters_of --dtype int8 model.init=learnt)" -gt "$(parameters_of --dtype int8 "model.init=$tiny")" ] || fail "a plan forgets adapters"
[ "$(parameters_of --dtype bf16 model.init=learnt)" = "$(parameters_of --dtype bf16 "model.init=$tiny")" ] || fail "merged adapters are counted"

# A base that has moved is named.
cp -r "$tiny" here
make far here
mv here there
run 3 "$aerie" score --model far --input "$lines"
says "/here: expected its base there, found nothing"
says "--model BASE --adapter far"
score s-far --model there --adapter far
# Not just any base: another one of that shape, one of another, none.
run 0 "$aerie" quantize --model "$fixtures/window" --output q-window --dtype bf16
run 3 "$aerie" score --model q-window --adapter learnt --input "$lines"
says "step-000001: expected the base that it was trained on"
run 3 "$aerie" export --model "$fixtures/attention" --adapter learnt --output none
says "learnt/checkpoints/step-000001: beside"
run 3 "$aerie" generate --model "$tiny" --adapter "$tiny" --prompt x
says "expected an adapter"
run 3 "$aerie" generate --model "$tiny" --adapter missing --prompt x
says "missing: expected an adapter"
run 3 "$aerie" score --model learnt --adapter far --input "$lines"
says "learnt: expected the base of far, found another adapter"
absent none

# As PEFT keeps it, and back; it names its base, and may stand by itself where that is there.
run 0 "$aerie" export --model learnt --peft --output peft
[ "$(ls peft)" = "$(printf 'adapter_config.json\nadapter_model.safetensors')" ] || fail "peft holds $(ls peft)"
for words in '"peft_type": "LORA"' '"r": 3' '"lora_alpha": 6' '/tiny"' '"down_proj"' '"q_proj"' '"rg_lru"' '"final_norm"'; do
    grep -qF -- "$words" peft/adapter_config.json || fail "adapter_config.json lacks $words"
done
score s-peft --model "$tiny" --adapter peft
equal s-run s-peft
score s-named --model peft
equal s-run s-named
run 0 "$aerie" export --model "$tiny" --adapter peft --peft --output peft-again
equal peft/adapter_model.safetensors peft-again/adapter_model.safetensors
run 0 "$aerie" export --model peft --output merged --force
score s-merged-peft --model merged
equal s-run s-merged-peft
score s-q8 --model q8 --adapter peft
score s-q8-run --model q8 --adapter learnt
equal s-q8 s-q8-run
run 2 "$aerie" export --model "$tiny" --peft --output none
says "--peft: expected an adapter"
run 2 "$aerie" export --model learnt --peft --output none --dtype bf16
says "--dtype"
make biased "$tiny" 'whole=*linear_x.bias'
run 3 "$aerie" export --model biased --peft --output none
says "linear_x.bias trained whole"
run 0 "$aerie" inspect peft --json
for words in '"kind":"adapter of PEFT"' '"whole":true' '"peft_type":"LORA"' '"data_checksum":true' '"file":"adapter_model.safetensors"'; do
    prints "$words"
done
cp -r peft other-peft
sed -i 's/"use_dora": false/"use_dora": true/' other-peft/adapter_config.json
run 3 "$aerie" inspect other-peft
prints "use_dora: expected an adapter without it"
printf x | dd of=other-peft/adapter_model.safetensors bs=1 seek=5000 conv=notrunc 2>dd.err
run 3 "$aerie" inspect other-peft --json
prints '"whole":false'
run 3 "$aerie" score --model "$tiny" --adapter other-peft --input "$lines"
sed -i '/base_model_name_or_path/d' peft/adapter_config.json
run 3 "$aerie" score --model peft --input "$lines"
says "names no base; say where it is: --model BASE --adapter peft"
run 3 "$aerie" quantize --model peft --output none
says "give it beside the model"
absent none

# Verbs that want a whole model say what it is.
for verb in "quantize --output none --model" "merge --output none $tiny" "bench decode --tokens 3 --model"; do
    run 3 "$aerie" $verb learnt
    says "found what trained beside a base"
    says "aerie export --model learnt/checkpoints/step-000001"
    absent none
done

# Damage.
cp -r learnt damaged
printf x | dd of=damaged/checkpoints/step-000001/weights.h5 bs=1 seek=3000 conv=notrunc 2>dd.err
run 3 "$aerie" score --model damaged --input "$lines"
says "weights.h5"
cp learnt/checkpoints/step-000001/weights.h5 damaged/checkpoints/step-000001
sed -i 's/"rank": 3/"rank": 2/' damaged/checkpoints/step-000001/adapter.json
run 3 "$aerie" score --model damaged --input "$lines"
says "adapter.json"
rm damaged/checkpoints/step-000001/DONE
run 3 "$aerie" score --model damaged/checkpoints/step-000001 --input "$lines"
says "without DONE"
finish
