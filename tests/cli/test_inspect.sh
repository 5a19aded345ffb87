#!/bin/sh
. "$(dirname "$0")/common.sh"

awk 'BEGIN { for (i = 0; i < 200; i++) printf "the %d birds of the hill sing %d songs to a river\n", i, i * i }' >book.txt
run 0 "$aerie" tokenizer train --input book.txt --output t.model --vocab-size 330
run 0 "$aerie" data prepare --input book.txt --tokenizer t.model --output book --split-on '\n'
run 0 "$aerie" pretrain run.dir=run model.preset=small-1m model.width=64 model.blocks=3 data.train=book/train.h5 \
    train.row_tokens=32 train.batch_rows=2 train.steps=4 train.checkpoint_every=2 run.seed=7
step=run/checkpoints/step-000004

# damage FILE BYTE: another value there.
damage() {
    printf '\377' | dd of="$1" bs=1 seek="$2" conv=notrunc 2>dd
}

hash_of() {
    sed -n 's/.*"hash":"\([0-9a-f]*\)".*/\1/p'
}

# finds FAULT: the report has it as a fault, and the error line only counts.
finds() {
    prints "$1"
    says ": not whole: "
    grep '^aerie: ' err | grep -qF -- "$1" && fail "'$1' is told twice"
}

# What each kind of thing is.
run 0 "$aerie" inspect t.model
prints "kind    tokenizer"
prints "pieces         330"
run 0 "$aerie" tokenizer inspect t.model --json
hash_of <out >want
run 0 "$aerie" inspect t.model --json
prints "\"hash\":\"$(cat want)\""
run 0 "$aerie" inspect book/train.h5 --json
prints '"kind":"token set","whole":true,"faults":[]'
prints "\"hash\":\"$(cat want)\""
prints '"manifest":{"made_by":"aerie'
prints '"split_on":"\n"'
set_hash=$(sed 's/.*"loss_mask":false,"hash":"\([0-9a-f]*\)".*/\1/' out)
run 0 "$aerie" inspect "$fixtures/tiny"
prints "kind           Hugging Face folder"
prints "parameters     77280"
prints "pattern           rrarr"
prints "whole          yes"
run 0 "$aerie" inspect "$fixtures/tiny/model.safetensors" --tensors
prints "kind           safetensors"
prints "model.final_norm.weight"
crc=$(gzip -c <"$fixtures/tiny/model.safetensors" | tail -c 8 | od -A n -t x4 -N 4 | tr -d ' ')
prints "$crc"

# A checkpoint and its run: where they come from; the set's hash is the one that its own inspection gives.
for path in run $step $step/; do
    run 0 "$aerie" inspect $path --json
    prints '"whole":true'
    prints '"provenance":{"run":"run","step":4,'
    prints '"seed":7'
    prints '"dtype":"f32"'
    prints "\"sets\":[\"$set_hash\"]"
    prints '"file":"optimizer.h5"'
    prints '"types":[{"type":"F32","tensors":57,'
done
run 0 "$aerie" inspect run
prints "     2  run/checkpoints/step-000002  yes"
run 0 "$aerie" inspect $step/weights.h5
prints "HDF5 tensors"

# --quick reads no file whole; what only a checksum sees stays unseen.
cp -r run hurt
damage hurt/checkpoints/step-000004/optimizer.h5 9000
run 0 "$aerie" inspect hurt --quick --json
prints '"crc32":null'
run 0 "$aerie" inspect hurt --quick
prints "sizes agree; contents not read"
prints "step-000004  sizes agree"
grep -E '^whole|\.h5|\.json|step-' out | grep -q '  yes$' && fail "--quick says yes of what it has not read"
run 3 "$aerie" inspect hurt
finds "hurt/checkpoints/step-000004/optimizer.h5: expected CRC-32"
says "hurt: not whole: 1 fault"
prints "step-000004  no"
prints "step-000002  yes"
damage hurt/checkpoints/step-000002/state.json 5
run 3 "$aerie" inspect hurt --json
prints '"step":2,"folder":"hurt/checkpoints/step-000002","whole":false'
prints 'step-000002/state.json: expected CRC-32'
prints 'step-000004/optimizer.h5: expected CRC-32'
says "hurt: not whole: 2 faults"

# A flipped bit in the weights of a checkpoint is seen by every verb that reads them, before anything is written.
cp -r $step flipped
damage flipped/weights.h5 $(($(stat -c %s flipped/weights.h5) / 2))
echo '{"text": "the birds"}' >lines.jsonl
refuses_flipped() {
    run 3 "$@"
    says "flipped/weights.h5: expected CRC-32"
}
refuses_flipped "$aerie" score --model flipped --input lines.jsonl
refuses_flipped "$aerie" generate --model flipped --prompt the --max-new 1
refuses_flipped "$aerie" export --model flipped --output flipped-out
refuses_flipped "$aerie" quantize --model flipped --output flipped-out
refuses_flipped "$aerie" merge --output flipped-out $step flipped
refuses_flipped "$aerie" tokenizer trim --model flipped --input book.txt --output flipped-out
refuses_flipped "$aerie" pretrain run.dir=flipped-out model.init=flipped data.train=book/train.h5 train.steps=1 train.row_tokens=32
absent flipped-out

