//! How much a value reads like HTML or script that was meant to run in somebody's browser.
//!
//! Looked for are tags, event handlers, addresses that run (`javascript:`) and calls that such payloads
//! make. Blanks and control characters are passed over where browsers do. One pass for each sort.

use super::phrases::{Found, Sort, Table};

/// Tags that run or load something.
const RUNNING: [&[u8]; 31] = [
    b"script",
    b"svg",
    b"iframe",
    b"object",
    b"embed",
    b"applet",
    b"meta",
    b"link",
    b"style",
    b"base",
    b"xml",
    b"xss",
    b"frame",
    b"frameset",
    b"layer",
    b"ilayer",
    b"bgsound",
    b"isindex",
    b"math",
    b"video",
    b"audio",
    b"details",
    b"marquee",
    b"import",
    b"html",
    b"body",
    b"img",
    b"image",
    b"input",
    b"form",
    b"template",
];

/// Tags that only show something.
const SHOWING: [&[u8]; 36] = [
    b"a",
    b"b",
    b"i",
    b"u",
    b"p",
    b"br",
    b"hr",
    b"div",
    b"span",
    b"table",
    b"td",
    b"tr",
    b"th",
    b"ul",
    b"ol",
    b"li",
    b"h1",
    b"h2",
    b"h3",
    b"h4",
    b"font",
    b"center",
    b"head",
    b"title",
    b"textarea",
    b"select",
    b"option",
    b"button",
    b"label",
    b"pre",
    b"code",
    b"em",
    b"strong",
    b"noscript",
    b"plaintext",
    b"keygen",
];

/// What handlers of events begin with, after `on`.
const EVENTS: [&[u8]; 44] = [
    b"error",
    b"load",
    b"click",
    b"mouse",
    b"focus",
    b"blur",
    b"key",
    b"unload",
    b"submit",
    b"change",
    b"select",
    b"abort",
    b"drag",
    b"drop",
    b"pointer",
    b"animation",
    b"toggle",
    b"begin",
    b"scroll",
    b"resize",
    b"wheel",
    b"copy",
    b"paste",
    b"cut",
    b"input",
    b"invalid",
    b"reset",
    b"search",
    b"show",
    b"start",
    b"finish",
    b"bounce",
    b"page",
    b"hash",
    b"message",
    b"before",
    b"after",
    b"contextmenu",
    b"dblclick",
    b"move",
    b"readystate",
    b"transition",
    b"touch",
    b"propertychange",
];

/// Addresses that run.
pub(super) const SCHEMES: Table = &[
    (b"javascript:", 2),
    (b"vbscript:", 2),
    (b"livescript:", 2),
    (b"mocha:", 2),
    (b"data:text/html", 2),
    (b"data:image/svg", 2),
];

/// Texts that such payloads carry, with their points.
pub(super) const CALLS: Table = &[
    (b"alert(", 4),
    (b"alert`", 4),
    (b"prompt(", 4),
    (b"confirm(", 4),
    (b"document.cookie", 5),
    (b"document.write", 5),
    (b"document.location", 4),
    (b"document.domain", 4),
    (b"window.location", 4),
    (b"fromcharcode", 5),
    (b"innerhtml", 3),
    (b"expression(", 4),
    (b"-moz-binding", 5),
    (b"url(javascript", 5),
    (b"@import", 4),
    (b"behavior:url", 5),
    (b"behaviour:url", 5),
    (b"<![cdata[", 3),
    (b"<!--", 3),
    (b"-->", 2),
    (b" adw-", 5),
    (b"+adw-", 5),
    (b"&{", 3),
    (b"srcdoc=", 5),
    (b"eval(string", 5),
    (b".constructor(", 3),
    (b"settimeout(", 4),
    (b"=alert", 4),
    (b"<?xml", 2),
    (b"document[", 4),
    (b"eval(name", 4),
    (b"background-image:", 2),
];

/// Points of a value in lower case.
pub fn points(value: &[u8], found: &Found) -> u32 {
    let squeezed: Vec<u8> =
        value.iter().copied().filter(|byte| !matches!(byte, 0..=b' ')).collect();
    let found =
        if squeezed.len() < value.len() { Found::within(&squeezed).or(found) } else { *found };
    let mut points = found.points(Sort::Script);
    if points > 0 && memchr::memchr3(b'"', b'\'', b'>', value).is_some() {
        points += 1;
    }
    if found.points(Sort::Scheme) > 0 {
        points += schemes(value, &squeezed);
    }
    points + attribute(value) + tags(value).min(12) + handlers(value)
}

