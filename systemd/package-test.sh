#!/bin/sh
# Installs, upgrades and purges the Debian package under a real systemd, in a throw-away overlay of this machine's root.
#
#   package-test.sh PACKAGE.deb
#
# Needs root, systemd-nspawn, overlayfs and dpkg. Nothing on this machine is changed.
# Ends with 0 when all holds, 1 when something does not, 77 when it cannot be tried here.
set -u
package=$1
. "$(dirname "$0")/boot.sh"
overlay 512m
cp "$package" "$root/var/wardmote.deb"
boot

install_it() { inside env DEBIAN_FRONTEND=noninteractive dpkg --install /var/wardmote.deb; }
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
