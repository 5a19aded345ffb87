#!/bin/bash
# From a fresh checkout to an aligned model that was trained here: installs packages, builds, writes a corpus of small
# stories, trains a tokenizer and a small model on it, tunes that model on questions and writing tasks, trains a reward
# model, learns from its rewards, and shows what changed. Your own text is pretrained on only: it has no dialogues.
set -euo pipefail
. "$(dirname "$0")/stages.sh"

usage="usage: scripts/quickstart.sh [--dir FOLDER] [--minutes N] [--until STAGE] [YOUR_TEXT]

  YOUR_TEXT       a text file or JSONL {\"text\": ...}, plain or .gz, instead of the made stories; pretraining only
  --dir FOLDER    where everything goes (default: runs/quickstart in the repository)
  --minutes N     about how long to pretrain (default 3); with tuning, reward model and RLHF three to four times that
  --until STAGE   the last stage: build, text, tokens, pretrain, tune, reward, rlhf, answers or report (default)

The same command again goes on where it stopped; without --until, or with a later stage, it goes further."

root=$(cd "$(dirname "$0")/.." && pwd)
dir=$root/runs/quickstart
minutes=3
until=report
text=
stages=(build text tokens pretrain tune reward rlhf answers report)

while [ $# -gt 0 ]; do
    case "$1" in
    -h | --help)
        echo "$usage"
        exit 0
        ;;
    --dir | --minutes | --until)
        [ $# -ge 2 ] || refuse 2 "$1 needs a value; --help says more"
        case "$1" in
        --dir) dir=$2 ;;
        --minutes) minutes=$2 ;;
        *) until=$2 ;;
        esac
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
whole_number --minutes "$minutes"
[[ " ${stages[*]} " == *" $until "* ]] || refuse 2 "--until: expected one of ${stages[*]}, found $until"
if [ -n "$text" ]; then
    [ -f "$text" ] && [ -r "$text" ] || refuse 3 "$text: expected a text file that can be read, found none"
    text=$(realpath "$text")
    stages=(build text tokens pretrain report)
    [[ " ${stages[*]} " == *" $until "* ]] ||
        refuse 2 "--until $until: your text has no dialogues to tune on; expected one of ${stages[*]}"
fi
dir=$(own_folder "$dir" source)

# A folder stays with the text it was begun with.
source_line="${text:-stories}$([ -z "$text" ] || stat -c ' (%s bytes)' "$text")"
if [ -f "$dir/source" ]; then
    found=$(cat "$dir/source")
    [ "$found" = "$source_line" ] ||
        refuse 2 "$dir: was begun with $found, now asked for $source_line; give another folder with --dir"
fi
echo "$source_line" >"$dir/source"

aerie=$root/build/release/cli/aerie
# Recipes name aerie-stories, the program that grades stories, without its folder.
export PATH="$root/build/release/corpus:$PATH"

# ---- a model of text ----

stage_build() {
    echo "packages first; the build takes about a minute on two cores"
    build "$root" "$dir/build.log"
}

stage_text() {
    vocabulary=1024
    if [ -n "$text" ]; then
        prompts=("The" "It was" "When")
        [ "$(stat -c %s "$text")" -ge 200000 ] || vocabulary=512
        echo "yours: $source_line"
        return
    fi
    prompts=("Once upon a time" "Long ago, there lived a young girl named Tess."
        "In a small village there was a red fox named Rusty. Rusty had a yellow kite.")
    text=$dir/stories.jsonl
    if [ ! -f "$text" ]; then
        aerie-stories --bytes 4M --seed 1 >"$text.part"
        mv "$text.part" "$text"
    fi
    echo "$(wc -l <"$text") stories, $(stat -c %s "$text") bytes: $text"
    head -n 1 "$text" | cut -c 1-200
}