# Truncated, missing, malformed: each is named, and the rest is told all the same.
cp -r $step cut
truncate -s 5000 cut/weights.h5
rm cut/tokenizer.model
run 3 "$aerie" inspect cut
prints "cut/weights.h5: expected"
prints "cut/tokenizer.model: expected a file of"
prints "optimizer.h5"
run 3 "$aerie" inspect cut --json
prints '"step":4'
cp -r $step undone
rm undone/DONE
run 3 "$aerie" inspect undone
finds "undone/DONE"
printf '{"../t.model": {"crc32": 1, "bytes": 2}}' >undone/DONE
run 3 "$aerie" inspect undone
finds "expected names of files beside it"
mkdir empty-run empty-run/checkpoints
run 3 "$aerie" inspect empty-run
finds "complete checkpoint"

# A sharded folder: a shard that is gone hides nothing else.
mkdir sharded
cp "$fixtures/tiny/config.json" sharded
cp "$fixtures/tiny/model.safetensors" sharded/model-00001-of-00002.safetensors
run 0 "$aerie" inspect "$fixtures/tiny" --tensors
sed -n 's/^  \(model[.a-z_0-9]*\) .*/\1/p' out | grep -v '\.safetensors$' >tensors
awk 'BEGIN { printf "{\"weight_map\": {" } { printf "%s\"%s\": \"model-00001-of-00002.safetensors\"", c, $1; c = ", " }
    END { print "}}" }' tensors >sharded/model.safetensors.index.json
run 0 "$aerie" inspect sharded
prints "F32        99     77280"
sed -i 's/00001-of-00002/00002-of-00002/' sharded/model.safetensors.index.json
run 3 "$aerie" inspect sharded
finds "sharded/model.safetensors.index.json: weight_map: expected model-00002-of-00002.safetensors beside it, found nothing there; copy it too"
says "sharded: not whole: 1 fault"
prints "parameters     77280"
prints "F32        99     77280"
run 3 "$aerie" score --model sharded --input lines.jsonl
says "sharded/model.safetensors.index.json: weight_map: expected model-00002-of-00002.safetensors beside it, found nothing there"
sed -i 's/"model-0000.-of-00002.safetensors"/"..\/sharded\/model-00001-of-00002.safetensors"/' sharded/model.safetensors.index.json
run 3 "$aerie" inspect sharded
finds "expected the name of a file beside the index"
cp -r "$fixtures/tiny" narrow
sed -i 's/"vocab_size": 64/"vocab_size": 65/' narrow/config.json
run 3 "$aerie" inspect narrow
prints "model.embed_tokens.weight: expected shape [65, 32], found [64, 32]"

# Safetensors written here carry a checksum, and a flipped byte is found by it; those of others have none.
run 0 "$aerie" inspect "$fixtures/tiny" --json
prints '"data_checksum":false'
run 0 "$aerie" export --model "$fixtures/tiny" --output whole
run 0 "$aerie" export --model "$fixtures/tiny" --output parts --shard-bytes 50k
for path in whole whole/model.safetensors parts; do
    run 0 "$aerie" inspect $path --json
    prints '"data_checksum":true'
done
run 0 "$aerie" inspect whole
prints "data checksum  yes"
run 0 "$aerie" inspect $step/weights.h5 --json
prints '"data_checksum":null'
cp -r whole bitten
damage bitten/model.safetensors $(($(stat -c %s bitten/model.safetensors) - 2))
for path in bitten bitten/model.safetensors; do
    run 3 "$aerie" inspect $path
    finds "bitten/model.safetensors: data: expected CRC-32 "
    says "$path: not whole: 1 fault"
    prints "data checksum  yes"
    run 0 "$aerie" inspect $path --quick --json
    prints '"whole":true,'
    prints '"data_checksum":null'
done
# Of shards each one is looked at.
second=$(ls parts | grep -- -00002-of-) third=$(ls parts | grep -- -00003-of-)
damage parts/"$second" $(($(stat -c %s parts/"$second") - 2))
damage parts/"$third" $(($(stat -c %s parts/"$third") - 2))
run 3 "$aerie" inspect parts
finds "parts/$second: data: expected CRC-32"
finds "parts/$third: data: expected CRC-32"
says "parts: not whole: 2 faults"
cp "$fixtures/tiny/model.safetensors" parts/model-00009-of-00009.safetensors
sed -i "s/\"$second\"/\"model-00009-of-00009.safetensors\"/" parts/model.safetensors.index.json
run 3 "$aerie" inspect parts --json
prints '"data_checksum":false'
finds "parts/$third: data: expected CRC-32"

# Files that end early.
cp book/train.h5 cut.h5
truncate -s 3000 cut.h5
run 3 "$aerie" inspect cut.h5
prints "kind    token set"
prints "cut.h5"
head -c 300 "$fixtures/tiny/model.safetensors" >cut.safetensors
run 3 "$aerie" inspect cut.safetensors
finds "cut.safetensors: header: expected"
head -c 700 t.model >cut.model
run 3 "$aerie" inspect cut.model
finds "cut.model: expected"

run 3 "$aerie" inspect nothing
says "found nothing there"
run 3 "$aerie" inspect book.txt
says "found none of them"
run 3 "$aerie" inspect book
run 2 "$aerie" inspect
run 2 "$aerie" inspect t.model t.model
# Lists of anything are shown, whatever a damaged file holds.
cp -r "$fixtures/tiny" mixed
printf '{"models": ["a", 1, null], "weights": [{"x": 1}, 2]}' >mixed/merge.json
run 0 "$aerie" inspect mixed
prints 'models'
finish
