#!/bin/bash
# What the trials of the package have in common: two network namespaces with a wire between them, a
# server in the one, a client in the other, and steps that say how they went. Arguments: the package,
# a newer one, a root file system as tar, where to unpack it. Exit 1 when a step failed.
set -u
package=$1 newer=$2 tar=$3 root=$4
gated=weir-try-$$ client=weir-try-c-$$
failed=0 server= prober=

say() { # result, what
    if [ "$1" = 0 ]; then echo "package: ok     $2"; else echo "package: FAILED $2"; failed=1; fi
}
try() { # what, command …
    local what=$1 out; shift
    out=$("$@" 2>&1); local code=$?
    say $code "$what"
    [ $code = 0 ] || echo "$out" | sed 's/^/  | /' | tail -20
}
not() { ! "$@"; }
soon() { # until a command succeeds, ten seconds at most
    for _ in $(seq 50); do "$@" >/dev/null 2>&1 && return 0; sleep 0.2; done
    "$@"
}
reaches() { nsenter --net=/run/netns/$client curl --silent --max-time 1 --output /dev/null http://10.98.0.1:8080/; }

# Opens two hundred connections a second until it is ended, then writes how many it tried, and how
# many were taken.
begin_prober() {
    nsenter --net=/run/netns/$client python3 - "$root/probes" <<'PY' &
import signal, socket, sys, time
ended, tried, taken, waiting = [], 0, 0, []
signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
while waiting or not ended:
    if not ended:
        one = socket.socket()
        one.setblocking(False)
        one.connect_ex(("10.98.0.1", 8080))
        waiting.append((time.monotonic(), one))
        tried += 1
    while waiting and waiting[0][0] + 0.3 < time.monotonic():
        one = waiting.pop(0)[1]
        try:
            one.getpeername()
            taken += 1
        except OSError:
            pass
        one.close()
    time.sleep(0.005)
open(sys.argv[1], "w").write(f"{tried} {taken}\n")
PY
    prober=$!
}
end_prober() { [ -z "$prober" ] || { kill $prober; wait $prober; } 2>/dev/null; prober=; }
# At least so many were tried, and none was taken.
none_taken() {
    local tried taken
    read -r tried taken <"$root/probes" && echo "$taken of $tried connections were taken"
    [ "${tried:-0}" -ge "$1" ] && [ "${taken:-1}" = 0 ]
}

lay_out() { # the root file system and the two hosts
    rm -rf --one-file-system "$root"
    mkdir -p "$root" && tar --extract --file "$tar" --directory "$root" || exit 2
    cp "$package" "$root/weir.deb" && cp "$newer" "$root/newer.deb" || exit 2
    ip netns add $gated && ip netns add $client || exit 2
    ip link add gated0 netns $gated type veth peer name client0 netns $client || exit 2
    ip -n $gated addr add 10.98.0.1/24 dev gated0
    ip -n $client addr add 10.98.0.2/24 dev client0
    for one in "$gated lo" "$gated gated0" "$client client0"; do ip -n ${one% *} link set ${one#* } up; done
}
settings() { # after the installation
    printf 'interfaces = ["gated0"]\n' >"$root/etc/weir/weir.toml"
    cat >"$root/etc/weir/policy.toml" <<'P'
[trusted]
cidrs = ["192.0.2.10/32"]
ports = ["tcp/22"]
[[api]]
name = "web"
listen = ["tcp/8080"]
allow = ["nobody"]
[groups.nobody]
cidrs = ["192.0.2.77/32"]
P
    sed 's/^allow = .*/allow = "any"/' "$root/etc/weir/policy.toml" >"$root/etc/weir/open.toml"
    chmod 644 "$root/etc/weir/policy.toml" "$root/etc/weir/open.toml"
    nsenter --net=/run/netns/$gated python3 -m http.server 8080 --bind 10.98.0.1 --directory "$root/etc/weir" >/dev/null 2>&1 &
    server=$!
    soon reaches
}
clear_away() {
    end_prober
    [ -z "$server" ] || kill $server
    ip netns del $gated; ip netns del $client
    rm -rf --one-file-system "$root"
}
