#!/bin/sh
# Makes the development environment: venv.sh DIRECTORY LOCK_FILE. Installs Python's venv module if the system lacks it.
set -eu
directory=$1 lock=$2

if ! python3 -c 'import ensurepip, venv, sys; assert sys.version_info >= (3, 11)' 2>/dev/null; then
    echo "venv: installing python3 and python3-venv" >&2
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends python3 python3-venv >/dev/null
fi
echo "venv: installing the packages of $lock" >&2
rm -rf "$directory"
python3 -m venv "$directory"
"$directory/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r "$lock"
touch "$directory/.complete"
