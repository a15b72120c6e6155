#!/bin/sh
# Installs what `npm run bench` needs on Debian or Ubuntu, and says what it does. Run again, it changes nothing.
set -eu

packages='haproxy nginx-light wrk gcc libc6-dev libssl-dev util-linux'

missing=''
for package in $packages; do
  # nginx-light is one of several that bring nginx.
  if [ "$package" = nginx-light ] && command -v nginx >/dev/null 2>&1; then continue; fi
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

haproxy -v | head -n 1
nginx -v
wrk -v 2>&1 | head -n 1 || true
