#!/bin/sh
# Makes the development environment: venv.sh DIRECTORY LOCK_FILE. Installs Python's venv module if the system lacks it.
set -eu
directory=$1 lock=$2

if ! python3 -c 'import ensurepip, venv, sys; assert sys.version_info >= (3, 11)' 2>/dev/null; then
    echo "venv: installing python3 and python3-venv" >&2
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends python3 python3-venv >/dev/null
fi
mkdir -p "$(dirname "$directory")"
# One at a time: a second caller waits, and finds it there.
exec 9>"$directory.lock"
flock 9
[ ! -e "$directory/.complete" ] || exit 0
echo "venv: installing the packages of $lock" >&2
rm -rf "$directory"
python3 -m venv "$directory"
pip() { "$directory/bin/python" -m pip --quiet --disable-pip-version-check "$@"; }
# uv first, by its own lines of the lock: it installs the others with a third of pip's CPU.
sed -n '/^uv==/,/[^\\]$/p' "$lock" >"$directory/uv.lock"
pip install --require-hashes --no-deps -r "$directory/uv.lock"
# What pip knows of the machine, uv has to be told.
index=$(pip config get global.index-url 2>/dev/null || echo "${PIP_INDEX_URL:-}")
links=$(pip config get global.find-links 2>/dev/null || echo "${PIP_FIND_LINKS:-}")
VIRTUAL_ENV="$directory" "$directory/bin/uv" pip install --quiet --native-tls --no-cache --link-mode=copy --require-hashes \
    --no-deps ${index:+--default-index "$index"} ${links:+--find-links "$links"} -r "$lock" ||
    pip install --require-hashes --no-deps -r "$lock"
touch "$directory/.complete"
