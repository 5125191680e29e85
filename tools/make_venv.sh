#!/bin/sh
# Make the virtual environment $2 with the interpreter $1, or say in two lines what is missing.
set -eu
python=$1 venv=$2
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
    echo "error: $python is not Python 3.11 or newer" >&2
    echo "hint: make PYTHON=/path/to/python3.11 $(basename "$venv")" >&2
    exit 1
}
[ -x "$venv/bin/python" ] && "$venv/bin/python" -c 'import pip' 2>/dev/null && exit 0
if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
    # Debian splits venv off; it is the one thing its Python needs.
    "$(dirname "$0")/debian_packages.sh" python3-venv
fi
"$python" -m venv --clear "$venv"
