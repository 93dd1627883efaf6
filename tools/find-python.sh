#!/bin/sh
# Prints the path of a Python that can create this project's environment: CPython 3.12, 3.13 or 3.14 with venv, or one of
# the versions given as arguments.
# Searched in this order: $PYTHON, the active environment, the PATH, uv, pyenv, uv's and conda's own folders.
# Each candidate is run, because a name on the PATH may be a shim of pyenv without a Python behind it.

[ $# -gt 0 ] || set -- 3.13 3.14 3.12
versions=$*

check='
import os, sys
if sys.implementation.name != "cpython" or not (3, 12) <= sys.version_info[:2] <= (3, 14):
    raise SystemExit(1)
if "{}.{}".format(*sys.version_info) not in sys.argv[1:]:
    raise SystemExit(1)
import ensurepip, ssl, venv
base = getattr(sys, "_base_executable", "")  # in an environment: the Python that made it
print(base if os.path.exists(base) else sys.executable)
'

try() {
    found=$("$1" -c "$check" $versions 2>/dev/null) && [ -x "$found" ] && printf '%s\n' "$found" && exit 0
}

[ -n "${PYTHON:-}" ] && try "$PYTHON"
[ -n "${VIRTUAL_ENV:-}" ] && try "$VIRTUAL_ENV/bin/python"
[ -n "${CONDA_PREFIX:-}" ] && try "$CONDA_PREFIX/bin/python"
for version in $versions; do
    try "python$version"
done
for name in python3 python; do
    try "$name"
done

if uv=$(command -v uv 2>/dev/null); then
    for version in $versions; do
        path=$("$uv" python find "$version" 2>/dev/null) && try "$path"
    done
fi

home=${HOME:-/nonexistent}
for version in $versions; do
    for path in \
        "${PYENV_ROOT:-$home/.pyenv}/versions/$version"*/bin/python \
        "${XDG_DATA_HOME:-$home/.local/share}/uv/python/cpython-$version"*/bin/python"$version" \
        /usr/local/bin/python"$version" /opt/homebrew/bin/python"$version" /opt/python"$version"/bin/python"$version"
    do
        [ -x "$path" ] && try "$path"
    done
done
for root in "$home/miniforge3" "$home/miniconda3" "$home/mambaforge" "$home/anaconda3" /opt/conda; do
    for path in "$root/bin/python" "$root"/envs/*/bin/python; do
        [ -x "$path" ] && try "$path"
    done
done

case $versions in
    *" "*) wanted="Python 3.12 or later (3.14 is the latest tried)" ;;
    *) wanted="Python $versions" ;;
esac
echo "$wanted is needed and none was found: install one from python.org, with 'uv python install ${versions%% *}' or with 'pyenv install ${versions%% *}', or name one you have as in 'make test PYTHON=/path/to/python'." >&2
exit 1
