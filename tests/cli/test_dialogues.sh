#!/bin/sh
. "$(dirname "$0")/common.sh"

awk 'BEGIN { for (i = 0; i < 400; i++) printf "the %d birds of the hill sing %d songs to a river\nuser and model\n", i, i * i }' >book.txt
run 0 "$aerie" tokenizer train --input book.txt --output t.model --vocab-size 330

# ids TEXT: those of a document, without <bos> and <eos>, with commas.
ids() {
    printf '%s' "$1" >text
    "$aerie" data prepare --input text --tokenizer t.model --output text_ids --heldout 0 --force --quiet >/dev/null
    "$aerie" data inspect text_ids/train.h5 --json --tokens 0 | sed 's/.*"tokens":\[2,\(.*\),1\],"loss_mask".*/\1/'
}

# Markers of the tokenizers that are trained here.
start=4
end=5
user_1=$(ids 'user
the birds sing')
user_2=$(ids 'user
to a river')
answer_1=$(ids 'songs')
answer_2=$(ids 'of the hill')
model=$(ids 'model
')
x=$(ids x)
nl=$(ids '
x' | sed "s/,$x\$//")
ones() { printf '%s' "$1" | tr ',' '\n' | sed 's/.*/1/' | paste -sd, ; }
zeros() { ones "$1" | tr 1 0; }

# One dialogue in every layout gives the same tokens and mask.
cat >chat.jsonl <<'LINES'
{"messages": [{"role": "user", "content": " the birds sing "}, {"role": "assistant", "content": "songs\n"}, {"role": "user", "content": "to a river"}, {"role": "model", "content": "of the hill"}]}
{"conversations": [{"from": "human", "value": "the birds sing"}, {"from": "gpt", "value": "songs"}, {"from": "human", "value": "to a river"}, {"from": "gpt", "value": "of the hill"}]}

{"text": "\n\nHuman: the birds sing\n\nAssistant: songs\n\nHuman: to a river\n\nAssistant: of the hill"}
{"messages": [{"role": "user", "content": "the birds sing"}, {"role": "assistant", "content": "songs"}, {"role": "user", "content": "to a river"}, {"role": "model", "content": "of the hill"}, {"role": "user", "content": "unused"}]}
LINES
prompt_1="2,$start,$user_1,$end,$nl,$start,$model"
prompt_2="$nl,$start,$user_2,$end,$nl,$start,$model"
printf '{"tokens":[%s,%s,%s,%s,%s,%s],"loss_mask":[%s,%s,1,%s,%s,1]}\n' "$prompt_1" "$answer_1" $end "$prompt_2" "$answer_2" $end \
    "$(zeros "$prompt_1")" "$(ones "$answer_1")" "$(zeros "$prompt_2")" "$(ones "$answer_2")" >want
cat want want want want >wants
run 0 "$aerie" data render --tokenizer t.model --input chat.jsonl
equal out wants "layouts of one dialogue"
run 0 sh -c "gzip -c chat.jsonl | '$aerie' data render --tokenizer t.model --kind chat"
equal out wants "gzip on standard input"

# A question and its answer under other keys; only the completion counts.
echo '{"q": "the birds sing", "a": "songs", "messages": 7}' >mapped.jsonl
printf '{"tokens":[%s,%s,%s],"loss_mask":[%s,%s,1]}\n' "$prompt_1" "$answer_1" $end "$(zeros "$prompt_1")" "$(ones "$answer_1")" >want
run 0 "$aerie" data render --tokenizer t.model --input mapped.jsonl --map prompt=q,completion=a
equal out want "mapped keys"
# A row without any mapped key is read by the names of the fields, if it can be; a fault tells of the mapped ones.
cat mapped.jsonl chat.jsonl >both.jsonl
run 0 "$aerie" data render --tokenizer t.model --input both.jsonl --map prompt=q,completion=a
cat want wants >want-both
equal out want-both "two layouts"
echo '{"q": "the birds sing", "completion": "songs"}' >half.jsonl
run 3 "$aerie" data render --tokenizer t.model --input half.jsonl --map prompt=q,completion=a
says "half.jsonl:1: a: expected text"
echo '{"prompt": "the birds sing"}' >half.jsonl
run 3 "$aerie" data render --tokenizer t.model --input half.jsonl --map prompt=q,completion=a
says "half.jsonl:1: q: expected text"
run 2 "$aerie" data render --tokenizer t.model --input mapped.jsonl --map prompt
says 'map: expected FIELD=KEY'
run 2 "$aerie" data render --tokenizer t.model --input mapped.jsonl --kind prompts --map prompt=q,completion=a
says "map: expected a field of prompts, found 'completion'"

run 2 "$aerie" data render --tokenizer t.model --input mapped.jsonl --map promt=q
says "found 'promt'; did you mean prompt?"

# Keys that nothing reads are told once a file; notes beside rows are none.
cat >keys.jsonl <<'LINES'
{"_why": 1, "doc_id": 2, "meta": 3, "kinds": [], "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
{"instruction": "c", "inptu": "d", "output": "e"}
{"instruction": "f", "inptu": "d", "output": "e"}
LINES
for verb in "validate keys.jsonl --kind chat" "inspect keys.jsonl --kind chat --documents 3" "render --input keys.jsonl" "prepare --kind chat --input keys.jsonl --output told"; do
    run 0 "$aerie" data $verb --tokenizer t.model
    warns 'keys.jsonl:2: "inptu" is no key of rows of chat, did you mean input; it has no effect'
    [ "$(grep -c '^warning: .*is no key' err)" = 1 ] || fail "$verb: told once: $(cat err)"
done
# Rows that came before are counted, as validate counts them.
echo '{"instruction": "c ", "output": "e"}' >>keys.jsonl
run 0 "$aerie" data prepare --kind chat --input keys.jsonl --output told --force --tokenizer t.model
prints "1 row came before and stays; data validate --fix leaves such rows out"
run 0 "$aerie" data prepare --kind chat --input keys.jsonl --output told --force --tokenizer t.model --json
prints '"duplicates":1,'
rm -r told
echo '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "wieght": 0}]}' >keys.jsonl
run 0 "$aerie" data render --tokenizer t.model --input keys.jsonl
warns 'keys.jsonl:1: messages[1]: "wieght" is no key of messages, did you mean weight'
run 0 "$aerie" data render --tokenizer t.model --input chat.jsonl
grep -q 'is no key' err && fail "told of a key that is one: $(cat err)"

# Rows of another kind, and a field under another name.
echo '{"prompt": "a", "response": "b"}' >named.jsonl
run 3 "$aerie" data render --tokenizer t.model --input named.jsonl
says 'completion: expected text or a list of messages, found no such key; --map completion=response '
run 0 "$aerie" data render --tokenizer t.model --input named.jsonl --map completion=response
echo '{"prompt": "a", "response": "b", "other": "c"}' >named.jsonl
run 3 "$aerie" data render --tokenizer t.model --input named.jsonl
grep -q -e '--map' err && fail "which of two keys is meant? $(cat err)"
run 3 "$aerie" data render --tokenizer t.model --input chat.jsonl --kind pairs
says 'this row is a dialogue, which --kind chat and `aerie sft` read'
i=0
while [ $i -lt 13 ]; do echo "{\"prompt\": \"a\", \"chosen\": \"b\", \"rejected\": \"$i\"}"; i=$((i + 1)); done >swapped.jsonl
run 3 "$aerie" data validate swapped.jsonl --kind chat --tokenizer t.model
[ "$(grep -c '^swapped.jsonl:.*; this row has chosen and rejected, which --kind pairs and ' out)" = 10 ] || fail "ten of a fault: $(cat out)"
prints '3 more lines: completion: expected text'
run 3 "$aerie" data validate swapped.jsonl --kind chat --tokenizer t.model --json
prints 'swapped.jsonl:13: completion'

# Pairs and prompts.
cat >pairs.jsonl <<'LINES'
{"prompt": "the birds sing", "chosen": "songs", "rejected": "of the hill", "margin": 0.5}
{"chosen": [{"role": "user", "content": "the birds sing"}, {"role": "assistant", "content": "songs"}], "rejected": [{"role": "user", "content": "the birds sing"}, {"role": "assistant", "content": "of the hill"}]}
{"chosen": "\n\nHuman: the birds sing\n\nAssistant: songs", "rejected": "\n\nHuman: the birds sing\n\nAssistant: of the hill"}
LINES
printf '{"prompt_tokens":[%s],"chosen_tokens":[%s,%s],"rejected_tokens":[%s,%s]}\n' "$prompt_1" "$answer_1" $end "$answer_2" $end >want
cat want want want >wants
run 0 "$aerie" data render --tokenizer t.model --input pairs.jsonl --kind pairs
equal out wants "layouts of one pair"
cp want pair_ids.jsonl
echo '{"prompt": "the birds sing", "meta": {"answer": 7}}' >prompts.jsonl
printf '{"tokens":[%s]}\n' "$prompt_1" >want
run 0 "$aerie" data render --tokenizer t.model --input prompts.jsonl --kind prompts
equal out want "a prompt"

# Token ids are taken as they are, also by a model without a tokenizer.
run 0 "$aerie" data render --tokenizer t.model --input pair_ids.jsonl --kind pairs
equal out pair_ids.jsonl "a pair in token ids"
echo '{"tokens":[2,11,51,33],"loss_mask":[0,1,0,1]}' >ids.jsonl
run 0 "$aerie" data render --model "$fixtures/tiny" --input ids.jsonl
equal out ids.jsonl "a dialogue in token ids"
echo '{"tokens":[2,11]}' >ids.jsonl
run 0 "$aerie" data render --model "$fixtures/tiny" --input ids.jsonl --kind prompts
equal out ids.jsonl "a prompt in token ids"
run 3 "$aerie" data render --model "$fixtures/tiny" --input ids.jsonl
says 'ids.jsonl:1: loss_mask: expected a list of 0 and 1, one for each token, found no such key'
echo '{"tokens":[2,1100000]}' >ids.jsonl
run 3 "$aerie" data render --model "$fixtures/tiny" --input ids.jsonl --kind prompts
says 'ids.jsonl:1: tokens[1]: expected 0 to '
run 3 "$aerie" data render --model "$fixtures/tiny" --input chat.jsonl
says 'chat.jsonl:1: expected tokens and loss_mask, since there is no tokenizer for text'

# Faults of the command line and of rows.
run 2 "$aerie" data render --input chat.jsonl
says 'expected either --tokenizer or --model, found neither'
run 2 "$aerie" data render --input chat.jsonl --tokenizer t.model --model "$fixtures/tiny"
says 'found both'
run 2 "$aerie" data render --input chat.jsonl --tokenizer t.model --kind text
says '--kind: expected chat, pairs or prompts'
run 3 "$aerie" data render --input none.jsonl --tokenizer t.model
says 'none.jsonl: expected a file'
: >empty.jsonl
run 3 "$aerie" data render --input empty.jsonl --tokenizer t.model
says 'empty.jsonl: expected '
run 3 "$aerie" data render --input pairs.jsonl --tokenizer t.model
says 'pairs.jsonl:1: completion: expected text or a list of messages, found no such key'
printf '\n{"prompt": "a", "completion": " "}\n' >bad.jsonl
run 3 "$aerie" data render --input bad.jsonl --tokenizer t.model
says 'bad.jsonl:2: completion: expected text of the model, found none'
"$3" odd.model '--model_type=bpe --vocab_size=60' book.txt || fail "odd_model"
run 3 "$aerie" data render --input chat.jsonl --tokenizer odd.model
says 'chat.jsonl:1: expected a tokenizer with <bos>, <start_of_turn> and <end_of_turn>, found no <start_of_turn>; take one that'

# ---- prepare ----

# tokens_of SET FIRST: of its documents, three.
tokens_of() { "$aerie" data inspect "$1" --json --documents 3 --first "$2" | sed 's/.*\("tokens":[^]]*\],"loss_mask":[^]]*\]\).*/{\1}/'; }

run 0 "$aerie" data prepare --kind chat --input chat.jsonl --tokenizer t.model --output chat --json
prints '"kind":"chat","train":{"rows":3,"documents":3,'
prints '"heldout":{"rows":1,"documents":1,'
prints '"unused_turns":1,'
run 0 "$aerie" data render --tokenizer t.model --input chat.jsonl
head -3 out >want
tokens_of chat/train.h5 0 >found
equal found want "the documents of a chat set are what render prints"
grep -q "came before" out && fail "rows that differ are told"
run 0 "$aerie" data validate chat/train.h5 chat/heldout.h5
prints 'chat/train.h5: well-formed, chat; '
prints 'a loss mask, a tokenizer, bytes of text known'
run 0 "$aerie" inspect chat/train.h5
grep -q '^holds  *chat$' out || fail "inspect does not say what the set holds"

run 0 "$aerie" data prepare --kind pairs --input pairs.jsonl --tokenizer t.model --output pairs --heldout 0
prints 'pairs/train.h5    3 rows, '
absent pairs/heldout.h5
printf '{"tokens":[%s,%s,%s],"loss_mask":[%s,%s,1]}\n' "$prompt_1" "$answer_1" $end "$(zeros "$prompt_1")" "$(ones "$answer_1")" >want
printf '{"tokens":[%s,%s,%s],"loss_mask":[%s,%s,1]}\n' "$prompt_1" "$answer_2" $end "$(zeros "$prompt_1")" "$(ones "$answer_2")" >>want
tokens_of pairs/train.h5 0 | head -2 >found
equal found want "a pair is two documents"
run 0 "$aerie" data prepare --kind prompts --input prompts.jsonl --tokenizer t.model --output prompts --heldout 0
grep -aq '"rows":1' prompts/train.h5 || fail "the manifest lacks the rows"

# The same twice; a model without a tokenizer and rows in token ids.
run 0 "$aerie" data prepare --kind chat --input chat.jsonl --tokenizer t.model --output chat_2 --quiet
for part in train heldout; do equal chat/$part.h5 chat_2/$part.h5 "the same rows: $part"; done
echo '{"tokens":[2,11,51,33],"loss_mask":[0,1,0,1]}' >ids.jsonl
run 0 "$aerie" data prepare --kind chat --input ids.jsonl --model "$fixtures/tiny" --output ids --heldout 0
run 0 "$aerie" data validate ids/train.h5
prints 'a loss mask, no tokenizer, bytes of text not known'

# What is refused leaves nothing.
run 2 "$aerie" data prepare --kind chat --input chat.jsonl --tokenizer t.model --output chat
says 'chat/train.h5: exists already'
run 2 "$aerie" data prepare --kind chat --input chat.jsonl --tokenizer t.model --output x --heldout 0.7
says 'heldout: expected a share from 0 to 0.5'
run 2 "$aerie" data prepare --kind chat --input chat.jsonl --tokenizer t.model --output x --split-on y
says '--split-on: expected text without --kind'
run 2 "$aerie" data prepare --kind chat --input - --tokenizer t.model --output x
says 'save it to a file first'
run 2 "$aerie" data prepare --input book.txt --tokenizer t.model --output x --map prompt=q
says '--map: expected --kind beside it'
run 3 "$aerie" data prepare --input book.txt --model "$fixtures/tiny" --output x
says 'expected a model with a tokenizer'
cat chat.jsonl bad.jsonl >mixed.jsonl
run 3 "$aerie" data prepare --kind chat --input mixed.jsonl --tokenizer t.model --output x
says 'mixed.jsonl:7: completion: expected text of the model, found none'
absent x
run 0 "$aerie" data prepare --kind chat --input mixed.jsonl --tokenizer t.model --output x --bad-lines skip
grep -q '^warning: 1 bad line' err || fail "bad lines are not told"
echo '{"messages": [{"role": "user", "content": "a"}, {"role": "model", "content": "b", "weight": 0}]}' >unlearnt.jsonl
run 3 "$aerie" data prepare --kind chat --input unlearnt.jsonl --tokenizer t.model --output y --heldout 0
says 'expected answers to learn from in the training part, found none that counts'
absent y

# ---- validate ----

cat >mess.jsonl <<'LINES'
{"prompt": "the birds sing", "completion": "songs"}
{"prompt": "the birds sing", "completion": ""}
{"prompt": "the birds sing", "completion": "songs ", "id": 7}
{"prompt": "the birds", "completion": "of the hill of the hill of the hill of the hill of the hill of the hill of the hill of the hill"}
nonsense
{"messages": [{"role": "user", "content": "a river"}, {"role": "model", "content": "sing"}, {"role": "user", "content": "x"}], "note": 1e999}
LINES
run 3 "$aerie" data validate mess.jsonl --kind chat --tokenizer t.model --row-tokens 30 --fix fixed.jsonl
says 'expected sound rows, found 4 of 6 with something wrong; the others are in fixed.jsonl'
prints 'mess.jsonl:2: completion: expected text of the model, found none'
prints 'mess.jsonl:3: the same row as mess.jsonl:1'
prints 'mess.jsonl:4: expected at most 30 tokens, found '
prints 'mess.jsonl:5: expected JSON, found an error at column 1'
prints '6 rows of chat, 2 good: 2 with faults, 1 that came before, 1 too long'
prints '1 turn of the user after the last answer'
sed -n '1p;6p' mess.jsonl >want
equal fixed.jsonl want "the good rows, as they were"
run 0 "$aerie" data validate fixed.jsonl --kind chat --tokenizer t.model --row-tokens 30
prints '2 rows of chat, 2 good: 0 with faults, 0 that came before, 0 too long'
run 3 "$aerie" data validate mess.jsonl --kind chat --tokenizer t.model --row-tokens 30 --json
prints '{"kind":"chat","rows":6,"good":2,"faults":["mess.jsonl:2: '
prints '"duplicates":["mess.jsonl:3: the same row as mess.jsonl:1"],"too_long":["mess.jsonl:4: '
printf '{"prompt": "the birds", "chosen": "sing", "rejected": "hill", "margin": %s}\n' 1 2 1 >margins.jsonl
run 3 "$aerie" data validate margins.jsonl --kind pairs --tokenizer t.model
prints 'margins.jsonl:3: the same row as margins.jsonl:1'
prints '3 rows of pairs, 2 good: 0 with faults, 1 that came before'
run 2 "$aerie" data validate mess.jsonl --kind chat --tokenizer t.model --fix fixed.jsonl
says 'fixed.jsonl: exists already'

# What is cut off, and how much of it would be learnt: all of an answer of four tokens, with the prompt before it whole.
n=$(printf '%s,%s' "$prompt_1" "$answer_1" | tr ',' '\n' | grep -c .)
a=$(printf '%s' "$answer_1" | tr ',' '\n' | grep -c .)
head -1 mess.jsonl >long.jsonl
run 3 "$aerie" data validate long.jsonl --kind chat --tokenizer t.model --row-tokens $((n - a))
prints "long.jsonl:1: expected at most $((n - a)) tokens, found $((n + 1)); a cut loses $((a + 1)), $((a + 1)) of them learnt"
run 0 "$aerie" data validate long.jsonl --kind chat --tokenizer t.model --row-tokens $((n + 1))

run 0 "$aerie" data prepare --kind chat --input long.jsonl --tokenizer t.model --output sets --heldout 0
run 2 "$aerie" data validate sets/train.h5 --kind chat --tokenizer t.model
says 'sets/train.h5: expected JSON lines beside --kind'
run 2 "$aerie" data validate sets/train.h5 --row-tokens 5
says 'found a token set'

# Rows of two files; chosen and rejected the same; nothing that is learnt; nothing that is good.
cat long.jsonl long.jsonl >twice.jsonl
run 3 "$aerie" data validate long.jsonl twice.jsonl --kind chat --tokenizer t.model
prints 'twice.jsonl:2: the same row as long.jsonl:1'
echo '{"prompt": "a", "chosen": "b", "rejected": "b "}' >same.jsonl
cat same.jsonl pairs.jsonl >some.jsonl
run 3 "$aerie" data validate some.jsonl --kind pairs --tokenizer t.model
prints 'some.jsonl:1: expected chosen and rejected to differ, found the same'
prints '4 rows of pairs, 2 good: 1 with faults, 1 that came before'
run 3 "$aerie" data validate unlearnt.jsonl --kind chat --tokenizer t.model
says 'expected answers to learn from, found none that counts'
prints '1 row without an answer that is learnt'
run 3 "$aerie" data validate same.jsonl --kind pairs --tokenizer t.model --fix none.jsonl
says 'expected sound rows, found none of 1'
absent none.jsonl
run 2 "$aerie" data validate long.jsonl
says 'long.jsonl: expected --kind beside JSON lines'
run 2 "$aerie" data inspect long.jsonl
says 'long.jsonl: expected --tokenizer or --model beside JSON lines'
run 3 "$aerie" data prepare --input long.jsonl --tokenizer t.model --output z
says '--text-key names the field, and `aerie data prepare --kind` reads dialogues'
run 2 "$aerie" data validate long.jsonl --tokenizer t.model
says 'expected --kind, which says what the rows'
run 2 "$aerie" data validate long.jsonl --kind chat
says 'expected either --tokenizer or --model, found neither'

# ---- inspect ----

run 0 "$aerie" data inspect pairs/train.h5 --documents 1 --first 0
prints "pairs/train.h5: pairs, "
prints 'pair 0: a prompt of '
prints ', margin 0.5'
prints 'chosen, '
grep -q '^\[.*\[<end_of_turn>\]$' out || fail "no answer is shown as counted"
[ "$(grep -c '(<bos>)' out)" = 1 ] || fail "the prompt is shown once"
[ "$(grep -c '<end_of_turn>\]' out)" = 2 ] || fail "both answers are shown"
run 0 "$aerie" data inspect pairs/train.h5 --documents 2 --first 1 --json
[ "$(wc -l <out)" = 4 ] || fail "two pairs are four documents"
prints '"pair":1,"answer":"chosen","margin":0.0}'
prints '"pair":2,"answer":"rejected","margin":0.0}'
run 2 "$aerie" data inspect pairs/train.h5 --first 3
says '--first: expected a pair below 3, found 3'
run 2 "$aerie" data inspect pairs/train.h5 --rows 1
says '--rows: expected a set of text or chat, found pairs'
run 0 "$aerie" data inspect prompts/train.h5
prints 'prompt 0: '
prints 'meta: {"answer":7}'
grep -q '\[' out && fail "a prompt has no token that counts"
run 0 "$aerie" data inspect prompts/train.h5 --json
prints '"meta":{"answer":7}}'
# Rows of chat are packed as in training: a document begins at position 0 and is whole.
run 0 "$aerie" data inspect chat/train.h5 --rows 1 --row-tokens 400 --json
prints '"row":0,'
[ "$(list_of positions <out | grep -c '^0$')" = 3 ] || fail "three dialogues in a row"

# Rows of JSON lines, rendered.
run 0 "$aerie" data inspect chat.jsonl --tokenizer t.model --documents 1 --first 3
prints 'chat.jsonl:5: '
prints '1 turn of the user after the last answer left out'
prints '[<end_of_turn>]'
run 0 "$aerie" data inspect pairs.jsonl --kind pairs --tokenizer t.model --documents 1
prints 'pairs.jsonl:1: a prompt of '
prints 'rejected, '
run 0 "$aerie" data inspect pairs.jsonl --kind pairs --tokenizer t.model --json
[ "$(wc -l <out)" = 3 ] || fail "expected three rows"
prints '{"row":"pairs.jsonl:1","prompt_tokens":['
run 0 "$aerie" data inspect prompts.jsonl --kind prompts --tokenizer t.model
prints 'meta: {"answer":7}'
run 3 "$aerie" data inspect mess.jsonl --tokenizer t.model
says 'mess.jsonl:2: completion: expected text of the model, found none'
run 2 "$aerie" data inspect chat.jsonl --tokenizer t.model --first 4
says '--first: expected a row below 4, found 4'
run 2 "$aerie" data inspect chat.jsonl --tokenizer t.model --rows 1
says '--rows: expected a token set, found rows of JSON lines'

# What pretraining cannot learn from says what to do.
for given in "pairs.jsonl|found a file of JSON lines; \`aerie data prepare\` makes a set of it" \
    "[\"chat/train.h5\", \"chat.jsonl\"]|chat.jsonl: expected a token set, found a file of JSON lines" \
    "pairs/train.h5|found one of pairs; \`aerie reward\` trains on pairs" "prompts/train.h5|found one of prompts; give one that"; do
    run 3 "$aerie" pretrain run.dir=none data.train="${given%%|*}" model.width=32 model.heads=2 model.blocks=3 train.steps=1
    says "${given#*|}"
    absent none
done

finish
