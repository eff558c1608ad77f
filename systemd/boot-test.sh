#!/bin/sh
# Boots a real systemd as PID 1 over a throw-away overlay of this machine's root, and runs the units in it: readiness,
# status, reload, capabilities, seccomp, the audit's unit, restart after a crash, a clean stop.
#
#   boot-test.sh WARDMOTE-BINARY FOLDER-OF-THE-UNITS
#
# Needs root, systemd-nspawn and overlayfs. The network in it is private and nothing on this machine is changed.
# Ends with 0 when all holds, 1 when something does not, 77 when it cannot be tried here.
set -u
binary=$1 units=$2
. "$(dirname "$0")/boot.sh"
overlay 256m
install -m 755 "$binary" "$root/usr/bin/wardmote"
install -m 644 "$units"/*.service "$units"/*.timer "$units"/*.socket "$root/etc/systemd/system/"
install -D -m 644 "$units/sysusers.d/wardmote.conf" "$root/usr/lib/sysusers.d/wardmote.conf"
install -D -m 644 "$units/tmpfiles.d/wardmote.conf" "$root/usr/lib/tmpfiles.d/wardmote.conf"
systemd-sysusers --root="$root" wardmote.conf || { echo "FAILED: sysusers"; exit 1; }
boot

status_has() { show StatusText | grep -q "$1"; }
main_status() { inside cat "/proc/$(show MainPID)/status"; }
has() { main_status | grep -Eq "$1"; }
new_main() { [ "$(show MainPID)" != "$old" ] && is ActiveState active; }

holds "it says when it is ready" inside systemctl start wardmote
holds "it audits and says how things are" within 30 status_has 'last audit'
holds "it runs as its own user" has '^Uid:[[:space:]]+[1-9]'
holds "it has one capability" has '^CapEff:[[:space:]]+0000000000000004$'
holds "nothing more can be got" has '^CapBnd:[[:space:]]+0000000000000004$'
holds "it is filtered" has '^Seccomp:[[:space:]]+2$'
holds "it gets no new privileges" has '^NoNewPrivs:[[:space:]]+1$'
child_has() { inside cat "/proc/$(inside pgrep -P "$(show MainPID)" -f ' look$' | head -1)/status" | grep -Eq "$1"; }
holds "what reads the logs has no capability" within 15 child_has '^CapEff:[[:space:]]+0000000000000000$'
holds "and none to come by" within 15 child_has '^CapPrm:[[:space:]]+0000000000000000$'
holds "and its calls are filtered by its own filters, too" within 15 child_has '^Seccomp_filters:[[:space:]]+[0-9]{2}$'
holds "nothing of its sandbox is missing" sh -c "nsenter -t $pid -m -u -i -n -p -C wardmote status | grep '^  sandbox   landlock ABI' | grep -vq missing"
holds "its state is private" sh -c "[ \"\$(stat -c %a '$root/var/lib/wardmote' '$root/var/lib/wardmote/wardmote.db' | xargs)\" = '700 600' ]"
attack() {
    for port in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        inside logger -p auth.info -t sshd --id=4321 "Failed password for root from 192.0.2.77 port $port ssh2"
    done
}
attack
holds "it sees an attack in the journal and tells" within 15 grep -q 192.0.2.77 "$root/var/lib/wardmote/alerts.jsonl"
holds "it tells it once" sh -c "sleep 5; [ \"\$(grep -c '\"news\":\"new\".*192.0.2.77' '$root/var/lib/wardmote/alerts.jsonl')\" = 1 ]"
cases="$root/var/lib/wardmote/cases.jsonl"
inside logger -p auth.info -t sshd --id=4321 "Accepted password for bob from 192.0.2.77 port 21 ssh2"
holds "a login after the guesses is told within a look or two" within 4 grep -q '"severity":"\(high\|critical\)".*192.0.2.77' "$cases"
holds "and is the same case" sh -c "[ \"\$(grep 192.0.2.77 '$cases' | grep -o '^{[^}]*\"id\":[0-9]*' | grep -o '[0-9]*\$' | sort -u | wc -l)\" = 1 ]"
holds "its story can be read" sh -c "nsenter -t $pid -m -u -i -n -p -C wardmote alerts show 1 | grep -q 192.0.2.77"
holds "it says how it is" sh -c "nsenter -t $pid -m -u -i -n -p -C wardmote status | grep -q 'is running'"
inside sh -c 'echo "PermitRootLogin yes" >>/etc/ssh/sshd_config'
holds "it notices changed configuration" within 15 sh -c "nsenter -t $pid -m -u -i -n -p -C journalctl -u wardmote | grep -q 'sshd_config changed: auditing again'"
holds "it reloads" inside systemctl reload wardmote
holds "the sweep leaves the logs to the service" inside systemctl start wardmote-sweep
holds "and was not even started" is ConditionResult no wardmote-sweep
old=$(show MainPID)
inside systemctl kill -s KILL wardmote
holds "it comes back after a crash" within 15 new_main
holds "what it had open is still one case" one_case 192.0.2.77
holds "it stops cleanly" inside systemctl stop wardmote
holds "and has not failed" is Result success
holds "and is then said to be down" sh -c "nsenter -t $pid -m -u -i -n -p -C wardmote status | grep -q 'is DOWN'"
holds "now the sweep's unit sweeps" inside systemctl start wardmote-sweep
holds "and keeps a place of its own" test -s "$root/var/lib/wardmote/sweep.json"
holds "the audit's unit does not count findings as a failure" inside systemctl start wardmote-audit
holds "and leaves its report" test -s "$root/var/lib/wardmote/last-audit.json"
for timer in audit sweep; do
    holds "the timer of the $timer starts" inside systemctl start "wardmote-$timer.timer"
done

# Notifications over the network: from the sender alone.
mkdir -p "$root/etc/wardmote"
cat >"$root/etc/wardmote/wardmote.yaml" <<'END'
agent:
  operators: [daemon]
  metrics_socket: /run/wardmote/agent/metrics.sock
notify:
- {name: ops, from: low, webhook: {url: "http://127.0.0.1:8099/in", secret_file: "credential:ops"}}
END
cat >"$root/run-receiver.py" <<'END'
import http.server
class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with open("/received", "ab") as file:
            file.write(self.headers["webhook-signature"].encode() + b" " + body + b"\n")
        self.send_response(204)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", 8099), Receiver).serve_forever()
END
inside systemd-tmpfiles --create wardmote.conf
echo whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw >"$root/etc/wardmote/credentials-send/ops"
chmod 600 "$root/etc/wardmote/credentials-send/ops"
inside ip link set lo up
inside systemd-run -q --unit=receiver python3 /run-receiver.py
holds "the sender says when it is ready" inside systemctl start wardmote-send
inside systemctl start wardmote
holds "it knows whom to tell" within 15 sh -c "nsenter -t $pid -m -u -i -n -p -C systemctl show -P StatusText wardmote-send | grep -q '^1 targets'"
for port in 1 2 3 4 5 6 7 8 9 10 11 12; do
    inside logger -p auth.info -t sshd --id=4321 "Failed password for root from 192.0.2.78 port $port ssh2"
done
holds "a webhook arrives signed" within 20 grep -q '^v1,.*192.0.2.78' "$root/received"
holds "the service counts it" within 10 sh -c "nsenter -t $pid -m -u -i -n -p -C wardmote status | grep -q 'ops: [1-9][0-9]* taken, 0 waiting$'"
as() { user=$1; shift; inside setpriv --reuid "$user" --regid "$user" --clear-groups "$@"; }
holds "an operator who is not root is answered" sh -c "nsenter -t $pid -m -u -i -n -p -C setpriv --reuid daemon --regid daemon --clear-groups wardmote status | grep -q 'is running'"
holds "and decides" as daemon wardmote respond list
holds "somebody else is not" sh -c "nsenter -t $pid -m -u -i -n -p -C setpriv --reuid games --regid games --clear-groups wardmote respond list 2>&1 | grep -q 'no operator'"
! command -v curl >/dev/null || holds "metrics are given to whoever scrapes" sh -c "nsenter -t $pid -m -u -i -n -p -C setpriv --reuid games --regid games --clear-groups curl -s --unix-socket /run/wardmote/agent/metrics.sock http://localhost/metrics | grep -q '^wardmote_start_time_seconds [1-9]'"
sender=$(show MainPID wardmote-send)
of_sender() { inside cat "/proc/$sender/status" | grep -Eq "$1"; }
holds "the sender is a user of its own" of_sender '^Uid:[[:space:]]+[1-9]'
holds "without a capability" of_sender '^CapEff:[[:space:]]+0+$'
holds "and can get none" of_sender '^CapBnd:[[:space:]]+0+$'
holds "it is filtered, too" of_sender '^Seccomp:[[:space:]]+2$'
holds "of /var it sees the spool alone" sh -c "[ \"\$(nsenter -t $pid -m -p ls /proc/$sender/root/var /proc/$sender/root/var/spool/wardmote | xargs)\" = '/proc/$sender/root/var: spool tmp /proc/$sender/root/var/spool/wardmote: done out' ]"
holds "it stops cleanly, too" inside systemctl stop wardmote-send
exit "$failed"
