#!/bin/bash
# From a fresh checkout to samples of a model trained here: installs packages, builds, makes a corpus of small stories (or
# takes your text), trains a tokenizer and a small model on it, and prints what the model writes.
set -euo pipefail

usage="usage: scripts/quickstart.sh [--dir FOLDER] [--minutes N] [YOUR_TEXT]

  YOUR_TEXT       a text file or JSONL {\"text\": ...}, plain or .gz, instead of the made stories
  --dir FOLDER    where everything goes (default: runs/quickstart in the repository)
  --minutes N     about how long to train (default 3)

The same command again goes on where it stopped."

root=$(cd "$(dirname "$0")/.." && pwd)
dir=$root/runs/quickstart
minutes=3
text=

refuse() { # STATUS MESSAGE
    echo "quickstart: $2" >&2
    exit "$1"
}

while [ $# -gt 0 ]; do
    case "$1" in
    -h | --help)
        echo "$usage"
        exit 0
        ;;
    --dir | --minutes)
        [ $# -ge 2 ] || refuse 2 "$1 needs a value; --help says more"
        if [ "$1" = --dir ]; then dir=$2; else minutes=$2; fi
        shift
        ;;
    -*) refuse 2 "$1: no such flag; --help lists those there are" ;;
    *)
        [ -z "$text" ] || refuse 2 "expected one text, found $text and $1"
        text=$1
        ;;
    esac
    shift
done
[[ "$minutes" =~ ^[1-9][0-9]{0,4}$ ]] || refuse 2 "--minutes: expected a whole number from 1, found $minutes"
if [ -n "$text" ]; then
    [ -f "$text" ] && [ -r "$text" ] || refuse 3 "$text: expected a text file that can be read, found none"
    text=$(realpath "$text")
fi
mkdir -p "$dir" 2>/dev/null || refuse 2 "$dir: this folder cannot be made; give another with --dir"
[ -w "$dir" ] || refuse 2 "$dir: this folder cannot be written; give another with --dir"
dir=$(cd "$dir" && pwd)

# A folder stays with the text it was begun with.
source_line="${text:-stories}$([ -z "$text" ] || stat -c ' (%s bytes)' "$text")"
if [ -f "$dir/source" ]; then
    found=$(cat "$dir/source")
    [ "$found" = "$source_line" ] ||
        refuse 2 "$dir: was begun with $found, now asked for $source_line; give another folder with --dir"
elif [ -n "$(ls -A "$dir")" ]; then
    refuse 2 "$dir: expected an empty folder or one of this script, found other files; give another with --dir"
fi
echo "$source_line" >"$dir/source"

# Threads that sleep while they wait: on a machine with other work, spinning ones are many times slower.
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}

step() {
    printf '\n== %s\n' "$*"
}

build() {
    local log=$dir/build.log
    "$root/scripts/install-packages.sh" --build-only
    (cd "$root" && cmake --preset release -DAERIE_TESTS=OFF &&
        cmake --build --preset release --target aerie aerie-stories) >"$log" 2>&1 || {
        tail -n 30 "$log" >&2
        refuse 1 "the build failed; all of its output is in $log"
    }
}

# Steps of this recipe that take the wanted time here, by what the plan says of this machine. Small matrices keep the
# machine less busy than the plan supposes: hence the share.
steps_in_time() {
    "$aerie" plan "$dir/config.yaml" --json 2>/dev/null | awk -v seconds=$((minutes * 60)) '
        match($0, /"step_s":[0-9.e+-]+/) { step_s = substr($0, RSTART + 9, RLENGTH - 9) }
        END {
            if (step_s <= 0) exit 1
            steps = int(0.55 * seconds / step_s / 10) * 10
            print steps < 50 ? 50 : steps
        }'
}

# A path or prompt as YAML text, fit for the right side of a sed command.
quoted() {
    printf '"%s"' "$1" | sed -e 's/[\\&|]/\\&/g'
}

write_config() { # STEPS
    sed -e "s|^\( *dir:\).*|\1 $(quoted "$dir/run")|" \
        -e "s|^\( *train:\) ..*|\1 $(quoted "$dir/tokens/train.h5")|" \
        -e "s|^\( *heldout:\).*|\1 $(quoted "$dir/tokens/heldout.h5")|" \
        -e "s|^\( *steps:\).*|\1 $1|" \
        -e "s|^\( *sample_prompt:\).*|\1 $(quoted "${prompts[0]}")|" "$root/configs/quickstart.yaml" >"$dir/config.yaml"
}

step "1/6 build (packages first; the build takes about a minute on two cores)"
started=$SECONDS
build
echo "built in $((SECONDS - started)) s"
built=$SECONDS
aerie=$root/build/release/cli/aerie

step "2/6 text"
vocabulary=1024
if [ -n "$text" ]; then
    prompts=("The" "It was" "When")
    [ "$(stat -c %s "$text")" -ge 200000 ] || vocabulary=512
    echo "yours: $source_line"
else
    prompts=("Once upon a time" "Long ago, there lived a young girl named Tess."
        "In a small village there was a red fox named Rusty. Rusty had a yellow kite.")
    text=$dir/stories.jsonl
    if [ ! -f "$text" ]; then
        "$root/build/release/corpus/aerie-stories" --bytes 4M --seed 1 >"$text.part"
        mv "$text.part" "$text"
    fi
    echo "$(wc -l <"$text") stories, $(stat -c %s "$text") bytes: $text"
    head -n 1 "$text" | cut -c 1-200
fi

step "3/6 tokenizer and token sets"
if [ ! -f "$dir/tokenizer.model" ]; then
    "$aerie" tokenizer train --input "$text" --output "$dir/tokenizer.model" --vocab-size $vocabulary
fi
if [ ! -f "$dir/tokens/heldout.h5" ]; then
    "$aerie" data prepare --input "$text" --tokenizer "$dir/tokenizer.model" --output "$dir/tokens" --force
fi
echo "tokenizer: $dir/tokenizer.model, token sets: $dir/tokens"

step "4/6 training, about $minutes min"
if [ ! -d "$dir/run" ]; then
    write_config 1000
    steps=$(steps_in_time) || refuse 1 "aerie plan gave no time for a step"
    write_config "$steps"
else
    echo "going on with the steps of $dir/config.yaml"
fi
"$aerie" pretrain "$dir/config.yaml"

step "5/6 what it writes (text after each prompt is the model's)"
for prompt in "${prompts[@]}"; do
    printf '\n%s' "$prompt"
    "$aerie" generate --model "$dir/run" --prompt "$prompt" --max-new 320 --temperature 0.7 --seed 1 --quiet
done

step "6/6 picture and report"
"$aerie" plot "$dir/run" --output "$dir/loss.png" --force
"$aerie" plot "$dir/run"

cat <<END

Done, $((SECONDS - built)) s after the build. In $dir:
  run/             the model, its checkpoints and metrics.jsonl
  run/report.html  curves, figures and samples, for a browser
  loss.png         the loss curve
  config.yaml      the recipe of this run

Next
  $aerie generate --model $dir/run --prompt "${prompts[0]}" --temperature 0.5
  $aerie plan model.preset=small-25m data.train=$dir/tokens/train.h5
  $root/scripts/quickstart.sh --dir runs/book --minutes 10 YOUR_BOOK.txt
END
