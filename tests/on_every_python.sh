#!/usr/bin/env bash
# The main job and the core of the suite on every Python that README promises and this machine has, with the newest packages that fit; on the oldest
# of them also with the lowest that pyproject.toml admits.
#
#     bash tests/on_every_python.sh [VERSION ...]      # for example 3.10
#     bash tests/on_every_python.sh --lowest           # only the lowest packages, on the oldest Python that this machine has
set -euo pipefail
cd "$(dirname "$0")/.."
uv=.venv/bin/uv
export TF_CPP_MIN_LOG_LEVEL=3 MPLBACKEND=agg

interpreter() { # the first one of this version that runs
    for candidate in "python$1" "$HOME"/.pyenv/versions/"$1".*/bin/python; do
        if "$candidate" -c "import sys; assert '%d.%d' % sys.version_info[:2] == '$1'" 2>/dev/null; then echo "$candidate"; return; fi
    done
}

check() { # VERSION INTERPRETER RESOLUTION
    local environment=.venv-versions/$1-$3
    echo "== Python $1, $3 packages"
    rm -rf "$environment"
    $uv venv --quiet --python "$2" "$environment"
    $uv pip install --quiet --python "$environment/bin/python" --resolution "$3" \
        --editable ".[demo]" "pytest>=8" "pytest-xdist>=3.6" "absl-py>=2"
    "$environment/bin/python" -c "import keras; print('Keras', keras.__version__)"
    "$environment/bin/twoarg" demo --seeds 1 --epochs 2 --pretraining-epochs 2 --out "$environment/demo" > "$environment/log" \
        || { cat "$environment/log"; exit 1; }
    "$environment/bin/python" -m pytest -n 2 -m "not slow" tests/layers tests/ops tests/utils tests/test_golden.py
    rm -rf "$environment"
}

promised="3.10 3.11 3.12 3.13"
oldest=""
for version in $promised; do
    if [ -n "$(interpreter "$version")" ]; then oldest=$version; break; fi
done
if [ -z "$oldest" ]; then echo "Expected a Python of $promised on this machine. None was found." >&2; exit 1; fi

if [ "${1:-}" = "--lowest" ]; then
    check "$oldest" "$(interpreter "$oldest")" lowest-direct
    exit
fi
for version in ${*:-$promised}; do
    python=$(interpreter "$version")
    if [ -z "$python" ]; then echo "== Python $version: not on this machine"; continue; fi
    if [ "$version" = "$oldest" ]; then check "$version" "$python" lowest-direct; fi
    check "$version" "$python" highest
done
