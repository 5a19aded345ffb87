# Shared by the recipes beside it: where the program is, and one text scored as a whole. Sourced, not run.

configs=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
aerie=${AERIE:-$configs/../build/release/cli/aerie}

# Threads that sleep while they wait: on a machine with other work, spinning ones are many times slower.
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}

refuse() { # STATUS MESSAGE
    echo "$(basename "$0"): $2" >&2
    exit "$1"
}

check_program() {
    [ -x "$aerie" ] || refuse 2 "$aerie: no such program; build it (scripts/quickstart.sh does) or name it in AERIE"
}

check_text() { # FILE
    [ -f "$1" ] && [ -r "$1" ] || refuse 3 "$1: expected a text file that can be read, found none"
}

# A text file as one line of JSONL.
as_json() {
    awk 'BEGIN { printf "{\"text\":\"" }
        { gsub(/\\/, "\\\\"); gsub(/"/, "\\\""); gsub(/\t/, "\\t"); gsub(/\r/, "\\r"); printf "%s\\n", $0 }
        END { print "\"}" }' "$1"
}

# Bits per byte of a whole text, read in one piece: the state carries from the first byte to the last.
score_text() { # MODEL FILE
    as_json "$2" | "$aerie" score --model "$1" --quiet |
        awk -v bytes="$(stat -c %s "$2")" '
            match($0, /"sum":-?[0-9.e+-]+/) {
                printf "%.4f bits per byte over %d bytes, read in one piece\n", -substr($0, RSTART + 6, RLENGTH - 6) / log(2) / bytes, bytes
            }'
}
