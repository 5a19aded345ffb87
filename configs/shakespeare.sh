#!/bin/bash
# Shakespeare, 1.1 MB: tokenizer on the first nine tenths, training on them, scored on the last tenth.
# usage: configs/shakespeare.sh TEXT [FOLDER]     FOLDER (default runs/shakespeare) takes everything; again: goes on
set -euo pipefail
. "$(dirname "$0")/recipe.sh"
[ $# -ge 1 ] && [ $# -le 2 ] || refuse 2 "usage: $0 TEXT [FOLDER]"
text=$1
dir=${2:-runs/shakespeare}
check_program
check_text "$text"
mkdir -p "$dir"

bytes=$(stat -c %s "$text")
head -c $((bytes * 9 / 10)) "$text" >"$dir/first.txt"
tail -c $((bytes - bytes * 9 / 10)) "$text" >"$dir/last.txt"
[ -f "$dir/tokenizer.model" ] ||
    "$aerie" tokenizer train --input "$dir/first.txt" --output "$dir/tokenizer.model" --vocab-size 1024
[ -f "$dir/tokens/heldout.h5" ] ||
    "$aerie" data prepare --input "$text" --tokenizer "$dir/tokenizer.model" --output "$dir/tokens" --heldout 0.1 --force
"$aerie" pretrain "$configs/shakespeare.yaml" run.dir="$dir/run" data.train="$dir/tokens/train.h5" \
    data.heldout="$dir/tokens/heldout.h5"
score_text "$dir/run" "$dir/last.txt"
"$aerie" generate --model "$dir/run" --prompt "KING RICHARD III:
" --max-new 200 --temperature 0.8 --seed 1 --quiet
