#!/usr/bin/env bash
# Makes, once, every secret that docker-compose.yml mounts: deploy/make-secrets.sh [FOLDER] [NAME…]
# FOLDER (default: deploy/secrets) is new, of mode 0700, its files of mode 0600; NAME… are the names and addresses by which clients
# reach the load balancer, beside localhost and 127.0.0.1.
# Nothing that is there is written over. To begin anew, put the folder away: the database and the root key in it belong together.
set -euo pipefail
umask 077

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=$(realpath --canonicalize-missing "${1:-$here/secrets}")
names=(localhost "${@:2}")

is_for_compose=$([ "$folder" = "$here/secrets" ] && echo yes || echo no)
if [ "$is_for_compose" = yes ] && [ "$(id -u)" = 0 ]; then
  echo "Run this as an ordinary user who may use Docker: the containers run as that user, and PostgreSQL refuses root." >&2
  exit 1
fi
if [ -e "$folder" ]; then
  echo "$folder is there already, and stays as it is." >&2
  exit 1
fi
for program in openssl sha256sum; do
  command -v "$program" >/dev/null || { echo "This needs $program." >&2; exit 1; }
done

mkdir -p "$(dirname "$folder")"
# Under its own name only when it is whole.
draft=$(mktemp -d "$folder.draft-XXXXXX")
trap 'rm -rf "$draft"' EXIT

random() { openssl rand -hex 32; }
put() { printf '%s\n' "$2" >"$draft/$1"; }

# An authority for what this machine's services show each other, and for the load balancer until it has a certificate of another.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-384 -noenc -days 3650 -subj '/CN=QFLARE stores' \
  -addext 'basicConstraints=critical,CA:TRUE,pathlen:0' -addext 'keyUsage=critical,keyCertSign,cRLSign' \
  -keyout "$draft/ca.key" -out "$draft/ca.crt" 2>/dev/null

certify() { # NAME SUBJECT-ALTERNATIVE-NAMES
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-384 -noenc -subj "/CN=$1" \
    -keyout "$draft/$1.key" -out "$draft/$1.csr" 2>/dev/null
  printf '%s\n' "subjectAltName=$2" 'basicConstraints=critical,CA:FALSE' 'keyUsage=critical,digitalSignature' \
    'extendedKeyUsage=serverAuth' >"$draft/$1.ext"
  openssl x509 -req -days 825 -in "$draft/$1.csr" -CA "$draft/ca.crt" -CAkey "$draft/ca.key" \
    -extfile "$draft/$1.ext" -out "$draft/$1.crt" 2>/dev/null
  rm "$draft/$1.csr" "$draft/$1.ext"
}

for store in postgres redis-queues redis-temporal; do
  certify "$store" "DNS:$store,DNS:localhost,IP:127.0.0.1"
done
edge=IP:127.0.0.1
for name in "${names[@]}"; do
  if [[ $name =~ ^[0-9.]+$|: ]]; then edge="$edge,IP:$name"; else edge="$edge,DNS:$name"; fi
done
certify edge "$edge"
cat "$draft/edge.crt" "$draft/edge.key" >"$draft/edge.pem"

put root-key "$(random)"
put postgres-password "$(random)"
put grafana-password "$(random)"

for role in api auditor worker sequencer queues migrator; do
  password=$(random)
  put "postgres-$role-password" "$password"
  put "$role-url" "postgresql://${role}_login:$password@postgres:5432/qflare?sslmode=verify-full"
done

# Of each Redis its user's password stands as a hash in its list of users, and in the URL.
for store in queues temporal; do
  password=$(random)
  hash=$(printf %s "$password" | sha256sum | cut -d ' ' -f 1)
  grep -v '^#' "$here/redis/$store.acl" | sed "s/PASSWORD_HASH/$hash/" >"$draft/redis-$store.acl"
  put "redis-$store-url" "rediss://qflare:$password@redis-$store:6379"
done

mv -T "$draft" "$folder"
# As whom docker-compose.yml runs its containers.
if [ "$is_for_compose" = yes ]; then
  printf 'QFLARE_UID=%s\nQFLARE_GID=%s\n' "$(id -u)" "$(id -g)" >>"$here/../.env"
fi
trap - EXIT
echo "Made $folder. Keep a copy of root-key apart from the backups of the database."
