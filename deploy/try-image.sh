#!/usr/bin/env bash
# The steps of deploy/Dockerfile without a container engine: deploy/try-image.sh FOLDER
# FOLDER, which is new, gets what the image would hold in /opt/qflare: what its COPY lines name, and what its `npm ci` installs.
# Run it with the Node of the image first in the PATH, as an ordinary user.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${1:?"deploy/try-image.sh FOLDER"}
mkdir "$target"

# COPY SOURCE… TARGET, in the order of the file; of another stage is what npm makes below.
grep '^COPY ' "$root/deploy/Dockerfile" | grep -v -- '--from=' | while read -ra words; do
  last=$((${#words[@]} - 1))
  to=$target/${words[$last]}
  for source in "${words[@]:1:$last-1}"; do
    if [ -d "$root/$source" ]; then
      mkdir -p "$(dirname "$to")"
      # A folder that is copied is what its target is, as Docker does it.
      cp -R "$root/$source" "$to"
    else
      cp "$root/$source" "$to"
    fi
  done
done

install=$(sed -n 's/^RUN npm ci/npm ci/p' "$root/deploy/Dockerfile")
(cd "$target" && eval "$install --loglevel=error")
rm "$target/package-lock.json"
