//! How much a value reads like a way to a file or an address that it should not reach.
//!
//! Climbs (`../` in its many spellings), files that only attacks ask for, wrappers of PHP, addresses
//! of other servers where a file is expected, and those that only the server itself can reach.

use super::phrases::{Found, Sort, Table};

/// Files and directories that visitors do not ask for.
pub(super) const FILES: Table = &[
    (b"etc/passwd", 5),
    (b"etcpasswd", 5),
    (b"etc/shadow", 5),
    (b"etc/group", 5),
    (b"etc/hosts", 5),
    (b"etc/issue", 5),
    (b"proc/self", 5),
    (b"proc/version", 5),
    (b"proc/cpuinfo", 5),
    (b"boot.ini", 5),
    (b"win.ini", 5),
    (b"system.ini", 5),
    (b"web-inf", 5),
    (b"web.config", 5),
    (b"global.asa", 5),
    (b"inetpub", 5),
    (b"wwwroot", 5),
    (b"windows/system32", 5),
    (b"winnt/", 5),
    (b"meta-inf", 5),
    (b"var/log/", 5),
    (b"access.log", 5),
    (b"access_log", 5),
    (b"error_log", 5),
    (b".bash_history", 5),
    (b"id_rsa", 5),
    (b"authorized_keys", 5),
    (b"my.cnf", 5),
    (b"httpd.conf", 5),
    (b"php.ini", 5),
    (b"autoexec.bat", 5),
    (b"config.sys", 5),
    (b"sam._", 5),
    (b"repair/sam", 5),
    (b"etc/passwd%00", 5),
    (b"windows/win", 5),
    (b"c:/windows", 5),
    (b"root/.ssh", 5),
    (b"usr/local/", 5),
    (b"c:oot.ini", 5),
];

/// Addresses and settings of PHP and its like.
pub(super) const WRAPPERS: Table = &[
    (b"php://", 6),
    (b"phar://", 6),
    (b"zip://", 5),
    (b"expect://", 6),
    (b"file:/", 5),
    (b"data:text/", 3),
    (b"data://", 5),
    (b"glob://", 5),
    (b"compress.zlib:", 6),
    (b"ogg://", 4),
    (b"jar:http", 5),
    (b"netdoc:/", 5),
    (b"allow_url_include", 6),
    (b"auto_prepend_file", 6),
    (b"convert.base64", 5),
    (b"/..;/", 5),
];

/// Hosts and schemes that only the server reaches, or that tell who called.
pub(super) const HOSTS: Table = &[
    (b"169.254.169.254", 5),
    (b"metadata.google.internal", 5),
    (b"100.100.100.200", 5),
    (b"fd00:ec2::254", 5),
    (b"169.254.170.2", 5),
    (b"//localhost", 5),
    (b"//127.", 5),
    (b"//0.0.0.0", 5),
    (b"//[::1]", 5),
    (b"//2130706433", 5),
    (b"//0x7f", 5),
    (b"metadata.azure", 5),
    (b"burpcollaborator", 5),
    (b"oastify.com", 5),
    (b"interact.sh", 5),
    (b"oast.", 5),
    (b"bxss.me", 5),
    (b"dnslog.cn", 5),
    (b"ceye.io", 5),
    (b"r87.me", 5),
    (b"canarytokens", 5),
    (b"vulnweb.com", 5),
    (b"some-inexistent-website", 5),
    (b"requestbin", 5),
    (b"gopher://", 5),
    (b"dict://", 5),
    (b"ldap://", 5),
    (b"ldaps://", 5),
    (b"rmi://", 5),
    (b"tftp://", 5),
];

/// Points of a value in lower case for a climb or a file.
pub fn points(value: &[u8], found: &Found) -> u32 {
    let spelled = spelled(value);
    let found = if spelled == value { *found } else { Found::within(&spelled).or(found) };
    let known = found.points(Sort::File) > 0;
    let wrapped = found.points(Sort::Wrapper);
    let climbs = find_count(&spelled, b"../").min(8);
    let climb = match climbs {
        0 => 0,
        1 => 3,
        _ => 6,
    };
    let led = spelled.starts_with(b"/..") || spelled.starts_with(b"//..");
    let dotted = value.windows(4).any(|text| text == b"0x2e");
    let spelt = dotted && (spelled.contains(&b'/') || spelled.windows(2).any(|text| text == b".."));
    climb + u32::from(known || led || spelt) * 5 + wrapped + padding(&spelled)
}

fn find_count(text: &[u8], needle: &[u8]) -> usize {
    text.windows(needle.len()).filter(|window| *window == needle).take(9).count()
}

