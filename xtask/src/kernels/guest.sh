#!/bin/busybox sh
# What a kernel under test runs as its first process: weir between two hosts, then the rows of
# verdicts. Each line that begins with "@@" is a result: name, ok or FAILED, what is to be known.
export PATH=/own:/bin
/bin/busybox --install -s /bin 2>/dev/null
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t bpf bpf /sys/fs/bpf
mount -t tmpfs tmp /tmp
# The shell's own `ip` knows too little.
ip() { /own/ip "$@"; }
mkdir -p /run/netns /var/lib/weir /run/weir
for module in /modules/*.ko; do insmod "$module"; done
echo 0 > /proc/sys/kernel/printk
ip link set lo up

result() { # name, status, text
    if [ "$2" -eq 0 ]; then echo "@@ $1 ok $3"; else echo "@@ $1 FAILED $3"; fi
}
# Runs a check, and with -x shows what it did when it fails.
check() { # name, function, arguments
    name=$1
    shift
    # Not as a condition: there a shell goes on after a command that fails.
    (set -ex; "$@") > /tmp/check 2>&1
    if [ $? -eq 0 ]; then
        result "$name" 0 "$(tail -n 1 /tmp/told 2>/dev/null)"
    else
        result "$name" 1
        tail -n 25 /tmp/check
        [ ! -f /tmp/log ] || tail -n 15 /tmp/log
    fi
    rm -f /tmp/told
}
told() { echo "$*" > /tmp/told; }
soon() { # until a command succeeds
    for _ in $(seq 200); do
        if (set +x && "$@") > /dev/null 2>&1; then return 0; fi
        sleep 0.2
    done 2> /dev/null
    "$@"
}
no() { ! "$@"; }

hosts() {
    ip netns add client
    ip link add weir0 type veth peer name peer0 netns client
    ip address add 192.0.2.1/24 dev weir0
    ip address add 192.0.2.10/24 dev weir0
    ip address add 2001:db8::1/64 dev weir0 nodad
    ip link set weir0 up
    client /own/ip link set lo up
    client /own/ip address add 192.0.2.2/24 dev peer0
    client /own/ip address add 192.0.2.3/24 dev peer0
    client /own/ip address add 2001:db8::2/64 dev peer0 nodad
    client /own/ip link set peer0 up
    # Who asks 192.0.2.10 is a stranger.
    client /own/ip route add 192.0.2.10/32 dev peer0 src 192.0.2.3
    mkdir -p /www
    head -c 200000 /dev/zero > /www/large
    echo hello > /www/index.html
    httpd -p 8080 -h /www
    soon fetch 192.0.2.1
    soon fetch 192.0.2.10
    soon fetch '[2001:db8::1]'
}
client() { nsenter --net=/run/netns/client "$@"; }
fetch() { client /own/curl -sf -m 3 -o /dev/null "http://$1:8080/${2:-}"; }
metric() { curl -s -m 3 http://127.0.0.1:9720/metrics | grep "$1" | grep -qv ' 0$'; }
policy() {
    cat > /tmp/policy.toml << TEXT
[groups.clients]
cidrs = ["192.0.2.2", "2001:db8::2"$1]

[[api]]
name = "orders"
listen = ["tcp/8080"]
allow = ["clients"]
limit = { packets = "10000/s" }
TEXT
}

start() { # mode, egress
    weir run --interface weir0 --policy /tmp/policy.toml --xdp-mode "$1" --egress "$2" >> /tmp/log 2>&1 &
    echo $! > /tmp/pid
    soon weir status
}
field() { sed -n "s/.*\"$1\": *\"\([a-z]*\)\".*/\1/p" | head -n 1; }

gate() { # mode, egress
    [ ! -f /tmp/pid ] || kill -9 "$(cat /tmp/pid)" 2> /dev/null || true
    weir detach || true
    rm -rf /tmp/log /var/lib/weir/*
    policy ""
    start "$1" "$2"
    weir status --json > /tmp/status
    told "$(field mode < /tmp/status), $(field egress < /tmp/status)"
    [ "$(field mode < /tmp/status)" = "$1" ]
    for address in 192.0.2.1 '[2001:db8::1]'; do
        fetch "$address"
        fetch "$address" large
    done
    no fetch 192.0.2.10
    soon metric 'weir_packets_total{.*reason="not_allowed"'
    soon metric 'weir_egress_packets_total{api="orders"}'
    soon metric 'http_server_request_duration_seconds_count{.*api="orders"'

    weir ban add 192.0.2.2 --ttl 20s
    no fetch 192.0.2.1
    soon fetch 192.0.2.1
    weir breach shutdown orders
    no fetch 192.0.2.1
    weir breach lift orders
    fetch 192.0.2.1

    policy ', "192.0.2.3"'
    weir apply /tmp/policy.toml
    fetch 192.0.2.10
    kill -9 "$(cat /tmp/pid)"
    fetch 192.0.2.1
    start "$1" "$2"
    fetch 192.0.2.10
    weir rollback
    no fetch 192.0.2.10
    weir detach
    soon no kill -0 "$(cat /tmp/pid)"
    fetch 192.0.2.10
    no sh -c '/own/ip link show dev weir0 | grep xdp'
    [ ! -e /sys/fs/bpf/weir ]
}
rows() {
    # Emulated, a packet takes a hundred times as long.
    export WEIR_PACKETS=500
    verdict --test-threads=1 "$@" > /tmp/rows 2>&1 || { tail -n 60 /tmp/rows; false; }
    told "$(sed -n 's/^test result: ok. \([0-9]*\) passed.*/\1 tests/p' /tmp/rows)"
}
refuses() {
    policy ""
    code=0
    weir run --interface weir0 --policy /tmp/policy.toml > /tmp/log 2>&1 || code=$?
    [ "$code" -eq 2 ]
    grep 'is too old: weir needs' /tmp/log
    told "$(sed -n 's/.*\(kernel [0-9.]* is too old\).*/exit 2: \1/p' /tmp/log)"
}

echo "@@ kernel ok $(uname -r)"
check hosts hosts
if grep -q weir.old /proc/cmdline; then
    check refuses refuses
else
    check native-auto gate native auto
    check generic-auto gate generic auto
    check native-clsact gate native clsact
    check loading rows loading
    check verdicts rows in_the_kernel
    check sampling rows sampling
    check differential rows differential
fi
echo "@@ end ok"
poweroff -f
