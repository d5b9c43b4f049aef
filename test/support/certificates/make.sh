#!/bin/sh
# Makes the certificates of the tests again: an authority, what it signed, and one that it did not sign.
set -eu
cd "$(dirname "$0")"
DAYS=36500

key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }

signed() { # NAME SUBJECT-ALTERNATIVE-NAMES USAGE
  key "$1"
  printf 'subjectAltName=%s\nextendedKeyUsage=%s\nbasicConstraints=critical,CA:FALSE\n' "$2" "$3" >extensions
  openssl req -new -key "$1.key" -subj "/CN=penstock test $1" |
    openssl x509 -req -CA ca.pem -CAkey ca.key -CAcreateserial -days $DAYS -extfile extensions -out "$1.pem"
  rm extensions
}

key ca
openssl req -x509 -new -key ca.key -subj '/CN=penstock test authority' -days $DAYS -out ca.pem
signed edge 'DNS:edge.example,DNS:localhost,IP:127.0.0.1,IP:::1,IP:10.77.1.1,IP:fd77:1::1,IP:10.77.4.1' serverAuth
signed other 'DNS:*.other.example' serverAuth
signed camera 'DNS:camera.example,IP:127.0.0.1,IP:10.77.2.2,IP:10.77.3.2' serverAuth
signed viewer 'DNS:viewer.example' clientAuth
key stranger
openssl req -x509 -new -key stranger.key -subj '/CN=penstock test stranger' -days $DAYS -out stranger.pem \
  -addext 'subjectAltName=DNS:edge.example,DNS:camera.example,IP:127.0.0.1'
rm ca.key ca.srl
