#!/bin/sh
. "$(dirname "$0")/common.sh"
odd_model=$3 on_terminal=$4
HOME=$work/home
export HOME
unset XDG_STATE_HOME NO_COLOR
mkdir home

# A small model that has seen some dialogues.
awk 'BEGIN { for (i = 0; i < 300; i++) printf "the %d birds of the höhe sing %d songs to a river — quietly\n", i, i * i }' >book.txt
awk 'BEGIN { for (i = 0; i < 100; i++) {
    printf "{\"messages\": [{\"role\": \"user\", \"content\": \"how many birds, %d?\"}, ", i
    printf "{\"role\": \"model\", \"content\": \"the %d birds of the höhe\"}, {\"role\": \"user\", \"content\": \"and songs?\"}, ", i
    printf "{\"role\": \"model\", \"content\": \"they sing %d songs\"}]}\n", i } }' >talks.jsonl
run 0 "$aerie" tokenizer train --input book.txt --output t.model --vocab-size 340
run 0 "$aerie" data prepare --input book.txt --tokenizer t.model --output book
run 0 "$aerie" pretrain run.dir=base model.preset=small-1m model.width=64 model.blocks=3 data.train=book/train.h5 \
    train.row_tokens=32 train.batch_rows=4 train.steps=2 train.sample_tokens=0
run 0 "$aerie" data prepare --kind chat --input talks.jsonl --tokenizer t.model --output talks
run 0 "$aerie" sft run.dir=tuned model.init=base data.train=talks/train.h5 train.row_tokens=96 train.batch_rows=8 train.steps=60 \
    optim.lr=0.005

# talk MODEL FLAGS... <LINES: what is written, without what is said about it.
talk() { run 0 "$aerie" chat --model "$@"; }

# The first answer is that of generate to the same dialogue; the later ones, greedy, too.
echo '{"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "how many birds, 5?"}]}' >first
run 0 "$aerie" generate --model tuned --input first --temperature 1 --seed 4 --max-new 40
sed 's/.*"text":"//; s/","finish".*//' out >want
echo 'how many birds, 5?' >lines
talk tuned --system 'Be brief.' --temperature 1 --seed 4 --max-new 40 <lines
equal out want "the first answer"
grep -q '^warning' err && fail "a warning about a tuned model"
printf 'how many birds, 5?\n\n   \nand songs?\n' >lines
talk tuned --temperature 0 --json <lines
[ "$(wc -l <out)" = 2 ] || fail "two messages, two answers"
grep -vqE '^\{"text":".*","tokens":\[[0-9,]+\],"finish":"(stop|length)"\}$' out && fail "form: $(cat out)"
answer() { sed -n "$1s/.*\"text\":\"//; $1s/\",\"tokens\".*//p" out; }
printf '{"messages": [{"role": "user", "content": "how many birds, 5?"}, {"role": "model", "content": "%s"}, %s]}\n' \
    "$(answer 1)" '{"role": "user", "content": "and songs?"}' >second
answer 2 >want
run 0 "$aerie" generate --model tuned --input second --temperature 0
sed 's/.*"text":"//; s/","finish".*//' out >got
equal want got "the second answer"

# A plain prompt is no turn: told once, and only of a model that was tuned on dialogues.
printf '{"prompt": "how many birds, 5?"}\n{"prompt": "and songs?"}\n' >plain
run 0 "$aerie" generate --model tuned --input plain --max-new 2
warns 'plain:1: plain text, but the model was tuned on dialogues'
[ "$(grep -c '^warning' err)" = 1 ] || fail "told once: $(cat err)"
run 0 "$aerie" generate --model tuned --prompt 'how many birds, 5?' --max-new 2
warns '--prompt: plain text, but the model was tuned on dialogues'
# Adapters beside a table that never learnt the turn markers: told where that is known, and not where the table trains.
beside() { # MODEL KEYS...
    from=$1
    shift
    run 0 "$aerie" sft run.dir=beside model.init="$from" data.train=talks/train.h5 train.row_tokens=96 train.steps=1 \
        lora.rank=2 --dry-run "$@"
}
markers="its table knows no turn markers; lora.also=embeddings"
beside base
warns "lora.also: base was pretrained on text, so $markers"
beside base lora.also=embeddings
grep -q "$markers" err && fail "warned of a table that trains: $(cat err)"
beside tuned
grep -q "$markers" err && fail "warned of a tuned model: $(cat err)"
run 0 "$aerie" sft run.dir=quiet model.init=tuned data.train=talks/train.h5 train.row_tokens=96 train.steps=1 --quiet
[ -s err ] && fail "--quiet is not: $(cat err)"

