#!/bin/sh
. "$(dirname "$0")/common.sh"
tiny=$fixtures/tiny
lines=$here/tiny_lines.jsonl

score() { # MODEL OUTPUT
    run 0 "$aerie" score --model "$1" --input "$lines" --output "$2"
}

# The same bits score the same, in one file or in many; bfloat16 as when rounding while loading.
run 0 "$aerie" export --model "$tiny" --output one
grep -qE "^one: .* without a tokenizer, 320 kB$" err || fail "the last line tells no size: $(cat err)"
run 0 "$aerie" export --model one --output many/ --shard-bytes 50k
run 0 "$aerie" export --model many --output back --shard-bytes 0
score "$tiny" s-was
score one s-one
score many s-many
equal s-was s-one
equal s-was s-many
equal one/model.safetensors back/model.safetensors
equal one/config.json back/config.json
absent many/model.safetensors one/model.safetensors.index.json one/tokenizer_config.json one.part
[ "$(ls many/model-*-of-*.safetensors | wc -l)" -gt 4 ] || fail "50k gives several files"
run 0 "$aerie" export --model "$tiny" --output half --dtype bf16
grep -q '"torch_dtype": "bfloat16"' half/config.json || fail "half/config.json tells its type"
# f16 rounds too, and its numbers come back with the same bits.
run 0 "$aerie" export --model "$tiny" --output f16 --dtype f16
grep -q '"torch_dtype": "float16"' f16/config.json || fail "f16/config.json tells its type"
run 0 "$aerie" inspect f16 --tensors --json
grep -q '"dtype":"F32"\|"dtype":"BF16"' out && fail "another type than F16: $(cat out)"
run 0 "$aerie" export --model f16 --output f16-again --dtype f16
equal f16/model.safetensors f16-again/model.safetensors
grep -q '"torch_dtype": "float32"' one/config.json || fail "one/config.json tells its type"
for words in RecurrentGemmaForCausalLM '"pad_token_id": 0' '"eos_token_id": 1' '"bos_token_id": 2'; do
    grep -qF -- "$words" one/config.json || fail "config.json lacks $words"
done

# Of a run: tokenizer, chat template, and a card with what is known.
awk 'BEGIN { for (i = 0; i < 400; i++) print "The " i "th owl sees " i * 7 % 31 " mice and takes " i % 5 "." }' >owls.txt
run 0 "$aerie" tokenizer train --input owls.txt --output owls.model --vocab-size 300
run 0 "$aerie" data prepare --input owls.txt --tokenizer owls.model --output owls
run 0 "$aerie" pretrain run.dir=run-of-owls model.preset=small-1m model.width=32 model.heads=2 model.blocks=3 model.mlp_width=48 \
    data.train=owls/train.h5 data.heldout=owls/heldout.h5 train.row_tokens=64 train.batch_rows=2 train.steps=4 train.eval_every=2 \
    train.checkpoint_every=2 train.threads=1
run 0 "$aerie" export --model run-of-owls --output owl
for words in '# run-of-owls' 'steps: 4' 'tokens seen: ' 'owls/train.h5' 'held-out loss: ' '(step 4)' '"steps": 4' 'library_name: transformers'; do
    grep -qF -- "$words" owl/README.md || fail "the card lacks $words"
done
# The card's numbers are those of the run.
last=$(grep '"eval_loss"' run-of-owls/metrics.jsonl | tail -n 1)
number_of() { # KEY
    printf '%s' "$last" | sed "s/.*\"$1\": *\([-+.e0-9]*\).*/\1/"
}
card_has() { # FOLDER LINE
    grep -qxF -- "$2" "$1/README.md" || {
        fail "$1/README.md lacks the line '$2'"
        grep '^- ' "$1/README.md"
    }
}
card_has owl "$(LC_ALL=C printf -- '- held-out loss: %.4f nats a token, %.4f bits a byte (step 4)' "$(number_of eval_loss)" "$(number_of bits_per_byte)")"
run 0 "$aerie" inspect owls/train.h5 --json
card_has owl "- hashes of the token sets: \`$(sed 's/.*"loss_mask":false,"hash":"\([0-9a-f]*\)".*/\1/' out)\`"
run 0 "$aerie" inspect run-of-owls --json
card_has owl "- tokens seen: $(sed 's/.*"step":4,"tokens":\([0-9]*\),.*/\1/' out)"
card_has owl '- held-out data: `owls/heldout.h5`'
# The last and the best are told apart, and what came behind the checkpoint is not of it.
cp -r run-of-owls told
cat >told/metrics.jsonl <<'END'
{"step": 2, "eval_loss": 1.25, "bits_per_byte": 0.5}
{"step": 4, "eval_loss": 2.75, "bits_per_byte": null}
{"step": 6, "eval_loss": 0.125, "bits_per_byte": 0.25}
END
run 0 "$aerie" export --model told --output told-out
card_has told-out '- held-out loss: 2.7500 nats a token (step 4)'
card_has told-out '- best held-out loss so far: 1.2500 nats a token (step 2)'
rm told/metrics.jsonl
run 0 "$aerie" export --model told --output untold
grep -q '^- held-out loss' untold/README.md && fail "a loss without metrics"
grep -q '^- best held-out loss so far: .* (step 2)$' untold/README.md || fail "the checkpoint itself knows its best"

