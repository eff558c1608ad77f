//! How much a value reads like a way to a file or an address that it should not reach.
//!
//! Climbs (`../` in its many spellings), files that only attacks ask for, wrappers of PHP, addresses
//! of other servers where a file is expected, and those that only the server itself can reach.

use memchr::memmem::find;

/// Files and directories that visitors do not ask for.
const FILES: [&[u8]; 40] = [
    b"etc/passwd",
    b"etcpasswd",
    b"etc/shadow",
    b"etc/group",
    b"etc/hosts",
    b"etc/issue",
    b"proc/self",
    b"proc/version",
    b"proc/cpuinfo",
    b"boot.ini",
    b"win.ini",
    b"system.ini",
    b"web-inf",
    b"web.config",
    b"global.asa",
    b"inetpub",
    b"wwwroot",
    b"windows/system32",
    b"winnt/",
    b"meta-inf",
    b"var/log/",
    b"access.log",
    b"access_log",
    b"error_log",
    b".bash_history",
    b"id_rsa",
    b"authorized_keys",
    b"my.cnf",
    b"httpd.conf",
    b"php.ini",
    b"autoexec.bat",
    b"config.sys",
    b"sam._",
    b"repair/sam",
    b"etc/passwd%00",
    b"windows/win",
    b"c:/windows",
    b"root/.ssh",
    b"usr/local/",
    b"c:oot.ini",
];

const WRAPPERS: [(&[u8], u32); 16] = [
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

/// Points of a value in lower case for a climb or a file.
pub fn points(value: &[u8]) -> u32 {
    let spelled = spelled(value);
    let known = FILES.iter().any(|file| find(&spelled, file).is_some());
    let wrapped: u32 = WRAPPERS
        .iter()
        .filter(|(text, _)| find(&spelled, text).is_some())
        .map(|(_, points)| points)
        .sum();
    let climbs = find_count(&spelled, b"../").min(8);
    let climb = match climbs {
        0 => 0,
        1 => 3,
        _ => 6,
    };
    let led = spelled.starts_with(b"/..") || spelled.starts_with(b"//..");
    let spelt = find(value, b"0x2e").is_some()
        && (spelled.contains(&b'/') || find(value, b"0x2e0x2e").is_some());
    climb + u32::from(known || led || spelt) * 5 + wrapped + padding(&spelled)
}

fn find_count(text: &[u8], needle: &[u8]) -> usize {
    memchr::memmem::find_iter(text, needle).take(9).count()
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
pub fn remote_points(value: &[u8]) -> u32 {
    const OWN: [&[u8]; 12] = [
        b"169.254.169.254",
        b"metadata.google.internal",
        b"100.100.100.200",
        b"fd00:ec2::254",
        b"169.254.170.2",
        b"//localhost",
        b"//127.",
        b"//0.0.0.0",
        b"//[::1]",
        b"//2130706433",
        b"//0x7f",
        b"metadata.azure",
    ];
    const OUTSIDE: [&[u8]; 12] = [
        b"burpcollaborator",
        b"oastify.com",
        b"interact.sh",
        b"oast.",
        b"bxss.me",
        b"dnslog.cn",
        b"ceye.io",
        b"r87.me",
        b"canarytokens",
        b"vulnweb.com",
        b"some-inexistent-website",
        b"requestbin",
    ];
    let any = |texts: &[&[u8]]| texts.iter().any(|text| find(value, text).is_some());
    let mut points = u32::from(any(&OWN)) * 5 + u32::from(any(&OUTSIDE)) * 5;
    for scheme in [&b"gopher://"[..], b"dict://", b"ldap://", b"ldaps://", b"rmi://", b"tftp://"] {
        points += u32::from(find(value, scheme).is_some()) * 5;
    }
    let address = [&b"http://"[..], b"https://", b"ftp://"]
        .iter()
        .find_map(|scheme| value.strip_prefix(*scheme));
    if let Some(address) = address {
        let bait =
            address.ends_with(b"?") || address.ends_with(b"??") || address.ends_with(b"?.jpg");
        let script = [&b".txt"[..], b".txt?", b".php?", b".txt?.jpg", b".inc", b".dat?"]
            .iter()
            .any(|end| address.ends_with(end));
        points += if bait { 4 } else { 0 } + if script { 4 } else { 0 };
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

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
