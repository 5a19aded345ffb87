#!/bin/bash
# WikiText-2: one file to train on, another to test on; the last evaluation is the result.
# usage: configs/wikitext2.sh TRAIN TEST [FOLDER]     FOLDER (default runs/wikitext2) takes everything; again: goes on
set -euo pipefail
. "$(dirname "$0")/recipe.sh"
[ $# -ge 2 ] && [ $# -le 3 ] || refuse 2 "usage: $0 TRAIN TEST [FOLDER]"
dir=${3:-runs/wikitext2}
check_program
check_text "$1"
check_text "$2"
mkdir -p "$dir"

[ -f "$dir/tokenizer.model" ] ||
    "$aerie" tokenizer train --input "$1" --output "$dir/tokenizer.model" --vocab-size 2048
for part in train test; do
    [ $part = train ] && text=$1 || text=$2
    [ -f "$dir/$part/train.h5" ] ||
        "$aerie" data prepare --input "$text" --tokenizer "$dir/tokenizer.model" --output "$dir/$part" --heldout 0
done
"$aerie" pretrain "$configs/wikitext2.yaml" run.dir="$dir/run" data.train="$dir/train/train.h5" \
    data.heldout="$dir/test/train.h5"
"$aerie" generate --model "$dir/run" --prompt " The city" --max-new 200 --temperature 0.8 --seed 1 --quiet
