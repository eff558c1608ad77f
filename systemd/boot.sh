# Sourced by the tests in this folder: boots a real systemd as PID 1 over a throw-away overlay of this machine's root.
#
#   . boot.sh
#   overlay SIZE        makes $root, with nothing of wardmote and no service of this machine's own
#   boot                starts systemd in it; `inside COMMAND…` runs a command there
#   holds WHAT COMMAND… says whether that holds, and notes in $failed when it does not
#   one_case ADDRESS    whether the service knows exactly one case of that address
#   within SECONDS COMMAND…  tries again until it works or the time is over
#
# Needs root, systemd-nspawn, nsenter and overlayfs. The network in it is private and nothing on this machine is changed.
# Ends the script with 77 when it cannot be tried here.

cannot() { echo "$1"; exit 77; }
[ "$(id -u)" = 0 ] || cannot "needs root"
for program in systemd-nspawn nsenter; do
    command -v "$program" >/dev/null || cannot "needs $program"
done

scratch=$(mktemp -d)
root=$scratch/root nspawn='' pid='' failed=0
clean_up() {
    [ -z "$nspawn" ] || kill "$nspawn" 2>/dev/null
    [ -z "$nspawn" ] || wait "$nspawn" 2>/dev/null
    umount "$root" 2>/dev/null
    umount "$scratch" 2>/dev/null
    rmdir "$scratch"
}
trap clean_up EXIT

overlay() {
    mount -t tmpfs -o "size=$1" tmpfs "$scratch" || cannot "no tmpfs can be mounted"
    mkdir "$scratch/upper" "$scratch/inner" "$root"
    mount -t overlay overlay -o "lowerdir=/,upperdir=$scratch/upper,workdir=$scratch/inner" "$root" || cannot "no overlay can be mounted"
    rm -rf "$root"/etc/systemd/system/multi-user.target.wants/*.service "$root/var/lib/wardmote" "$root/var/cache/wardmote" "$root/etc/wardmote"
    rm -f "$root"/var/log/auth.log "$root"/var/log/syslog "$root"/var/log/messages "$root"/var/log/secure # the journal alone
    rm -f "$root/usr/sbin/policy-rc.d"
}

inside() { nsenter -t "$pid" -m -u -i -n -p -C "$@"; }

boot() {
    # nspawn's own filter knows no landlock before systemd 255.
    systemd-nspawn -q -D "$root" --system-call-filter="landlock_create_ruleset landlock_add_rule landlock_restrict_self" --register=no --keep-unit --private-network -M "wardmote-$$" -b systemd.unit=multi-user.target \
        >"$scratch/console" 2>&1 </dev/null &
    nspawn=$!
    tries=0
    until [ -n "$pid" ] && inside systemctl is-system-running 2>/dev/null | grep -Eq 'running|degraded'; do
        tries=$((tries + 1))
        [ "$tries" -le 150 ] || { tail -5 "$scratch/console"; cannot "it does not boot here within 30 s"; }
        sleep 0.2
        pid=$(tr -d ' ' <"/proc/$nspawn/task/$nspawn/children" 2>/dev/null)
    done
}

holds() {
    what=$1
    shift
    if "$@" >"$scratch/said" 2>&1; then echo "ok: $what"; else failed=1; echo "FAILED: $what"; cat "$scratch/said"; fi
}
not() { ! "$@"; }
one_case() {
    count='import json, sys; print(sum(sys.argv[1] in json.dumps(case) for case in json.load(sys.stdin)["cases"]))'
    [ "$(inside wardmote alerts --format json list | python3 -c "$count" "$1")" = 1 ]
}
within() {
    left=$(($1 * 5))
    shift
    until "$@"; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || return 1
        sleep 0.2
    done
}
show() { inside systemctl show -P "$1" "${2:-wardmote}"; }
is() { # PROPERTY VALUE [UNIT]
    [ "$(show "$1" "${3:-wardmote}")" = "$2" ] || { show "$1" "${3:-wardmote}"; false; }
}