fn tags(value: &[u8]) -> u32 {
    let mut points = 0;
    for at in memchr::memchr_iter(b'<', value) {
        let rest = &value[at + 1..];
        let closing = rest.first() == Some(&b'/');
        let skipped =
            rest.iter().take(8).take_while(|byte| matches!(byte, b'/' | b'%' | 0..=b' ')).count();
        let name = letters(&rest[skipped..]);
        let after = rest.get(skipped + name.len()).copied();
        let ended = matches!(
            after,
            None | Some(b'>' | b'/' | b' ' | b'\t' | b'\n' | b'\r' | b'<' | b'"' | b'\'')
        );
        points += if RUNNING.contains(&name) && ended {
            5
        } else if SHOWING.contains(&name) && ended {
            let closed = memchr::memchr(b'>', rest).is_some();
            if closing || closed { 4 } else { 2 }
        } else if name.len() >= 2 && after == Some(b'>') {
            4
        } else if name.len() >= 2 && ended {
            2
        } else {
            0
        };
    }
    points
}

/// `" name=call(…`: out of one attribute into another.
fn attribute(value: &[u8]) -> u32 {
    let mut points = 0;
    for at in memchr::memchr2_iter(b'"', b'\'', value) {
        let rest = value[at + 1..].trim_ascii_start();
        let name = letters(rest);
        let assigned = rest.len() < value.len() - at - 1 && name.len() >= 2;
        if assigned && rest.get(name.len()) == Some(&b'=') {
            let called = rest[name.len()..].iter().take(40).any(|byte| matches!(byte, b'(' | b':'));
            points = points.max(if called { 5 } else { 2 });
        }
    }
    points
}

/// `onerror=` and its like, not within another word.
fn handlers(value: &[u8]) -> u32 {
    let mut points = 0;
    for at in memchr::memchr_iter(b'o', value).filter(|at| value.get(at + 1) == Some(&b'n')) {
        let inside =
            at.checked_sub(1).and_then(|at| value.get(at)).is_some_and(u8::is_ascii_alphanumeric);
        let rest = &value[at + 2..];
        let escaped = [&b"u0022"[..], b"u0027", b"u003e", b"x22", b"x27"]
            .iter()
            .any(|quote| value[..at].ends_with(quote));
        if inside && !escaped || !EVENTS.iter().any(|event| rest.starts_with(event)) {
            continue;
        }
        let name = letters(rest);
        let gap = rest[name.len()..]
            .iter()
            .take(16)
            .take_while(|byte| matches!(byte, 0..=b' ' | b'(' | b')'))
            .count();
        if name.len() <= 24 && rest.get(name.len() + gap) == Some(&b'=') {
            points = 5;
        }
    }
    points
}

fn schemes(value: &[u8], squeezed: &[u8]) -> u32 {
    let mut points = 0;
    for (scheme, worth) in SCHEMES {
        if let Some(at) = memchr::memmem::find(squeezed, scheme) {
            let begins = at == 0 && value.starts_with(&scheme[..1]);
            let before = at.checked_sub(1).and_then(|at| squeezed.get(at));
            let led = before.is_some_and(|byte| b"='\"(,>:;/`".contains(byte));
            let runs =
                squeezed[at + scheme.len()..].iter().take(64).any(|byte| b"([;=".contains(byte));
            points += worth + u32::from(begins || led) * 2 + u32::from(runs) * 2;
        }
    }
    points
}

fn letters(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'-');
    &text[..end.unwrap_or(text.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(value: &[u8]) -> u32 {
        super::points(value, &Found::within(value))
    }

    #[test]
    fn script_scores_and_prose_does_not() {
        for value in [
            "<script>alert(1)</script>",
            "\"><img src=x onerror=alert(1)>",
            "<svg/onload=x>",
            "java\tscript:alert(1)",
            "\" onmouseover=\"x()",
            "<a href=\"javascript:x()\">",
            "';alert(1);//",
            "<iframe src=//x>",
            "</script>",
            "<b>x</b>",
            " adw-script ad4-",
            "<style>@import'x'</style>",
            "<acx><script >",
            "<img src=//x/log.php?",
        ] {
            assert!(points(value.as_bytes()) >= 5, "{value}: {}", points(value.as_bytes()));
        }
        for value in [
            "manuscript",
            "online=1",
            "a < b",
            "5<6",
            "i <3 you",
            "javascript tutorial",
            "onion soup = good",
            "<none>",
            "alert",
            "one onload two",
            "base64",
            "x>y",
            "document",
        ] {
            assert!(points(value.as_bytes()) < 5, "{value}: {}", points(value.as_bytes()));
        }
    }
}
