# The first process of a system of its own, before it becomes systemd: file systems, then the root.
# What the host's kernel can be told below /proc/sys and /sys stays as it is. Argument: the root.
set -eu
root=$1
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs "$root/sys"
mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 "$root/sys/fs/cgroup"
# A BPF file system of its own: what the package leaves is there or nowhere.
mount -t bpf bpf "$root/sys/fs/bpf"
mount -t tmpfs -o mode=755,nosuid tmpfs "$root/dev"
for one in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0; do
    IFS=: read -r name major minor <<<"$one"
    mknod -m 666 "$root/dev/$name" c "$major" "$minor"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666,mode=620 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount -t tmpfs -o mode=755,nosuid tmpfs "$root/run"
cd "$root"
pivot_root . .
umount -l .
mount --make-rshared /
# No modules, no clock, no hardware.
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=weir-try \
    setpriv --bounding-set=-sys_module,-sys_time,-sys_rawio,-syslog,-wake_alarm,-mac_admin,-mac_override \
    /lib/systemd/systemd --show-status=0 --log-target=journal
