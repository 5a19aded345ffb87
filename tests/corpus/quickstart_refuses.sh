#!/bin/sh
# What scripts/quickstart.sh, scripts/align.sh and scripts/goodhart.sh refuse before they install or build anything.
# usage: quickstart_refuses.sh ROOT
set -eu
quickstart=$1/scripts/quickstart.sh
align=$1/scripts/align.sh
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

fail() {
    echo "$*" >&2
    exit 1
}

refused() { # STATUS PART-OF-MESSAGE ARGUMENT...
    want=$1
    part=$2
    shift 2
    status=0
    "$script" "$@" >out 2>err || status=$?
    [ "$status" -eq "$want" ] || fail "$*: expected status $want, found $status: $(cat err)"
    [ ! -s out ] || fail "$*: expected nothing on stdout"
    [ "$(wc -l <err)" -eq 1 ] && grep -qF "$part" err || fail "$*: expected one line with \"$part\", found: $(cat err)"
}

script=$quickstart
"$quickstart" --help | grep -q '^usage: ' || fail "--help shows no usage"
refused 2 "no such flag" --bogus
refused 2 "needs a value" --dir
refused 2 "whole number" --minutes 0
refused 2 "whole number" --minutes soon
refused 3 "missing.txt" missing.txt
mkdir full
echo kept >full/file
refused 2 "expected an empty folder" --dir full
[ "$(ls full)" = file ] || fail "a refused folder was changed"
mkdir other
echo stories >other/source
echo words >book.txt
refused 2 "was begun with stories" --dir other book.txt
[ "$(cat other/source)" = stories ] || fail "the source of a refused folder was changed"
refused 2 "expected one text" book.txt other.txt
refused 2 "expected one of build text tokens pretrain" --until bogus
refused 2 "no dialogues" --until tune book.txt

script=$align
"$align" --help | grep -q '^usage: ' || fail "--help shows no usage"
refused 2 "no such flag" --bogus
refused 2 "needs a value" --seeds
refused 2 "whole number" --steps 0
refused 2 "found bogus" --methods dpo,bogus
refused 2 "expected rule or model" --reward both
refused 2 "found questions" --until questions
refused 2 "found pairs" --exact-match --until pairs
refused 2 "KEY=VALUE" words
refused 3 "expected a run" --base missing
refused 2 "expected an empty folder" --dir full
[ "$(ls full)" = file ] || fail "a refused folder was changed"

script=$1/scripts/goodhart.sh
"$script" --help | grep -q '^usage: ' || fail "--help shows no usage"
refused 2 "no such flag" --bogus
refused 2 "needs a value" --pairs
refused 2 "whole number" --pairs 250,few
refused 2 "whole number" --answers 0
refused 2 "found results" --until results
refused 2 "KEY=VALUE" words
refused 3 "expected a run" --base missing
refused 2 "expected an empty folder" --dir full
[ "$(ls full)" = file ] || fail "a refused folder was changed"

# The best of several answers is chosen, the worst rejected; text keeps its escapes.
graded() { # GRADE GRADE ANSWER ANSWER
    printf '{"prompt":"p","meta":{}}\t{"tokens":[1],"text":"%s","finish":"stop"}\t{"tokens":[1],"text":"%s"}\t{"reward":%s,"asked":9}\t{"reward":%s}\n' \
        "$3" "$4" "$1" "$2" | awk -f "${align%/*}/best-and-worst.awk"
}
[ "$(graded 0.5 0.25 'a \"x\"' b)" = '{"prompt":"p","chosen":"a \"x\"","rejected":"b"}' ] || fail "another pair"
[ "$(graded 0.25 0.5 a b)" = '{"prompt":"p","chosen":"b","rejected":"a"}' ] || fail "the worst answer is chosen"
[ -z "$(graded 0.5 0.5 a b)" ] || fail "a pair of equal answers"
[ -z "$(graded 0.5 0.25 a '')" ] || fail "a pair with an empty answer"

# Dialogues as prompts: the last answer is what "exact" asks for.
turn='{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"It \"is\"."}],"kinds":['
[ "$(printf '%s"who"]}\n%s"again"]}\n' "$turn" "$turn" | awk -f "${align%/*}/questions.awk")" = \
    '{"messages":[{"role":"user","content":"q"}],"meta":{"answer":"It \"is\"."}}' ] || fail "another question"
