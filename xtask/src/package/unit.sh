# Boots a systemd in namespaces of its own, installs the package there, and lets it run the unit with
# all of its confinement, between two network namespaces.
outer= init=
home=$(sed -n 's/^0:://p' /proc/self/cgroup)
groups=$(findmnt --noheadings --first-only --types cgroup2 --output TARGET)
group=$groups${home%/}/weir-try-$$
inside() { nsenter --target "$init" --all "$@"; }
process() { inside systemctl show --value --property MainPID weir; }
restarts() { inside systemctl show --value --property NRestarts weir; }
active() { inside systemctl is-active weir; }
# A line of what the kernel says of the daemon.
has() { inside sh -c "cat /proc/$(process)/status" | tr '\t' ' ' | grep -qx "$1"; }
# In the daemon's view of the file system.
view() { local pid; pid=$(process) && inside nsenter --target "$pid" --mount "$@"; }
another() { local now; now=$(process); [ "$now" != 0 ] && [ "$now" != "$1" ] && inside weir status; }
said() { inside journalctl --unit weir --no-pager --output cat; }

cleanup() {
    [ -z "$init" ] || { inside weir detach; inside systemctl poweroff; } >/dev/null 2>&1
    for _ in $(seq 50); do [ -n "$outer" ] && kill -0 $outer 2>/dev/null || break; sleep 0.2; done
    [ -z "$outer" ] || { kill -9 $outer; wait $outer; } 2>/dev/null
    for _ in $(seq 25); do
        find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null
        [ -d "$group" ] && sleep 0.2 || break
    done
    clear_away
}
trap cleanup EXIT
[ -n "$groups" ] || { echo "package: there is no cgroup2, which systemd needs"; exit 2; }
lay_out
mkdir "$group" || exit 2
# The namespace of control groups begins at the group it is made in.
bash -c 'echo $$ >"$1/cgroup.procs" && exec nsenter --net="/run/netns/$2" \
    unshare --pid --fork --kill-child --mount --uts --ipc --cgroup bash "$3" "$4"' \
    x "$group" $gated "$(dirname "$0")/boot.sh" "$root" >"$root.log" 2>&1 &
outer=$!
for _ in $(seq 50); do
    init=$(cat /proc/$outer/task/$outer/children 2>/dev/null) && [ -n "$init" ] && break
    sleep 0.1
done
init=${init%% *}
# No process may be where systemd makes groups of its own.
echo $outer >"$groups$home/cgroup.procs"
booted() { inside systemctl is-system-running --wait | grep -Eqx 'running|degraded'; }
soon booted; say $? "systemd runs: $(inside systemctl --version | head -n 1)"
[ $failed = 0 ] || { tail -20 "$root.log"; exit 1; }

try "install" inside dpkg --install /weir.deb
try "nothing was started" not active
settings
try "start, enabled" inside systemctl enable --now weir
[ $failed = 0 ] || { said | tail -15; exit 1; }
for set in CapPrm CapEff CapBnd; do try "$set: three capabilities" has "$set: 000000c000001000"; done
for set in CapInh CapAmb; do try "$set: none" has "$set: 0000000000000000"; done
try "no new privileges, system calls filtered" eval 'has "NoNewPrivs: 1" && has "Seccomp: 2"'
for path in /usr/x /etc/weir/x /root/x /x /sys/fs/cgroup/x; do
    try "it cannot write $path" not view mkdir $path
done
for path in /var/lib/weir/x /run/weir/x /sys/fs/bpf/x; do
    try "it can write $path" view sh -c "mkdir $path && rmdir $path"
done
try "the socket is the group's" sh -c "[ \"\$(nsenter --target $init --all stat --format '%a %G' /run/weir/weir.sock)\" = '660 weir' ]"

