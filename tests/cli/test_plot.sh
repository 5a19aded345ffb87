#!/bin/sh
. "$(dirname "$0")/common.sh"

run_folder() { # NAME
    mkdir -p "$1/samples"
    awk 'BEGIN { for (s = 1; s <= 300; s++) {
             printf "{\"step\": %d, \"tokens\": %d, \"loss\": %.4f, \"grad_norm\": %.3f, \"lr\": %g, \"tokens_per_s\": %d, ", s, s * 512,
                    2 + 6 / s, 1 / s + 0.1, 0.001, 900 + s % 7
             printf "\"flops_fraction\": 0.5, \"step_s\": 0.5, \"peak_rss_bytes\": 123000000}\n"
             if (s % 100 == 0) printf "{\"step\": %d, \"eval_loss\": %.4f, \"bits_per_byte\": 2.3456}\n", s, 2.5 + 6 / s } }' \
        >"$1/metrics.jsonl"
    printf '{"step": 301, "loss": null, "grad_norm": null, "skipped": true, "lr": 0.001}\n{"step": 302, "lo' >>"$1/metrics.jsonl"
    echo "optim: {lr: 0.001}" >"$1/config.yaml"
    echo "Once <upon> a time" >"$1/samples/step-000300.txt"
}
run_folder first
run_folder second

run 0 "$aerie" plot first
for words in "<svg" "</svg>" "optim: {lr: 0.001}" "Once &lt;upon&gt; a time" "2.3456" "sample after step-000300" "</html>"; do
    grep -qF -- "$words" first/report.html || fail "the report lacks $words"
done
grep -qE 'src=|href="http|url\(' first/report.html && fail "the report needs other files"
run 0 "$aerie" plot first
run 0 "$aerie" plot first second --output both.png
[ "$(head -c 4 both.png | od -An -c | tr -d ' ')" = '211PNG' ] || fail "both.png is a picture"
run 2 "$aerie" plot first second --output both.png
says "--force"
run 0 "$aerie" plot first --output one.svg
grep -q '<svg' one.svg || fail "one.svg is a picture"
mkdir fast
sed 's/"tokens_per_s": 90/"tokens_per_s": 12000/' first/metrics.jsonl >fast/metrics.jsonl
run 0 "$aerie" plot fast --output new/fast.svg
grep -q '120000' new/fast.svg || fail "a speed of 120000 is not written so"

# A folder of several reward models: its members, in the report of the folder; beside a run in a picture.
mkdir -p several/members several/average
cp -r first several/members/1
cp -r second several/members/2
run 0 "$aerie" plot several
[ "$(grep -c 'Once &lt;upon&gt; a time' several/report.html)" = 2 ] || fail "the report has not both members"
run 0 "$aerie" plot several first --output three.svg
mkdir none
run 3 "$aerie" plot none
says "none/metrics.jsonl"
# Bounds of an evaluation are bars around it, and no parts of their own.
cp -r first sure
sed 's/"bits_per_byte": 2.3456/"eval_accuracy": 0.7, "eval_accuracy_low": 0.6, "eval_accuracy_high": 0.8/' \
    first/metrics.jsonl >sure/metrics.jsonl
run 0 "$aerie" plot sure --output sure.svg
grep -q 'eval accuracy' sure.svg || fail "the accuracy is not drawn"
grep -q 'eval accuracy low' sure.svg && fail "a bound is a part of its own"
grep -qE '>0\.(6|8)<' sure.svg || fail "the axis of the accuracy does not reach its bounds"
# The calibration of a reward model is one more part.
cp -r first judge
cat >judge/calibration.json <<'END'
{"step": 300, "bins": [{"low": 0.5, "high": 0.55, "pairs": 9, "probability": 0.53, "right": 0.6},
 {"pairs": 0, "probability": null, "right": null}, {"pairs": 0}, {"pairs": 0}, {"pairs": 0}, {"pairs": 0}, {"pairs": 0},
 {"pairs": 0}, {"pairs": 4, "probability": 0.92, "right": 1}, {"pairs": 0}]}
END
grep -q 'calibration' first/report.html && fail "a part for a calibration that is not there"
run 0 "$aerie" plot judge
for words in "calibration: share of pairs" "held out, step 300" "loss, nats per pair"; do
    grep -qF -- "$words" judge/report.html || fail "the report lacks $words"
done
run 0 "$aerie" plot judge first --output judges.svg
grep -qF "judge, step 300" judges.svg || fail "the calibration of a run among several"
cp judge/calibration.json whole.json
for change in 's/"step": 300, //' 's/, {"pairs": 0}\]/]/' 's/0.92/1.92/' 's/"right": 1}/"right": null}/' 's/"pairs": 9/"pairs": -9/' 's/]}//'; do
    sed "$change" whole.json >judge/calibration.json
    cmp -s whole.json judge/calibration.json && fail "$change changes nothing"
    run 3 "$aerie" plot judge
    says "judge/calibration.json"
done

# Profiles of benchmarks, side by side.
cat >profile.json <<'END'
{"bench": "train", "shape": "s\"5", "dtype": "f32", "profile": {"unit": "step", "step_s": 0.05, "ops": [
 {"op": "linear_forward", "seconds": 0.03, "bound": "products", "roofline": 0.8},
 {"op": "geglu_forward", "seconds": 0.01, "bound": null, "roofline": null}], "other_s": 0.01}}
