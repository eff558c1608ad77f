//! fail2ban's own tags as regular expressions: `<HOST>`, `<ADDR>`, `<IP4>`, `<F-USER>…</F-USER>`, …

/// An IPv4 address, also as it stands within an IPv6 one.
const IP4: &str = r"(?:::f{4,6}:)?(?P<ip4>\d{1,3}(?:\.\d{1,3}){3})";
const IP6: &str = r"(?P<ip6>(?:::|[0-9a-fA-F]{1,4}::?){1,7}(?:[0-9a-fA-F]{1,4}|(?<=:):))";
const DNS: &str = r"(?P<dns>[\w.^-]*\w)";
const CIDR: &str = r"(?P<cidr>\d+)";

/// Fills in the tags; `names_too` is whether `<HOST>` may be a name as well as an address.
pub(super) fn expand(text: &str, names_too: bool) -> String {
    let mut out = String::with_capacity(text.len() + 256);
    let mut open: Vec<&str> = Vec::new();
    let mut skipped = 0;
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let Some(tag) = tag(rest) else {
            out.push('<');
            rest = &rest[1..];
            continue;
        };
        let name = &tag[1..tag.len() - 1];
        match fixed(name, names_too) {
            Some(regex) => out.push_str(&regex),
            None if name == "SKIPLINES" => {
                out.push_str(&format!(r"\n(?P<skiplines{skipped}>(?:.*\n)*?)"));
                skipped += 1;
            }
            None => match (name.strip_prefix("F-"), name.strip_prefix("/F-")) {
                (Some(custom), _) if is_custom(custom) => {
                    open.push(custom);
                    out.push_str(&format!("(?P<{}>", group(custom)));
                }
                (_, Some(custom)) if open.contains(&custom) => out.push(')'),
                _ => out.push_str(tag),
            },
        }
        rest = &rest[tag.len()..];
    }
    out.push_str(rest);
    local_flags(&out)
}

/// The same with addresses that take more than they should, but by an automaton.
pub(super) fn without_look_behind(regex: &str) -> String {
    regex.replace("(?<=:):", ":")
}

fn fixed(name: &str, names_too: bool) -> Option<String> {
    let address = || format!(r"\[?(?:{IP4}|{IP6})\]?");
    Some(match name {
        "HOST" if names_too => format!("(?:{}|{DNS})", address()),
        "HOST" | "ADDR" | "F-ADDR/" => address(),
        "IP4" | "F-IP4/" => IP4.into(),
        "IP6" | "F-IP6/" => IP6.into(),
        "DNS" | "F-DNS/" => DNS.into(),
        "CIDR" | "F-CIDR/" => CIDR.into(),
        "SUBNET" | "F-SUBNET/" => format!(r"\[?(?:{IP4}|{IP6})(?:/{CIDR})?\]?"),
        "F-ID/" => r"(?P<fid>\S+)".into(),
        "F-PORT/" => r"(?P<fport>\w+)".into(),
        _ => return None,
    })
}

/// `<name>`, `</name>` or `<name/>` at the start.
fn tag(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('<')?;
    let end = inner.find('>')?;
    let name = inner[..end].strip_prefix('/').unwrap_or(&inner[..end]);
    let name = name.strip_suffix('/').unwrap_or(name);
    let word = |c: char| c == '-' || c == '_' || c.is_alphanumeric();
    (!name.is_empty() && name.chars().all(word)).then(|| &text[..end + 2])
}

fn is_custom(name: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || matches!(c, '_' | '-'))
}

/// The group that a custom tag fills.
pub(super) fn group(tag: &str) -> String {
    match tag.to_lowercase().as_str() {
        "id" => "fid".into(),
        "port" => "fport".into(),
        other => other.into(),
    }
}

/// `((?i)x)` and `(?:(?i)x)` are `(?i:x)`.
fn local_flags(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('(') {
        let escaped = at > 0 && rest.as_bytes()[at - 1] == b'\\';
        let after = &rest[at + 1..];
        let inner = after.strip_prefix("?:").unwrap_or(after);
        let letters = inner.strip_prefix("(?").map(|flags| {
            flags.len() - flags.trim_start_matches(|c: char| c.is_ascii_lowercase()).len()
        });
        let flags = letters.filter(|count| *count > 0 && inner[2 + count..].starts_with(')'));
        match flags {
            Some(count) if !escaped => {
                out.push_str(&rest[..at]);
                out.push_str(&inner[..2 + count]);
                out.push(':');
                rest = &inner[3 + count..];
            }
            _ => {
                out.push_str(&rest[..=at]);
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_become_groups_and_others_stay() {
        assert_eq!(expand("<F-USER>x</F-USER>", true), "(?P<user>x)");
        assert_eq!(
            expand("</F-USER> <F-ID>a</F-ID> <F-ID/>", true),
            r"</F-USER> (?P<fid>a) (?P<fid>\S+)"
        );
        assert_eq!(expand("a <b> (?<=x) <", true), "a <b> (?<=x) <");
        assert!(expand("<HOST>", true).contains("dns") && !expand("<HOST>", false).contains("dns"));
        assert_eq!(expand("<SKIPLINES>a<SKIPLINES>", true).matches("skiplines1").count(), 1);
        assert_eq!(
            expand(r"((?i)LOGIN|a) (?:(?i)b) \((?i)c", true),
            r"(?i:LOGIN|a) (?i:b) \((?i)c"
        );
    }
}
