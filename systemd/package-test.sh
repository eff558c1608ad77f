#!/bin/sh
# Installs, upgrades and purges the Debian package under a real systemd, in a throw-away overlay of this machine's root.
#
#   package-test.sh PACKAGE.deb
#
# Needs root, systemd-nspawn, overlayfs and dpkg. Nothing on this machine is changed.
# Ends with 0 when all holds, 1 when something does not, 77 when it cannot be tried here.
set -u
package=$1
[ "$(id -u)" = 0 ] && command -v systemd-nspawn nsenter dpkg >/dev/null || { echo "needs root, systemd-nspawn, nsenter and dpkg"; exit 77; }

scratch=$(mktemp -d)
nspawn='' pid=''
clean_up() {
    [ -z "$nspawn" ] || kill "$nspawn" 2>/dev/null
    [ -z "$nspawn" ] || wait "$nspawn" 2>/dev/null
    umount "$scratch/root" 2>/dev/null
    umount "$scratch" 2>/dev/null
    rmdir "$scratch"
}
trap clean_up EXIT
cannot() { echo "$1"; exit 77; }

mount -t tmpfs -o size=512m tmpfs "$scratch" || cannot "no tmpfs can be mounted"
root=$scratch/root
mkdir "$scratch/upper" "$scratch/inner" "$root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$scratch/upper,workdir=$scratch/inner" "$root" || cannot "no overlay can be mounted"
rm -rf "$root"/etc/systemd/system/multi-user.target.wants/*.service "$root/var/lib/wardmote" "$root/var/cache/wardmote" "$root/etc/wardmote"
rm -f "$root/usr/sbin/policy-rc.d"
cp "$package" "$root/var/wardmote.deb"

systemd-nspawn -q -D "$root" --register=no --keep-unit --private-network -M "wardmote-$$" -b systemd.unit=multi-user.target \
    >"$scratch/console" 2>&1 </dev/null &
nspawn=$!
inside() { nsenter -t "$pid" -m -u -i -n -p -C "$@"; }
tries=0
until [ -n "$pid" ] && inside systemctl is-system-running 2>/dev/null | grep -Eq 'running|degraded'; do
    tries=$((tries + 1))
    [ "$tries" -le 150 ] || { tail -5 "$scratch/console"; cannot "it does not boot here within 30 s"; }
    sleep 0.2
    pid=$(tr -d ' ' <"/proc/$nspawn/task/$nspawn/children" 2>/dev/null)
done

failed=0
holds() { # WHAT COMMAND...
    what=$1
    shift
    if "$@" >"$scratch/said" 2>&1; then echo "ok: $what"; else failed=1; echo "FAILED: $what"; cat "$scratch/said"; fi
}
not() { ! "$@"; }
install_it() { inside env DEBIAN_FRONTEND=noninteractive dpkg --install /var/wardmote.deb; }
show() { inside systemctl show -P "$1" wardmote; }
# What carries the name, and what belongs to the user of that name.
left() { find "$root"/etc "$root"/usr "$root"/var/lib "$root"/var/cache "$root"/run -xdev -name '*wardmote*' ! -path '*/dpkg/*' 2>/dev/null; }

before=$(left)
holds "it installs" install_it
holds "it is whole" inside dpkg --verify wardmote
holds "nothing was started" not inside systemctl is-active --quiet wardmote wardmote-audit.timer wardmote-sweep.timer
holds "nothing was enabled" not inside systemctl is-enabled --quiet wardmote wardmote-audit.timer wardmote-sweep.timer
holds "it has its user" inside getent passwd wardmote
holds "it has its directory of configuration" sh -c "[ \"\$(stat -c %a '$root/etc/wardmote')\" = 750 ]"
holds "it has a manual" inside sh -c 'zcat /usr/share/man/man8/wardmote-audit.8.gz | grep -q wardmote'
holds "its example is a configuration" inside sh -c 'sed "s/^#//; 1,3d" /usr/share/doc/wardmote/examples/wardmote.yaml >/tmp/x.yaml && wardmote --config /tmp/x.yaml config check'
holds "it runs" inside systemctl enable --now wardmote
state=$(show MainPID)
holds "it keeps state" sh -c "sleep 3; test -s '$root/var/lib/wardmote/wardmote.db'"
holds "it is upgraded" install_it
holds "and was restarted by that" sh -c "[ '$state' != '$(show MainPID)' ]"
holds "and runs" inside systemctl is-active wardmote
holds "and has kept its state" test -s "$root/var/lib/wardmote/wardmote.db"
holds "it is removed" inside dpkg --remove wardmote
holds "and does not run" not inside systemctl is-active --quiet wardmote
holds "and has left its state" test -s "$root/var/lib/wardmote/wardmote.db"
holds "it is purged" inside dpkg --purge wardmote
holds "and has left nothing" sh -c "[ -z \"$(left | grep -vxF "${before:-/}" | tr '\n' ' ')\" ]"
holds "nor its user" not inside getent passwd wardmote
exit "$failed"
