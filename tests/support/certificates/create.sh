#!/bin/sh
# Creates certificates for the tests of TLS, in this folder. It needs openssl 3. What exists already stays.
#
#   renewed           of a server on 127.0.0.1, as `gate` is; it signs itself
#   expired           the same, but its time is over
#   alice             of a client, with a CN and two O; signed by `first`
#   expired-alice     the same, but its time is over
#   locked-key.pem    the key of `gate` with a password
set -eu

server="subjectAltName=IP:127.0.0.1"

# create NAME SUBJECT DAYS EXTENSION SIGNER: the certificate is valid for so many days from now on.
create() {
  [ ! -e "$1-cert.pem" ] || return 0
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -subj "$2" -keyout "$1-key.pem" -out "$1.csr"
  signer="-CA $5-cert.pem -CAkey $5-key.pem"
  [ "$5" != "$1" ] || signer="-signkey $1-key.pem"
  printf '%s\n' "$4" > extensions
  # shellcheck disable=SC2086 # the options of the signer are several words
  openssl x509 -req -in "$1.csr" -days "$3" -extfile extensions $signer -out "$1-cert.pem"
  rm "$1.csr" extensions
}

create renewed /CN=renewed 36500 "$server" renewed
create expired /CN=expired -1 "$server" expired
create alice /O=team-a/O=team-b/CN=alice 36500 extendedKeyUsage=clientAuth first
create expired-alice /O=team-a/CN=alice -1 extendedKeyUsage=clientAuth first
[ -e locked-key.pem ] || openssl ec -in gate-key.pem -aes256 -passout pass:secret -out locked-key.pem
