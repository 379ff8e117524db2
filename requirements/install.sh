#!/usr/bin/env bash
# Makes .venv/ from the pinned requirements. A second call does nothing; a call after an interrupted one finishes it.
#   requirements/install.sh
#   PYTHON=python3.12 requirements/install.sh              with another Python
#   FASA_ENV=$CONDA_PREFIX requirements/install.sh         into an environment that exists
#   FASA_NVCC=pypi requirements/install.sh                 with NVIDIA's compiler from PyPI, for detectors on GPUs
set -euo pipefail
cd "$(dirname "$0")/.."

lock=requirements/lock.txt
environment=${FASA_ENV:-.venv}
stamp=$environment/.fasa-installed
wanted=$(cat "$lock" requirements/install.sh requirements/operators.py pyproject.toml setup.py \
    fasa/evaluation/native/* | sha256sum | cut -d' ' -f1)
if [[ -z ${FASA_NVCC:-} && -f $stamp && $(<"$stamp") == "$wanted" ]] && "$environment"/bin/python -c '' 2>/dev/null; then
    exit 0
fi

say() { printf '\n== %s\n' "$*"; }
fail() {
    printf 'set-up: %s\n' "$*" >&2
    exit 2
}

# One set-up at a time; a second call waits for the first.
exec 9>.install.lock
command -v flock >/dev/null && flock 9

python=${PYTHON:-}
if [[ -z $python ]]; then
    for candidate in python3.11 python3.12 python3; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null; then
            python=$candidate
            break
        fi
    done
fi
[[ -n $python ]] || fail "no Python 3.11 or 3.12 on the PATH; on Debian: apt-get install python3 python3-venv python3-dev"
command -v g++ >/dev/null || fail "no C++ compiler, which mmcv's operators and the evaluator need; on Debian: apt-get install g++ python3-dev"

if [[ $environment == .venv ]] && ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    say "virtual environment .venv/ ($("$python" --version))"
    rm -rf .venv
    "$python" -m venv .venv || {
        rm -rf .venv
        fail "$python cannot make a virtual environment; on Debian: apt-get install python3-venv"
    }
fi
rm -f "$stamp"
pip() { "$environment"/bin/python -m pip --disable-pip-version-check "$@"; }

# --no-deps: the lock is complete, and pip would add opencv-python (which needs libGL) beside opencv-python-headless.
say "packages of $lock (some minutes, without a word)"
pip install --quiet --constraint "$lock" "$(grep '^torch==' "$lock")" # with its own needs: a CUDA build has many
pip install --quiet --no-deps -r "$lock"

# NVIDIA's compiler of torch's CUDA version, where there is no toolkit; torch has brought the libraries and headers.
if [[ -n ${FASA_NVCC:-} ]]; then
    [[ $FASA_NVCC == pypi ]] || fail "FASA_NVCC is '$FASA_NVCC'; it can be pypi, or absent"
    cuda=$("$environment"/bin/python -c 'import torch; print(torch.version.cuda or "")')
    [[ -n $cuda ]] || fail "FASA_NVCC=pypi: this torch is a build for CPUs, which no compiler changes; see 'fasa doctor'"
    say "nvcc of CUDA $cuda"
    pip install --quiet "cuda-toolkit[nvcc,nvvm,crt,cccl]==$cuda.*"
fi

# mmcv has no wheel for this torch: its operators are compiled, once for each version; -g0 makes that three times faster.
# The finished wheel is kept outside .venv/, by what it was built for (pip's own cache knows only the Python).
settings=$("$environment"/bin/python requirements/operators.py)
eval "$settings"
built_with=$("$environment"/bin/python -c 'import sys, torch; print(f"python{sys.version_info[0]}.{sys.version_info[1]}-torch{torch.__version__}")')
[[ $built_with == *+cpu ]] || built_with=$built_with-$operators
wheels=${XDG_CACHE_HOME:-$HOME/.cache}/fasa-wheels/$built_with
built=$environment/.fasa-operators
[[ -f $built && $(<"$built") == "$built_with" ]] || pip uninstall --quiet --yes onedl-mmcv 2>/dev/null
forks=$(grep -o 'onedl-[a-z]*==[0-9.]*' pyproject.toml)
say "mmcv's operators: $sentence"
while read -r requirement; do
    name=${requirement%%==*}
    version=${requirement##*==}
    [[ $("$environment"/bin/python -c "import importlib.metadata as m; print(m.version('$name'))" 2>/dev/null) == "$version" ]] && continue
    if ! ls "$wheels/${name//-/_}-$version"-*.whl >/dev/null 2>&1; then
        note=
        [[ $name == onedl-mmcv ]] && note=" (5 to 10 minutes)"
        say "building $requirement$note"
        rm -rf "$wheels/building"
        CFLAGS=-g0 CXXFLAGS=-g0 MAX_JOBS=${MAX_JOBS:-$(nproc)} \
            pip wheel --quiet --no-cache-dir --no-deps --no-build-isolation --wheel-dir "$wheels/building" "$requirement"
        mv "$wheels/building/"*.whl "$wheels/"
        rm -rf "$wheels/building"
    fi
    pip install --quiet --no-deps "$wheels/${name//-/_}-$version"-*.whl
done <<<"$forks"
printf '%s\n' "$built_with" >"$built"

say "this package, editable"
pip install --quiet --no-deps --no-build-isolation --editable .
"$environment"/bin/python -c 'import cv2, mmcv.ops, mmdet.datasets, torch, fasa.evaluation._native'
printf '%s\n' "$wanted" >"$stamp"
say "ready"
