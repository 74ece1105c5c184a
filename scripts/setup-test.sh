#!/usr/bin/env bash
# Installs the programs that `make test` calls, where they are missing: Debian's packages, as root. Elsewhere it only says what is missing.
set -euo pipefail

# program:package
needed=(python3:python3 curl:curl zstd:zstd strace:strace git:git)

missing=()
for pair in "${needed[@]}"; do
    command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
done

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