END
echo '{"bench": "decode", "rounds": [{"profile": {"unit": "token", "step_s": 0.002, "ops": []}}]}' >decode.json
run 0 "$aerie" plot --bench profile.json decode.json --output bench.svg
for words in "<svg" "linear forward" "the rest" "60.0 %" "80 %"; do
    grep -qF -- "$words" bench.svg || fail "bench.svg lacks $words"
done
run 2 "$aerie" plot --bench profile.json --output bench.svg
says "--force"
run 2 "$aerie" plot --bench profile.json
says "--output"
run 2 "$aerie" plot --bench profile.json --output bench.html
says ".png or .svg"
# Models by length: one panel for reading, one for each batch, one for the state; what there was no memory for is left out.
cat >throughput.json <<'END'
{"bench": "throughput", "models": [
 {"name": "short$", "rounds": [{"length": 512, "read_tokens_per_s": 900, "state_bytes": 1000000, "writing": [
  {"batch": 1, "tokens_per_s": 50}, {"batch": 8, "tokens_per_s": 300}]},
  {"length": 1024, "read_tokens_per_s": 900, "state_bytes": 1000000, "writing": [
  {"batch": 1, "tokens_per_s": 50}, {"batch": 8, "tokens_per_s": 300}]}]},
 {"name": "long", "rounds": [{"length": 512, "read_tokens_per_s": 700, "state_bytes": 2000000, "writing": [
  {"batch": 1, "tokens_per_s": 40}, {"batch": 8, "tokens_per_s": null}]}]}]}
END
run 0 "$aerie" plot --bench throughput.json --output throughput.svg
for words in "<svg" "reading, tokens a second" "writing, tokens a second, 1 at once" "8 at once" "state of a sequence" "short." "long"; do
    grep -qF -- "$words" throughput.svg || fail "throughput.svg lacks $words"
done
echo '{"bench": "throughput", "models": [{"name": "x", "rounds": []}]}' >none.json
run 3 "$aerie" plot --bench none.json --output none.svg
says "none.json: expected a result of bench throughput"
absent none.svg
echo '{"bench": "limits"}' >limits.json
run 3 "$aerie" plot --bench limits.json --output none.png
says "limits.json: expected a result"
absent none.png

run 2 "$aerie" plot
run 2 "$aerie" plot first second
says "--output"
run 2 "$aerie" plot first --output a.pdf
says ".html, .png or .svg"
run 3 "$aerie" plot nowhere
mkdir empty
run 3 "$aerie" plot empty
: >empty/metrics.jsonl
run 3 "$aerie" plot empty
says "none yet"
{
    echo '{"step": 1, "loss": 2'
    echo '{"step": 2, "loss": 2}'
} >empty/metrics.jsonl
run 3 "$aerie" plot empty
says "metrics.jsonl:1"
absent empty/report.html
run 2 env PATH=/nonexistent "$aerie" plot first --output none.png
says "gnuplot"
absent none.png

# Paths that gnuplot must not read: those of temporary files, and names of runs.
for odd in 'quo"te' "apo'strophe" '`touch caught`' 'back\\slash' '$(touch caught)' 'per%cent {a}_b^c@d&e' 'new
line'; do
    mkdir -p "tmp/$odd"
    cp -r first "tmp/$odd/$odd"
    run 0 env TMPDIR="$work/tmp/$odd" "$aerie" plot "tmp/$odd/$odd" first --output odd.svg --force
    run 0 env TMPDIR="tmp/$odd" "$aerie" plot "tmp/$odd/$odd" --output odd.html --force
    ls -A "tmp/$odd" | grep -q aerie-plot && fail "a folder is left in $odd"
done
absent caught tmp/*/caught
run 2 env TMPDIR=/nonexistent "$aerie" plot first --output none.svg
says "/nonexistent"
run 2 env TMPDIR=/dev/null "$aerie" plot first --output none.svg
says "expected a place that can be written, found: Not a directory"
# A signal takes gnuplot and the folder along.
mkdir bin waits
printf '#!/bin/sh\necho $$ >"$TMPDIR/started"\nexec sleep 60\n' >bin/gnuplot
chmod +x bin/gnuplot
TMPDIR=$work/waits PATH=$work/bin:$PATH "$aerie" plot first --output none.svg >out 2>err &
pid=$!
i=0
while [ ! -s waits/started ] && [ $i -lt 200 ]; do sleep 0.1; i=$((i + 1)); done
kill -TERM $pid
wait $pid
got=$?
[ $got = 130 ] || fail "SIGTERM ended with status $got"
says "stopped by SIGTERM"
kill -0 "$(cat waits/started)" 2>/dev/null && fail "gnuplot goes on"
ls waits | grep -q aerie-plot && fail "a folder is left"
absent none.svg
# Names from other days are no UTF-8, pictures and reports are.
latin=$(printf 'caf\351\303\251')
cp -r first "$latin"
for kind in svg html; do
    run 0 "$aerie" plot "$latin" first --output latin.$kind
    iconv -f UTF-8 -t UTF-8 latin.$kind >/dev/null || fail "latin.$kind is no UTF-8"
    grep -q 'caf_é' latin.$kind || fail "latin.$kind lacks the run's name"
done
finish
