#!/bin/sh
# Makes the secrets of compose.yaml, each in a file of its own; those that are there already stay as they are.
# Needs openssl 1.1.1 or newer.
#
#   deploy/secrets.sh [FOLDER]        # deploy/secrets where none is given; compose looks in AEVOLVE_SECRETS
#
# Compose mounts a secret's file as it is, with the host's owner and mode, into containers whose users are others. So the
# files can be read by anybody, and the folder around them can be entered by its owner alone.
set -eu
umask 022
folder=${1:-$(dirname "$0")/secrets}
mkdir -p "$folder"
chmod 700 "$folder"

make() { # NAME COMMAND...: what the command prints, as a file that appears whole or not at all
  name=$1
  shift
  [ -e "$folder/$name" ] && return
  "$@" >"$folder/.$name"
  chmod 444 "$folder/.$name"
  mv "$folder/.$name" "$folder/$name"
}

public_key() { # in hexadecimal: the last 32 bytes of its usual form
  openssl pkey -in "$folder/anchor.key" -pubout -outform DER | tail -c 32 | od -An -v -tx1 | tr -d ' \n'
}

s3_keys() { # USER: its keys, as the clients of S3 read them
  printf '[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n' "$1" "$(openssl rand -hex 20)"
}

s3_users() { # the users whose keys are there, as the server reads them
  printf '{"accessAccounts": {'
  comma=
  for user in data trainer oracle console; do
    secret=$(sed -n 's/^aws_secret_access_key = //p' "$folder/s3.$user")
    printf '%s"%s": {"access": "%s", "secret": "%s", "role": "user"}' "$comma" "$user" "$user" "$secret"
    comma=', '
  done
  printf '}}\n'
}

for name in owner data recipes trainer oracle policy console exporter oracle.key console.token grafana; do
  make "$name" openssl rand -hex 32
done
make anchor.key openssl genpkey -algorithm ed25519
make anchor.pub public_key
for name in root data trainer oracle console; do
  make "s3.$name" s3_keys "$name"
done
make s3.users s3_users