try "without a policy everything passes" reaches
try "requests are measured" soon sh -c "nsenter --target $init --all weir apis --json | grep -q '\"requests\": *[1-9]'"
try "apply" inside weir apply /etc/weir/policy.toml
try "the policy refuses" not reaches
try "apply, to be confirmed" inside weir apply /etc/weir/open.toml --confirm 60s
try "it passes" reaches
try "confirm" inside weir confirm
try "ban" inside weir ban add 10.98.0.2 --ttl 2s
try "the ban holds" not reaches
try "and ends" soon reaches
try "roll back" inside weir rollback
try "the policy refuses again" not reaches

useradd() { inside sh -c 'adduser --system --ingroup weir --quiet member && adduser --system --quiet other'; }
as() { local who=$1 group=$2; shift 2; inside setpriv --reuid "$who" --regid "$group" --clear-groups "$@"; }
try "users" useradd
try "a member of the group speaks to the daemon" as member weir weir status
try "another user does not" not as other nogroup weir status
try "a member applies nothing" not as member weir weir apply /etc/weir/open.toml --force
inside install -D -m 644 /usr/share/doc/weir/examples/members.conf /etc/systemd/system/weir.service.d/members.conf
inside systemctl daemon-reload
try "restart with members.conf" inside systemctl restart weir
try "a member applies" as member weir weir apply /etc/weir/open.toml --force
try "it passes" reaches
inside rm -r /etc/systemd/system/weir.service.d
inside systemctl daemon-reload
try "restart without it" inside systemctl restart weir
try "roll back" inside weir rollback

# From here on it refuses all the while.
try "the policy refuses" not reaches
begin_prober
was=$(process)
try "reload" inside systemctl reload weir
try "the same process runs on" [ "$(process)" = "$was" ]
try "restart" inside systemctl restart weir
was=$(process)
inside sh -c "kill -9 $was"
try "killed, it is started again" soon another "$was"
was=$(process)
lived=$SECONDS
while [ $((SECONDS - lived)) -lt 35 ]; do sleep 1; done
try "the watchdog leaves a daemon that lives alone" [ "$(process)" = "$was" ]
inside sh -c "kill -STOP $was"
for _ in $(seq 70); do another "$was" >/dev/null 2>&1 && break; sleep 1; done
try "it ends one that hangs, and another runs" another "$was"
try "by the watchdog" eval 'said | grep -q "Watchdog timeout"'
was=$(process)
try "upgrade" inside dpkg --install /newer.deb
try "it restarted the daemon" soon another "$was"
sleep 2
end_prober
try "enforcement had no gap" none_taken 2000
try "the new daemon took over" eval 'said | tail -30 | grep -q "adopted=true"'

# A change that nobody confirms: an orderly end takes it back at once, and after any other the
# process that waits for the deadline does, which systemd must leave alone.
try "apply, to be confirmed" inside weir apply /etc/weir/open.toml --confirm 10s
try "stop" inside systemctl stop weir
try "it is taken back at once" not reaches
try "start" inside systemctl start weir
inside mkdir -p /run/systemd/system/weir.service.d
inside sh -c 'printf "[Service]\nRestart=no\n" >/run/systemd/system/weir.service.d/once.conf'
inside systemctl daemon-reload
try "apply, to be confirmed" inside weir apply /etc/weir/open.toml --confirm 15s
inside sh -c "kill -9 $(process)"
try "killed, it stays away" soon not active
try "what was applied passes" reaches
for _ in $(seq 20); do reaches || break; sleep 1; done
try "at the deadline it is taken back" not reaches
inside rm -r /run/systemd/system/weir.service.d
inside systemctl daemon-reload
try "start" inside systemctl start weir
try "the policy refuses" not reaches

try "nothing was forbidden that it needed" eval '! said | grep -v "as the caller" | grep -E "not permitted|Permission denied|Read-only|panicked"'
try "remove" inside dpkg --remove weir
try "it runs no more" not active
try "removal takes the filter off" reaches
try "purge" inside dpkg --purge weir
try "no state is left" sh -c "[ ! -e '$root/var/lib/weir' ] && [ ! -e '$root/etc/weir/weir.toml' ]"
[ $failed = 0 ] || { echo "  | the daemon said:"; said | tail -25 | sed 's/^/  | /'; }
exit $failed
