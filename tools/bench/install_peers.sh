#!/bin/sh
# Install all servers that the benchmark compares wsloop with: Python packages with the interpreter $1, Debian
# packages, and npm packages into build/node. What cannot be had is told, and left out of the benchmark.
set -eu
python=$1
here=$(cd "$(dirname "$0")" && pwd)
"$python" -m pip install --quiet --disable-pip-version-check -e "$here/../..[bench]"
"$here/../debian_packages.sh" gcc libc6-dev golang-go golang-github-gorilla-websocket-dev
command -v node >/dev/null || "$here/../debian_packages.sh" nodejs npm
if command -v npm >/dev/null; then
    mkdir -p "$here/build/node"
    cp "$here/servers/package.json" "$here/build/node/"
    npm install --prefix "$here/build/node" --no-audit --no-fund --silent ||
        echo "note: the npm packages could not be installed" >&2
else
    echo "note: no npm: ws is left out" >&2
fi
# Only a source package, though with built libraries for x86-64 in it: it may fail where the others do not.
"$python" -m pip install --quiet --disable-pip-version-check socketify ||
    echo "note: socketify could not be installed, and is left out" >&2
