#!/bin/sh
. "$(dirname "$0")/common.sh"

awk 'BEGIN { for (i = 0; i < 400; i++) printf "the %d birds of the hill sing %d songs to a river\n%s", i, i * i, i % 5 ? "" : "\n" }' >corpus.txt
awk 'BEGIN { for (i = 0; i < 60; i++) printf "the birds sing %d songs\n", i }' >used.txt
run 0 "$aerie" tokenizer train --input corpus.txt --output t.model --vocab-size 340

# A tokenizer alone.
run 0 "$aerie" tokenizer trim --tokenizer t.model --input used.txt --output less.model --json
prints '"pieces_before":340'
pieces=$(sed 's/.*"pieces_after":\([0-9]*\).*/\1/' out)
[ "$pieces" -gt 262 ] && [ "$pieces" -lt 330 ] || fail "$pieces pieces stay"
grep -q '"tokens_before":\([0-9]*\),"tokens_after":\1}' out || fail "the corpus takes other tokens: $(cat out)"
"$aerie" tokenizer encode --tokenizer t.model --json <used.txt | sed 's/.*"pieces"//' >before
"$aerie" tokenizer encode --tokenizer less.model --json <used.txt | sed 's/.*"pieces"//' >after
equal before after "pieces of kept text"
run 2 "$aerie" tokenizer trim --tokenizer t.model --input used.txt --output less.model
says 'less.model: exists already; --force replaces it'
run 0 "$aerie" tokenizer trim --tokenizer t.model --input used.txt --output less.model --min-count 50 --force --json
few=$(sed 's/.*"pieces_after":\([0-9]*\).*/\1/' out)
[ "$few" -lt "$pieces" ] || fail "--min-count 50 keeps $few pieces, without it $pieces"
echo ' river' >keep
run 0 "$aerie" tokenizer trim --tokenizer t.model --input used.txt --output kept.model --keep keep
run 0 "$aerie" tokenizer encode --tokenizer kept.model --input keep --json
prints 'river"]'
echo 'no such piece' >keep
run 3 "$aerie" tokenizer trim --tokenizer t.model --input used.txt --output x.model --keep keep
says "keep:1: expected a piece of t.model, found 'no such piece'"
run 2 "$aerie" tokenizer trim --input used.txt --output x.model
says 'expected either --tokenizer or --model, found neither'
run 2 "$aerie" tokenizer trim --tokenizer t.model --output x.model
says '--input is missing'
run 3 "$aerie" tokenizer trim --tokenizer corpus.txt --input used.txt --output x.model
says 'corpus.txt: expected a sentencepiece model'
absent x.model

# A model and its table.
run 0 "$aerie" data prepare --input corpus.txt --tokenizer t.model --output set
run 0 "$aerie" pretrain run.dir=run model.preset=small-1m model.width=64 model.blocks=3 data.train=set/train.h5 \
    train.row_tokens=64 train.batch_rows=2 train.steps=4 optim.lr=1e-3
run 0 "$aerie" tokenizer trim --model run --input used.txt --output less --json
prints "\"pieces_after\":$pieces"
prints "\"bytes_saved\":$(((340 - pieces) * 64 * 4))"
run 2 "$aerie" tokenizer trim --model run --input used.txt --output less
run 0 "$aerie" tokenizer trim --model run --input used.txt --output less --force

# What two answers to one question differ by is what it was: both lose the same share of the vocabulary.
echo '{"text": "the birds sing 12 songs"}' >line
run 0 "$aerie" score --model run --input line --top 340
cp out whole
run 0 "$aerie" score --model less --input line --top "$pieces"
last_place() { sed 's/.*\[\[\([^"]*\)\]\]\]}$/\1/; s/\]\],\[\[/\n/g' "$1" | tail -1 | sed 's/\],\[/\n/g'; }
run 0 "$aerie" tokenizer inspect t.model --json --pieces 340
sed 's/.*"pieces":\[//; s/","/"\n"/g' out | awk '{ print NR - 1, $0 }' >names_whole
run 0 "$aerie" tokenizer inspect less/tokenizer.model --json --pieces "$pieces"
sed 's/.*"pieces":\[//; s/","/"\n"/g' out | awk '{ print NR - 1, $0 }' >names_less
run 0 "$aerie" score --model less --input line --top "$pieces"
last_place out | tr ',' ' ' >less_top
last_place whole | tr ',' ' ' >whole_top
[ "$(wc -l <less_top)" = "$pieces" ] || fail "--top gives $(wc -l <less_top) of $pieces pieces"
awk 'FILENAME == "names_whole" { name_of[$1] = substr($0, length($1) + 2); next }
     FILENAME == "names_less" { less_name[$1] = substr($0, length($1) + 2); next }
     FILENAME == "whole_top" { p[name_of[$1]] = $2; next }
     { if (!(less_name[$1] in p)) bad++
       d = $2 - p[less_name[$1]]; if (n++ == 0) first = d
       if (d - first > 2e-5 || first - d > 2e-5 || d < 0) bad++ }
     END { exit bad || n < 262 }' names_whole names_less whole_top less_top ||
    fail "differences of log-probabilities have changed"
run 0 "$aerie" generate --model less --prompt "the birds" --max-new 4 --temperature 0
run 0 "$aerie" data prepare --input used.txt --tokenizer less/tokenizer.model --output less_set
run 0 "$aerie" pretrain run.dir=again model.init=less data.train=less_set/train.h5 train.row_tokens=64 \
    train.batch_rows=2 train.steps=2 optim.lr=1e-3

# config.json tells the type of what is stored: float32, and bfloat16 where all of it is.
grep -q '"torch_dtype": "float32"' less/config.json || fail "less/config.json tells another type"
run 0 "$aerie" export --model less --output half --dtype bf16
run 0 "$aerie" tokenizer trim --model half --input used.txt --output half_less
grep -q '"torch_dtype": "bfloat16"' half_less/config.json || fail "half_less/config.json tells another type"
run 0 "$aerie" inspect half_less --json
prints '"BF16"'
grep -q '"F32"' out && fail "bfloat16 has become float32"
run 0 "$aerie" tokenizer trim --model half --input used.txt --output parts --shard-bytes 20k
[ -e parts/model.safetensors.index.json ] || fail "--shard-bytes gives several files"

# Whoever generates elsewhere stops where this model does.
grep -q '"eos_token_id": \[' less/generation_config.json || fail "less/generation_config.json tells no ends"
grep -q chat_template less/tokenizer_config.json || fail "less/tokenizer_config.json has no template"

# --force replaces a tokenizer, never another file.
echo precious >notes.txt
run 2 "$aerie" tokenizer trim --tokenizer less/tokenizer.model --input used.txt --output notes.txt --force
says 'expected a tokenizer to replace'
[ "$(cat notes.txt)" = precious ] || fail "notes.txt was replaced"

# A model without a tokenizer, and one of integers.
run 3 "$aerie" tokenizer trim --model "$fixtures/tiny" --input used.txt --output x
says 'expected a model with tokenizer.model, found none'
run 0 "$aerie" quantize --model less --output integers
run 3 "$aerie" tokenizer trim --model integers --input used.txt --output x
says 'expected real numbers, found integers'
run 2 "$aerie" tokenizer trim --model less --input used.txt --output less --force
says 'holds what is read'
absent x x.part
finish
