# Installs, upgrades, removes and purges the package in a fresh root file system, while a daemon
# from it enforces between two network namespaces. No systemd runs: unit.sh has it.
daemon=
inside() { nsenter --net=/run/netns/$gated chroot "$root" "$@"; }

cleanup() {
    stop
    inside weir detach >/dev/null 2>&1
    umount "$root/sys/fs/bpf" "$root/sys" "$root/proc" "$root/dev" 2>/dev/null
    clear_away
}
trap cleanup EXIT
lay_out
mkdir -p "$root/sys" "$root/proc" "$root/dev" "$root/run"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/dev" && mknod -m 666 "$root/dev/null" c 1 3 && mknod -m 666 "$root/dev/urandom" c 1 9
# A BPF file system of its own: what the package leaves is there or nowhere.
nsenter --net=/run/netns/$gated mount -t sysfs sysfs "$root/sys"
mount -t bpf bpf "$root/sys/fs/bpf" || exit 2

# In this shell, which is to know the process: not through `try`.
# The unit's group, rights and directories, without its systemd.
start() {
    inside install -d -m 0750 -g weir /run/weir
    inside install -d -m 0700 -g weir /var/lib/weir
    # Not by `inside`: a function in the background is a process of its own, and not the daemon.
    nsenter --net=/run/netns/$gated chroot "$root" setpriv --regid weir --clear-groups --no-new-privs \
        --bounding-set=-all,+bpf,+net_admin,+perfmon --inh-caps=-all \
        /usr/bin/weir run --config /etc/weir/weir.toml >>"$root/log" 2>&1 &
    daemon=$!
    for _ in $(seq 100); do inside weir status >/dev/null 2>&1 && return 0; sleep 0.2; done
    return 1
}
stop() { [ -z "$daemon" ] || { kill $daemon; wait $daemon; } 2>/dev/null; daemon=; }

try "install" inside dpkg --install /weir.deb
[ $failed = 0 ] || exit 1
try "group weir is there" inside getent group weir
try "the unit is there, and not enabled" sh -c "[ -f '$root/usr/lib/systemd/system/weir.service' ] && ! find '$root/etc/systemd' -name 'weir.service' | grep -q ."
try "the program runs" inside weir version
try "completions, dashboards, rules" sh -c "cd '$root/usr/share' && ls bash-completion/completions/weir zsh/vendor-completions/_weir fish/vendor_completions.d/weir.fish weir/grafana/*.json weir/prometheus/weir.rules.yml"
try "manual pages, documentation, licences" sh -c "cd '$root/usr/share' && ls man/man1/weir-apply.1.gz doc/weir/CHANGELOG.md doc/weir/docs/upgrade.md doc/weir/docs/decisions/README.md doc/weir/copyright doc/weir/third-party-licences.txt.gz"

settings
start; say $? "the daemon starts with three capabilities"
try "they are all it has" grep -q "CapEff:.*000000c000001000" /proc/$daemon/status
try "without a policy everything passes" reaches
try "apply" inside weir apply /etc/weir/policy.toml
try "the policy refuses" not reaches

# An upgrade, and the restart that the unit would get, under traffic that is refused.
begin_prober
try "upgrade" inside dpkg --install /newer.deb
try "settings that were changed stay" grep -q gated0 "$root/etc/weir/weir.toml"
stop
sleep 2
start; say $? "the new daemon starts"
sleep 2
end_prober
try "enforcement had no gap" none_taken 500
try "the new daemon took over" grep -q "adopted=true" "$root/log"

inside weir apply /etc/weir/policy.toml --confirm 5s >/dev/null 2>&1
try "remove" inside dpkg --remove weir
try "removal takes the filter off" reaches
try "and leaves no pins" sh -c "[ -z \"\$(ls -A '$root/sys/fs/bpf/weir' 2>/dev/null)\" ]"
try "state and settings stay" sh -c "[ -f '$root/var/lib/weir/weir.db' ] && [ -f '$root/etc/weir/weir.toml' ]"
[ -z "$daemon" ] || wait $daemon 2>/dev/null; daemon=

try "install again" inside dpkg --install /newer.deb
start; say $? "the daemon starts again"
try "apply again" inside weir apply /etc/weir/policy.toml
stop
try "without a daemon the policy refuses" not reaches
try "remove, told to keep" env WEIR_ON_REMOVE=keep nsenter --net=/run/netns/$gated chroot "$root" dpkg --remove weir
try "the policy refuses still" not reaches
try "install again, to remove without a daemon" inside dpkg --install /newer.deb
try "remove without a daemon" inside dpkg --remove weir
try "takes the filter off as well" reaches
try "purge" inside dpkg --purge weir
try "no state is left" sh -c "[ ! -e '$root/var/lib/weir' ] && [ ! -e '$root/etc/weir/weir.toml' ]"
try "what the operator wrote is left" test -f "$root/etc/weir/policy.toml"
[ $failed = 0 ] || { echo "  | the daemon said:"; tail -15 "$root/log" | sed 's/^/  | /'; }
exit $failed
