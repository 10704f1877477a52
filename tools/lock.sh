#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# lock.sh [PACKAGE...]: writes requirements.lock anew from pyproject.toml, for Linux and every
# Python that the project supports, with the hash of each file. Named packages are taken to
# their newest versions; without a name all are.
#
# uv does the resolving. It lives in an environment of its own in the cache folder, because the
# project itself has no use for it. pjsua2 is left out: the project builds that wheel itself.
set -eu

cd "$(dirname "$0")/.."
cache=${CIG_CACHE:-$HOME/.cache/cig}
environment=$cache/lock-environment
export PIP_CACHE_DIR="$cache/pip" UV_CACHE_DIR="$cache/uv"

if [ ! -x "$environment/bin/uv" ]; then
    "${PYTHON:-python3}" -m venv "$environment"
    "$environment/bin/pip" install --quiet --disable-pip-version-check uv
fi

upgrade=--upgrade
for package in "$@"; do
    if [ "$upgrade" = --upgrade ]; then upgrade=; fi
    upgrade="$upgrade --upgrade-package $package"
done

excluded=$(mktemp)
trap 'rm -f "$excluded"' EXIT
echo pjsua2 >"$excluded"

# shellcheck disable=SC2086 # $upgrade is meant to be several words
"$environment/bin/uv" pip compile --quiet --universal --generate-hashes --no-emit-index-url \
    --python-version 3.11 --all-extras --group build --excludes "$excluded" $upgrade \
    --custom-compile-command 'make lock' --output-file requirements.lock pyproject.toml
echo 'requirements.lock is written; run make test before committing it' >&2
