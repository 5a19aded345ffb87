# What the tests of the program share. Arguments of every test: the program, the folder of fixtures.
set -u
aerie=$(realpath "$1")
fixtures=$(realpath "$2")
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/aerie-cli-XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0

fail() {
    echo "FAIL: $*"
    failures=$((failures + 1))
}

# run STATUS COMMAND...: its output lands in $work/out and $work/err. An exit by a signal or with 1 is never asked for.
run() {
    want=$1
    shift
    "$@" >out 2>err
    got=$?
    [ "$got" = "$want" ] || {
        fail "status $got, expected $want: $*"
        cat err
    }
    case $want in 0) ;; *) one_line_of_error "$@" ;; esac
    grep -qE 'SUMMARY: .*Sanitizer|runtime error:' err && { fail "sanitizer: $*"; cat err; }
}

# shows_usage COMMAND...: without anything to do it says on stderr what there is, and nothing else.
shows_usage() {
    "$@" >out 2>err
    got=$?
    [ $got = 2 ] || fail "status $got, expected 2: $*"
    [ -s out ] && fail "usage on stdout: $*"
    grep -q '^usage: aerie' err || fail "no usage: $*"
    grep -q '^aerie:' err && fail "an error beside the usage: $*"
}

# A refusal is one line that begins with the program's name, after what was said about the model.
one_line_of_error() {
    [ "$(grep -c '^aerie: ' err)" = 1 ] || {
        fail "expected one line 'aerie: ...' on stderr: $*"
        cat err
    }
}

# says WORDS: the last run's error line has them.
says() {
    grep '^aerie: ' err | grep -qF -- "$1" || {
        fail "the error lacks '$1'"
        cat err
    }
}

# warns WORDS: the last run warned once with them.
warns() {
    [ "$(grep '^warning: ' err | grep -cF -- "$1")" = 1 ] || {
        fail "no single warning has '$1'"
        cat err
    }
}

# prints WORDS: the last run's output has them.
prints() {
    grep -qF -- "$1" out || {
        fail "the output lacks '$1'"
        head -5 out
    }
}

equal() {
    cmp -s "$1" "$2" || fail "$1 and $2 differ${3:+: $3}"
}

absent() {
    for path in "$@"; do [ -e "$path" ] && fail "$path was left behind"; done
}

# The numbers of one list of a JSON line, one a line.
list_of() {
    sed "s/.*\"$1\":\[\([^]]*\)\].*/\1/" | tr ',' '\n'
}

finish() {
    [ "$failures" = 0 ] && exit 0
    echo "$failures failures"
    exit 1
}