/// `\` as `/`; `0x2f` and its like, `%2f` that was escaped too often, and `\u` without its backslash, opened.
fn spelled(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    let mut at = 0;
    while let Some(byte) = value.get(at) {
        let rest = &value[at..];
        let (byte, used) = match byte {
            b'\\' => (b'/', 1),
            b'0' if rest.starts_with(b"0x2e") => (b'.', 4),
            b'0' if rest.starts_with(b"0x2f") || rest.starts_with(b"0x5c") => (b'/', 4),
            b'x' if rest.starts_with(b"x2e") => (b'.', 3),
            b'%' if rest.starts_with(b"%2e") => (b'.', 3),
            b'%' if rest.starts_with(b"%2f") || rest.starts_with(b"%5c") => (b'/', 3),
            other => (*other, 1),
        };
        out.push(byte);
        at += used;
    }
    out
}

/// Dots, slashes or one letter without end: what is behind is to be cut off, or a check to be passed by.
fn padding(text: &[u8]) -> u32 {
    let mut points = 0;
    let (mut run, mut before) = (0_usize, 0);
    for byte in text.iter().copied().chain([0]) {
        if byte == before {
            run += 1;
            continue;
        }
        points = points.max(match (before, run) {
            (b'.', 3) if byte == b'/' => 3,
            (b'.', 4..) if byte == b'/' || run >= 8 => 5,
            (b'.', 4..) => 3,
            (b'/', 4..) => 5,
            (b'/', 3) => 3,
            (b'a'..=b'z', 128..) => 5,
            _ => 0,
        });
        (before, run) = (byte, 1);
    }
    let here = find_count(text, b"/./").min(4);
    let thrice = find_count(text, b".../").min(3);
    points.max(if here >= 2 || thrice >= 2 { 5 } else { 0 })
}

/// Points of a value in lower case for another server's address where a file or word belongs.
pub fn remote_points(value: &[u8], found: &Found) -> u32 {
    let mut points = found.points(Sort::Host);
    let address = [&b"http://"[..], b"https://", b"ftp://"]
        .iter()
        .find_map(|scheme| value.strip_prefix(*scheme));
    if let Some(address) = address {
        let bait =
            address.ends_with(b"?") || address.ends_with(b"??") || address.ends_with(b"?.jpg");
        let script = [&b".txt"[..], b".txt?", b".php?", b".txt?.jpg", b".inc", b".dat?"]
            .iter()
            .any(|end| address.ends_with(end));
        points += if bait { 5 } else { 0 } + if script { 4 } else { 0 };
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(value: &[u8]) -> u32 {
        super::points(value, &Found::within(value))
    }

    fn remote_points(value: &[u8]) -> u32 {
        super::remote_points(value, &Found::within(value))
    }

    #[test]
    fn climbs_score_and_plain_paths_do_not() {
        for value in [
            "../../etc",
            "..\\..\\x",
            "/etc/passwd",
            "....//....//x",
            "php://filter/x",
            "file:///x",
            "/0x2e0x2e0x2f0x2e0x2e0x2fx",
            "../win.ini",
            "/.../.../x",
            "web-inf/web.xml",
            "/./././x",
            "c:\\windows\\win.ini",
            ".........etcpasswd",
        ] {
            assert!(points(value.as_bytes()) >= 5, "{value}: {}", points(value.as_bytes()));
        }
        for value in [
            "../x",
            "/a/b/c",
            "a...",
            "http://example.org/",
            "wait...",
            "1.2.3",
            "/a//b",
            "passwd",
            "x.ini",
            "n/a",
        ] {
            assert!(points(value.as_bytes()) < 5, "{value}: {}", points(value.as_bytes()));
        }
        let long = |count: usize| points("a".repeat(count).as_bytes()) >= 5;
        assert_eq!((long(127), long(128)), (false, true));
    }

    #[test]
    fn addresses_count_where_they_bait_or_reach_inside() {
        for value in [
            "http://169.254.169.254/latest/meta-data/",
            "gopher://127.0.0.1:6379/_x",
            "http://192.0.2.1/c99.txt?",
            "http://192.0.2.1/pizza.htm?",
            "http://localhost/server-status",
            "ftp://192.0.2.1/x.php?",
        ] {
            assert!(remote_points(value.as_bytes()) >= 5, "{value}");
        }
        for value in [
            "https://example.org/a?b=1&c=2",
            "http://example.org/",
            "/local/path",
            "https://example.org/readme.txt",
        ] {
            assert!(remote_points(value.as_bytes()) < 5, "{value}");
        }
    }
}
