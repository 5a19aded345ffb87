# Shared by quickstart.sh, align.sh and goodhart.sh: refusals, stages with their time, recipes filled in. Sourced, not run.

program=$(basename "$0" .sh)

# Threads that sleep while they wait: on a machine with other work, spinning ones are many times slower.
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}

refuse() { # STATUS MESSAGE
    echo "$program: $2" >&2
    exit "$1"
}

whole_number() { # FLAG VALUE
    [[ "$2" =~ ^[1-9][0-9]{0,5}$ ]] || refuse 2 "$1: expected a whole number from 1, found $2"
}

# A new folder, or one that this script has begun: such a one has the file MARK. Prints where it is.
own_folder() { # FOLDER MARK
    mkdir -p "$1" 2>/dev/null || refuse 2 "$1: this folder cannot be made; give another with --dir"
    [ -w "$1" ] || refuse 2 "$1: this folder cannot be written; give another with --dir"
    [ -f "$1/$2" ] || [ -z "$(ls -A "$1")" ] ||
        refuse 2 "$1: expected an empty folder or one of this script, found other files; give another with --dir"
    (cd "$1" && pwd)
}

# Runs stage_NAME of each name, up to the one that --until names, and tells how long each took.
run_stages() { # UNTIL NAME...
    local until=$1 number=0 started
    shift
    for name in "$@"; do
        number=$((number + 1))
        printf '\n== %d/%d %s\n' "$number" $# "$name"
        started=$SECONDS
        "stage_$name"
        echo "-- $name: $((SECONDS - started)) s"
        [ "$name" != "$until" ] || return 0
    done
}

build() { # ROOT LOG
    "$1/scripts/install-packages.sh" --build-only
    (cd "$1" && cmake --preset release -DAERIE_TESTS=OFF &&
        cmake --build --preset release --target aerie aerie-stories) >"$2" 2>&1 || {
        tail -n 30 "$2" >&2
        refuse 1 "the build failed; all of its output is in $2"
    }
}

# A path or prompt as YAML text, fit for the right side of a sed command.
quoted() {
    printf '"%s"' "$1" | sed -e 's/[\\&|]/\\&/g'
}

# The rate of a run, tokens a second: the median of its last 100 steps.
rate_of() { # RUN
    grep -o '"tokens_per_s":[0-9.e+-]*' "$1/metrics.jsonl" | tail -n 100 | cut -d: -f2 | sort -g |
        awk '{ rate[NR] = $1 } END { if (NR == 0) exit 1; print rate[int((NR + 1) / 2)] }'
}
