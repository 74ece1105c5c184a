#!/usr/bin/env bash
# Installs the programs that `make test` calls, where they are missing: Debian's packages, as root. Elsewhere it only says what is missing.
# What comes from PyPI goes into environments of its own in the user's cache folder (tests/e2e/servers.py, tests/e2e/clients.py), what comes from npm into folders there (tests/e2e/openid.py, tests/e2e/browser.py).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# program:package
needed=(python3:python3 curl:curl zstd:zstd strace:strace git:git psql:postgresql-client node:nodejs npm:npm chromium:chromium)

missing=()
for pair in "${needed[@]}"; do
    command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
done
compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || command -v postgres >/dev/null || missing+=(postgresql)
python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)

for tool in "cargo" "cargo fmt" "cargo clippy"; do
    $tool --version >/dev/null 2>&1 || { echo "setup-test: '$tool' is missing: install the Rust toolchain that Cargo.toml names (rust-version), with rustfmt and clippy" >&2; exit 1; }
done

if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -qq
        apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    else
        echo "setup-test: please install: ${missing[*]}" >&2
        exit 1
    fi
fi

python3 tests/e2e/servers.py
python3 tests/e2e/clients.py
python3 tests/e2e/openid.py
python3 tests/e2e/browser.py
