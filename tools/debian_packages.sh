#!/bin/sh
# Install the named Debian packages if they are absent and it can be done without asking;
# otherwise print the one command to run. Tests whose tool stays absent say so themselves.
set -eu
missing=
for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
done
[ -z "$missing" ] && exit 0
if ! command -v apt-get >/dev/null; then
    echo "note: not a Debian system; install these yourself:$missing" >&2
    exit 0
fi
if [ "$(id -u)" = 0 ]; then
    run=
elif sudo -n true 2>/dev/null; then
    run="sudo -n"
else
    echo "note: run this once: sudo apt-get install --yes$missing" >&2
    exit 0
fi
export DEBIAN_FRONTEND=noninteractive
# Tests start the servers they need: none is to be started by its installation, and hold a port.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' | $run tee $policy >/dev/null
    $run chmod 755 $policy
    trap '$run rm -f $policy' EXIT
fi
$run apt-get update -qq
# shellcheck disable=SC2086 # the list and the optional sudo are meant to split
$run apt-get install --yes -qq --no-install-recommends $missing >/dev/null