for of in "base plain" "tuned first"; do
    run 0 "$aerie" generate --model ${of% *} --input ${of#* } --max-new 2
    grep -q '^warning' err && fail "a warning of $of: $(cat err)"
done

# A bad row stops training with what to do.
echo '{"messages": [{"role": "user", "content": "how many?"}]}' >unanswered.jsonl
run 3 "$aerie" sft run.dir=none model.init=base data.train=unanswered.jsonl train.steps=1
says 'unanswered.jsonl:1: expected an answer of the model, found none; `aerie data validate unanswered.jsonl --kind chat --tokenizer '
says ' --fix OUT.jsonl` names every fault'

# Undo and retry. At temperature 0 all tries are one.
printf 'how many birds, 5?\nand songs?\n' >lines
talk tuned --temperature 1 --seed 4 <lines
cp out straight
printf 'how many birds, 5?\nhow many birds, 7?\n/undo\nand songs?\n' >lines
talk tuned --temperature 1 --seed 4 <lines
sed 2d out >got
equal straight got "a turn that was taken back"
printf 'how many birds, 5?\n/retry\n/retry\n' >lines
talk tuned --temperature 0 <lines
[ "$(sort -u out | wc -l)" = 1 ] || fail "greedy tries differ"
[ "$(grep -c 'always the same' err)" = 2 ] || fail "it is not told that they are alike"

# A message of two lines, one that begins with a slash, a new conversation.
printf 'how many\\\nbirds, 5?\n /undo is no command here\n/reset\nhow many birds, 5?\n/system Be brief.\nhow many birds, 5?\n/system\nhow many birds, 5?\n' >lines
talk tuned --temperature 0 --json <lines
[ "$(wc -l <out)" = 5 ] || fail "five messages, five answers"
sed -n '3p' out >third
sed -n '5p' out >fifth
equal third fifth "anew"
run 0 "$aerie" generate --model tuned --input first --temperature 0
sed 's/.*"text":"//; s/","finish".*//' out >want
printf '/system Be brief.\nhow many birds, 5?\n' >lines
talk tuned --temperature 0 <lines
equal out want "/system"

# Saved and loaded by another program it goes on as it would have; flags of the command line stay.
printf 'how many birds, 5?\nand songs?\n/save kept/talk.h5\nhow many birds, 8?\nand songs?\n' >lines
talk tuned --temperature 1 --seed 4 <lines
sed 1,2d out >want
printf '/load kept/talk.h5\nhow many birds, 8?\nand songs?\n' >lines
talk tuned <lines
equal out want "a conversation that was loaded"
talk tuned --temperature 0 --json <lines
cp out greedy
printf '/load kept/talk.h5\n/undo\nand songs?\n/save\n/save other.h5\n/undo\n/save\n/load kept/talk.h5\n/load other.h5\n' >lines
talk tuned <lines
grep -q '^2 turns' err || fail "/save without a name: $(cat err)"
grep -q '^1 turn, ' err || fail "/save keeps to the last name: $(cat err)"
printf 'how many birds, 1?\n/save other.h5\n' >lines
run 2 "$aerie" chat --model tuned <lines
says "standard input:2: other.h5: exists already; /save --force other.h5"
printf 'how many birds, 1?\n/save --force other.h5\n/save --force book.txt\n' >lines
run 2 "$aerie" chat --model tuned <lines
says "standard input:3: book.txt: exists already and is no conversation"
cmp -s book.txt other.h5 && fail "book.txt is gone"
echo '/load other.h5' >lines
run 3 "$aerie" chat --model base <lines
says "another model; the conversation was held with $(pwd -P)/tuned"
run 3 "$aerie" chat --model tuned --dtype int8 <lines
says "weights: expected int8, those of the model as it is open now, found f32, those that the conversation was held with"
says "--dtype f32"
[ "$(stat -c %s other.h5)" -lt 100000 ] || fail "a short conversation takes $(stat -c %s other.h5) bytes"
absent other.h5.part* kept/talk.h5.part*

# What is in the file; its messages are a row for training.
run 0 "$aerie" inspect kept/talk.h5
prints "kind            conversation"
prints "how many birds, 5?"
run 0 "$aerie" inspect kept/talk.h5 --json
cp out row
grep -q '"turns":2,' row || fail "inspect: $(cat row)"
run 0 "$aerie" data render --kind chat --tokenizer t.model --input row
[ "$(wc -l <out)" = 1 ] || fail "the messages of a conversation are no row"
head -c 9000 kept/talk.h5 >broken.h5
run 3 "$aerie" inspect broken.h5

# Mistakes end a script with their line.
while IFS='|' read -r status line words; do
    printf 'how many birds, 5?\n%s\nand songs?\n' "$line" >lines
    run "$status" "$aerie" chat --model tuned <lines
    says "standard input:2: $words"
    [ "$(wc -l <out)" = 1 ] || fail "answers around a mistake: $(cat out)"
done <<'EOF'
2|/undoo|/undoo: no such command; did you mean /undo?
2|/etc/passwd|/etc/passwd: no such command; /help lists them
2|/undo it|/undo: expected nothing after it
2|/save|/save: expected the name of a file
2|/load|/load: expected the name of a file
3|/load none|none: expected a file, found nothing there
3|/load lines|lines: expected an HDF5 file
EOF
printf '/retry\n' >lines
run 2 "$aerie" chat --model tuned <lines
says "expected a message to answer again, found none: nothing was said yet"
printf '/undo\n' >lines
run 2 "$aerie" chat --model tuned <lines
says "expected a turn to take back, found none"
printf 'a\377\n' >lines
run 3 "$aerie" chat --model tuned <lines
says "UTF-8"
printf '/help\n/quit\nhow many birds, 5?\n' >lines
talk tuned <lines
[ -s out ] && fail "/quit does not end, or /help is among the answers"
grep -q '/retry' err || fail "/help lists nothing"
: >lines
talk tuned <lines
[ -s out ] && fail "answers to nothing"

# Models that cannot talk, or not well.
run 3 "$aerie" chat --model "$fixtures/tiny" <lines
says "expected a model with a tokenizer"
run 0 "$aerie" export --model base --output unmarked
"$odd_model" unmarked/tokenizer.model '--model_type=unigram --vocab_size=300 --byte_fallback=true --pad_id=0 --eos_id=1 --bos_id=2 --unk_id=3' book.txt
run 3 "$aerie" chat --model unmarked <lines
says "<start_of_turn>"
talk base --max-new 3 <lines
warns "was pretrained only"

# What is cut is said. A closed standard input or output, an end that a signal asks for.
echo 'how many birds, 5?' >lines
talk tuned --temperature 0 --max-new 2 --verbose <lines
grep -q '^cut at 2 tokens; --max-new' err || fail "a cut answer is not told"
grep -qE '^[0-9]+ tokens read in [0-9.]+ s, 2 written' err || fail "--verbose: $(cat err)"
talk tuned --temperature 0 --max-new 2 --quiet <lines
[ -s err ] && fail "--quiet says $(cat err)"
run 3 "$aerie" chat --model tuned <&-
run 2 sh -c '"$1" chat --model tuned <lines >&-' sh "$aerie"
endless="--max-new 1e9 --repetition-penalty 0.01 --temperature 0.3"
signalled() { # SIGNAL: once the answer has begun; timeout passes on its own signal, also where the shell ignores it
    : >out
    timeout --foreground --preserve-status -s "$1" 100 "$aerie" chat --model tuned $endless <lines >out 2>err &
    until [ -s out ] || ! kill -0 $!; do sleep 0.1; done
    kill -ALRM $!
    wait $!
    [ $? = 130 ] || fail "SIG$1 ends a script with 130"
    one_line_of_error "SIG$1"
    says "stopped by SIG$1"
    grep -q '^stopped' err || fail "SIG$1: nothing is said about the answer"
}
signalled INT
signalled TERM
[ -e home/.local ] && fail "a script leaves a history"

# On a terminal: editing, history, Ctrl-C.
terminal() { # STATUS FLAGS... <STEPS
    status=$1
    shift
    env TERM=xterm LC_ALL=C "$on_terminal" "$aerie" chat --model tuned "$@" >screen 2>err
    got=$?
    [ $got = "$status" ] || {
        fail "on a terminal: status $got, expected $status"
        tail -c 1000 screen
        cat err
    }
}
printf 'how many birds, 5?\n' >lines
talk tuned --temperature 0 <lines
words=$(cat out)
terminal 0 --temperature 0 <<EOF
expect > 
type how many birds,\x01\x06\x05 6\x085?\n
expect $words
expect > 
type /nothing\n
expect no such command
expect > 
type höhe
expect höhe
suspend now
expect > höhe
type \x03
expect Ctrl-C again
expect > 
type /undo\n
expect taken back
expect > 
type \x10\x10\x10\n
expect how many birds, 5?
expect $words
expect > 
type \x04
EOF
[ "$(stat -c %a home/.local/state/aerie/chat-history)" = 600 ] || fail "others can read the history"
printf 'how many birds, 5?\n/nothing\n/undo\nhow many birds, 5?\n' >want
equal want home/.local/state/aerie/chat-history "history"
# What is pasted is one message, whatever lines it has; keys that begin with Escape stay keys.
terminal 0 --no-history <<EOF
expect > 
type \x1b[200~how many\x0d\tbirds,\x0d5\x07?\x1b[201~
expect 5?
type \n
expect > 
type how many birds, ?\x1b[D5\n
expect > 
type /save pasted.h5\n
expect saved
expect > 
type \x04
EOF
run 0 "$aerie" inspect pasted.h5 --json
grep -qF '"content":"how many\n\tbirds,\n5?"' out || fail "what was pasted: $(cat out)"
grep -qF '"content":"how many birds, 5?"' out || fail "what was edited: $(cat out)"
terminal 0 --temperature 0 --no-history <<EOF
expect > 
type \x10\n
expect > 
type /quit\n
EOF
equal want home/.local/state/aerie/chat-history "--no-history"
terminal 130 $endless <<EOF
expect > 
type \x10\n
expect 5?\x0d\n
more 20
type \x03
expect stopped
expect > 
type and songs?\n
expect songs?\x0d\n
more 20
type \x03
expect stopped
expect > 
type /undo\n
expect 1 turn is left
expect > 
type \x03
expect Ctrl-C again
type \x03
expect stopped by SIGINT
EOF
finish