# What ends an answer, as a list, and the text of the chat template.
run 0 "$aerie" tokenizer inspect owls.model --json
end=$(sed 's/.*"end_of_turn":\([0-9]*\).*/\1/' out)
has_ends() { # FOLDER IDS
    tr -d ' \n' <"$1/generation_config.json" | grep -qF "{\"bos_token_id\":2,\"eos_token_id\":$2,\"pad_token_id\":0}" ||
        fail "$1/generation_config.json: expected the ends $2: $(cat "$1/generation_config.json")"
}
[ "$end" -gt 3 ] || fail "end_of_turn is $end"
has_ends owl "[1,$end]"
has_ends one '[1]'
sed -n 's/^ *"chat_template": \(".*"\),*$/\1/p' owl/tokenizer_config.json >template
equal template "$here/chat_template.json" "the chat template"
equal owl/tokenizer.model owls.model
for words in GemmaTokenizer '"add_bos_token": true' '<start_of_turn>' chat_template '"mask_token": null'; do
    grep -qF -- "$words" owl/tokenizer_config.json || fail "tokenizer_config.json lacks $words"
done
grep -qF '"pad_token_id": 0' owl/generation_config.json || fail "generation_config.json names pad"
echo '{"text": "The 7th owl sees 18 mice."}' >owl.jsonl
run 0 "$aerie" score --model run-of-owls --input owl.jsonl --output s-run
run 0 "$aerie" score --model owl --input owl.jsonl --output s-owl
equal s-run s-owl
run 0 "$aerie" generate --model owl --prompt "The 7th" --max-new 3 --temperature 0

# One process at a time, and without its metrics too.
rm run-of-owls/metrics.jsonl
rm -f held go
mkfifo go
flock run-of-owls sh -c 'touch held; read -r line <go' &
i=0
while [ ! -e held ] && [ $i -lt 200 ]; do sleep 0.05; i=$((i + 1)); done
run 2 "$aerie" pretrain run-of-owls/config.yaml
says "another process is writing there"
absent run-of-owls/metrics.jsonl
echo >go
wait
rm -f held go

# A run is no configuration, but holds one.
run 2 "$aerie" pretrain run-of-owls
says "did you mean run-of-owls/config.yaml?"

# JSON that only others read is looked at; a tokenizer of another size is wondered at.
cp -r owl odd-owl
echo '{' >odd-owl/generation_config.json
run 3 "$aerie" inspect odd-owl
prints "generation_config.json"
run 0 "$aerie" tokenizer train --input owls.txt --output odd-owl/tokenizer.model --vocab-size 290 --force
run 0 "$aerie" score --model odd-owl --input owl.jsonl
grep -q "290 pieces for a table of 300 rows" err || fail "another tokenizer is taken without a word"

# A run that starts anew keeps the metrics that there were.
cp -r run-of-owls anew && rm -r anew/checkpoints && echo '{"step":1}' >anew/metrics.jsonl
run 0 "$aerie" pretrain anew/config.yaml run.dir=anew
[ "$(cat anew/metrics.jsonl.before)" = '{"step":1}' ] || fail "old metrics are lost"
grep -q "metrics.jsonl.before has the whole file" err || fail "a copy of the metrics is told"

# What config.json has no word for is refused by its key, and leaves nothing.
for key in model.window=-1 model.soft_cap=0 model.scale_embeddings=no; do
    rm -rf odd
    run 0 "$aerie" pretrain run.dir=odd model.preset=small-1m model.width=32 model.heads=2 model.blocks=3 model.mlp_width=48 $key \
        data.train=owls/train.h5 train.row_tokens=64 train.batch_rows=1 train.steps=1 train.threads=1
    run 3 "$aerie" export --model odd --output none
    says "${key%%=*}"
    absent none none.part
done

# Nothing is replaced unasked, and never what somebody else wrote, nor the model that is read.
run 2 "$aerie" export --model "$tiny" --output one
says "--force"
run 0 "$aerie" export --model "$tiny" --output many --force
absent many/model.safetensors.index.json
run 2 "$aerie" export --model one --output one --force
says "holds what is read"
# What a kill has left beside the output may be the only copy of what is read.
cp -r one two.part
run 2 "$aerie" export --model two.part --output two
says "two.part: holds what is read"
equal one/model.safetensors two.part/model.safetensors
absent two
rm -r two.part
mkdir two.before && echo mine >two.before/notes
run 2 "$aerie" export --model one --output two
says "holds 'notes'"
rm -r two.before
# Of two that write one output the second is told, and touches nothing of the first's.
mkdir two.part && echo theirs >two.part/config.json
mkfifo go
flock two.part sh -c 'touch held; read -r line <go' &
i=0
while [ ! -e held ] && [ $i -lt 200 ]; do sleep 0.05; i=$((i + 1)); done
run 2 "$aerie" export --model one --output two
says "another process is writing there"
run 2 "$aerie" merge one one --output two
says "another process is writing there"
[ "$(cat two.part/config.json)" = theirs ] || fail "the other's folder was touched"
echo >go
wait
# What a killed export left there does not come along.
echo '{}' >two.part/generation_config.json && echo x >two.part/model-00009-of-00009.safetensors
run 0 "$aerie" export --model one --output two
absent two.part two/model-00009-of-00009.safetensors
# A link is not followed, and "." cannot be moved into place.
mkdir elsewhere && ln -s elsewhere three.part
run 2 "$aerie" export --model one --output three
says "three.part"
[ -z "$(ls elsewhere)" ] || fail "a link was followed"
mkdir empty
run 0 "$aerie" export --model one --output empty
run 2 "$aerie" export --model one --output ""
says "--output"
run 2 "$aerie" export --model one --output .
says "'.'"
run 2 "$aerie" export --model one --output /dev/full
says "found a file that is none"
echo precious >many/notes.txt
run 2 "$aerie" export --model "$tiny" --output many --force
says "notes.txt"
run 2 "$aerie" export --model "$tiny"
says "--output"
run 2 "$aerie" export --output new
says "--model"
run 2 "$aerie" export --model "$tiny" --output new --dtype f64
says "f32, bf16 or f16"
run 3 "$aerie" export --model missing --output new
absent new
finish
