# shellcheck shell=bash
# Where the drivers are, for the programs of this folder. Sourced by each `run` and `admin` (which then have the four
# arguments in host, port, user, password) and by `prepare`. All drivers live in the cache, under a name that tells their
# versions, so a change of a pinned version makes a new folder.
clients=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../../../scripts/lib.sh
. "$clients/../../../scripts/lib.sh"

digest() { cat "$@" | sha256sum | cut -c -12; }
python_drivers() {
  # Compiled parts fit one python version only.
  local tag; tag=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])') || die "needs python3"
  echo "$cache/python-$tag-$(digest "$clients/requirements.txt")"
}
node_drivers() { echo "$cache/node-$(digest "$clients/mysql2/package-lock.json")"; }
java_driver=/usr/share/java/mariadb-java-client.jar
go_drivers=/usr/share/gocode

# have PATH WHAT : stops with a clear line when a driver is not there.
have() { [[ -e $1 ]] || die "$2 is missing ($1): run tests/e2e/clients/prepare"; }

host='' port='' user='' password=''
if [[ ${0##*/} == run || ${0##*/} == admin ]]; then
  (($# >= 3)) || { echo "usage: $0 HOST PORT USER [PASSWORD]" >&2; exit 2; }
  # shellcheck disable=SC2034 # for the caller
  host=$1 port=$2 user=$3 password=${4-}
fi