stage_tokens() {
    if [ ! -f "$dir/tokenizer.model" ]; then
        "$aerie" tokenizer train --input "$text" --output "$dir/tokenizer.model" --vocab-size $vocabulary
    fi
    if [ ! -f "$dir/tokens/heldout.h5" ]; then
        "$aerie" data prepare --input "$text" --tokenizer "$dir/tokenizer.model" --output "$dir/tokens" --force
    fi
    echo "tokenizer: $dir/tokenizer.model, token sets: $dir/tokens"
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

write_config() { # STEPS
    sed -e "s|^\( *dir:\).*|\1 $(quoted "$dir/run")|" \
        -e "s|^\( *train:\) ..*|\1 $(quoted "$dir/tokens/train.h5")|" \
        -e "s|^\( *heldout:\).*|\1 $(quoted "$dir/tokens/heldout.h5")|" \
        -e "s|^\( *steps:\).*|\1 $1|" \
        -e "s|^\( *sample_prompt:\).*|\1 $(quoted "${prompts[0]}")|" "$root/configs/quickstart.yaml" >"$dir/config.yaml"
}

stage_pretrain() {
    local steps
    echo "the model learns to continue text, about $minutes min"
    if [ ! -d "$dir/run" ]; then
        write_config 1000
        steps=$(steps_in_time) || refuse 1 "aerie plan gave no time for a step"
        write_config "$steps"
    else
        echo "going on with the steps of $dir/config.yaml"
    fi
    "$aerie" pretrain "$dir/config.yaml"
    echo "what it writes (text after each prompt is the model's):"
    for prompt in "${prompts[@]}"; do
        printf '\n%s' "$prompt"
        "$aerie" generate --model "$dir/run" --prompt "$prompt" --max-new 320 --temperature 0.7 --seed 1 --quiet
    done
}

# ---- a model that answers ----

# The recipe of a stage, with the steps that fit SHARE of the minutes at the rate of pretraining. COST is how many tokens
# of pretraining a step takes as long as.
recipe() { # NAME SHARE COST
    local steps
    if [ ! -f "$dir/$1.yaml" ]; then
        steps=$(awk -v rate="$(rate_of "$dir/run")" -v seconds=$((minutes * 60)) -v share="$2" -v cost="$3" \
            'BEGIN { steps = int(share * seconds * rate / cost / 10) * 10; print steps < 20 ? 20 : steps }')
        sed "s|^\( *steps:\).*|\1 $steps|" "$root/configs/quickstart-$1.yaml" >"$dir/$1.yaml.part"
        mv "$dir/$1.yaml.part" "$dir/$1.yaml"
    fi
    echo "recipe: $dir/$1.yaml"
}

stage_tune() {
    echo "the model learns to answer questions about stories and to write what it is asked for"
    if [ ! -f "$dir/chat/writing-heldout.jsonl" ]; then
        rm -rf "$dir/chat.part"
        aerie-stories --chat "$dir/chat.part" --rows 15000
        mv "$dir/chat.part" "$dir/chat"
    fi
    recipe tune 1 2048
    (cd "$dir" && "$aerie" sft tune.yaml)
}

stage_reward() {
    echo "a second model learns from pairs of stories which of two is better"
    recipe reward 0.5 4200
    (cd "$dir" && "$aerie" reward reward.yaml)
}

stage_rlhf() {
    echo "the tuned model learns from the rewards of its own stories"
    recipe rlhf 0.9 22000
    (cd "$dir" && "$aerie" rlhf rlhf.yaml)
}

# Stories of MODEL to the same prompts with their true grade, a line each.
write_stories() { # MODEL
    head -n 3 "$dir/chat/prompts-heldout.jsonl" >"$dir/asked.jsonl"
    sed 's/^{"prompt":\("[^"]*"\).*/{"messages": [{"role": "user", "content": \1}]}/' "$dir/asked.jsonl" |
        "$aerie" generate --model "$dir/$1" --input - --max-new 200 --seed 1 --quiet >"$dir/$1-stories.jsonl"
    aerie-stories --grade "$dir/asked.jsonl" "$dir/$1-stories.jsonl" 2>/dev/null | grep -o '"reward":[0-9.]*' |
        paste "$dir/asked.jsonl" "$dir/$1-stories.jsonl" - |
        sed 's/^{"prompt":"\([^"]*\)".*"text":"\(\([^"\\]\|\\.\)*\)".*"reward":\([0-9.]*\)$/\1\n  \4  \2/'
}

stage_answers() {
    local tale
    echo "stories before RLHF, each with its true grade:"
    write_stories tune
    printf '\nand after:\n'
    write_stories rlhf
    tale='Not far from here lived a slow turtle named Toby. His friend was a red fox named Rusty. One afternoon they went to the park. The weather was snowy. Toby had a kite. The kite was green. They were happy.'
    printf '\nthe aligned model chats, too:\n> %s How was the weather?\n' "$tale"
    printf '%s\\\n\\\nHow was the weather?\nWhere did they go?\n' "$tale" |
        "$aerie" chat --model "$dir/rlhf" --temperature 0 --quiet
}

# ---- results ----

report_of_text() {
    "$aerie" plot "$dir/run" --output "$dir/loss.png" --force
    "$aerie" plot "$dir/run"
    cat <<END_OF_TEXT

In $dir:
  run/             the model, its checkpoints and metrics.jsonl
  run/report.html  curves, figures and samples, for a browser
  loss.png         the loss curve
  config.yaml      the recipe of this run

Next
  $aerie generate --model $dir/run --prompt "${prompts[0]}" --temperature 0.5
  $aerie plan model.preset=small-25m data.train=$dir/tokens/train.h5
  $root/scripts/quickstart.sh --dir runs/book --minutes 10 YOUR_BOOK.txt
END_OF_TEXT
}

report_of_all() {
    [ -d "$dir/hf" ] || "$aerie" export --model "$dir/rlhf" --output "$dir/hf"
    "$aerie" plot "$dir/run" --output "$dir/loss.png" --force
    "$aerie" plot "$dir/run" "$dir/tune" "$dir/reward" "$dir/rlhf" --output "$dir/report.html" --force
    "$aerie" plot "$dir/rlhf" --table
    cat <<END_OF_TEXT

In $dir:
  report.html             all stages: curves, figures and samples, for a browser
  run/ tune/ reward/ rlhf/  the models, their checkpoints and metrics.jsonl
  hf/                     the aligned model for transformers
  config.yaml, tune.yaml, reward.yaml, rlhf.yaml  the recipes of these runs

Next
  $aerie chat --model $dir/rlhf
  $root/scripts/align.sh        every method of RLHF on one task whose true reward is known
  $root/scripts/quickstart.sh --dir runs/book --minutes 10 YOUR_BOOK.txt
END_OF_TEXT
}

stage_report() {
    if [ "$source_line" = stories ]; then report_of_all; else report_of_text; fi
}

run_stages "$until" "${stages[@]}"
printf '\nDone in %d s\n' "$SECONDS"
