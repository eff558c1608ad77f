//! How a filter is called: `sshd`, `sshd[mode=aggressive]`, `x[a="1, 2", b='…'][c=3]`.

use std::collections::BTreeMap;

/// Longest call in bytes.
pub const CALL_BYTES_MAX: usize = 16 << 10;

/// A name and the options given with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// Name or path.
    pub name: String,
    /// Options by name.
    pub options: BTreeMap<String, String>,
}

/// Reads a call, or says at which byte it is wrong.
pub fn parse(text: &str) -> Result<Call, String> {
    if text.len() > CALL_BYTES_MAX {
        return Err(format!("longer than {CALL_BYTES_MAX} bytes"));
    }
    let (name, rest) = text.split_at(text.find('[').unwrap_or(text.len()));
    if name.trim().is_empty() {
        return Err("a filter without a name".into());
    }
    let mut call = Call { name: name.trim().to_string(), options: BTreeMap::new() };
    let rest = rest.trim_end();
    if rest.is_empty() {
        return Ok(call);
    }
    let inner = rest.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let Some(inner) = inner else { return Err("options without their `]`".into()) };
    let mut at = 0;
    while let Some(left) = inner.get(at..) {
        let skipped = left.len() - left.trim_start_matches([' ', '\t', '\n', ',']).len();
        at += skipped;
        let left = &left[skipped..];
        if left.is_empty() {
            break;
        }
        at += option(left, &mut call)
            .ok_or_else(|| format!("expected `name=value` at byte {} of the options", at + 1))?;
    }
    Ok(call)
}

/// Reads one option and what separates it from the next; its length.
fn option(text: &str, call: &mut Call) -> Option<usize> {
    let (name, value) = text.split_once('=')?;
    let word = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || !name.chars().all(word) {
        return None;
    }
    let quoted = ['"', '\''].into_iter().find(|quote| value.starts_with(*quote));
    let (said, length) = match quoted {
        Some(quote) => {
            let end = value[1..].find(quote)?;
            (&value[1..=end], end + 2)
        }
        None => {
            let end = value.find([',', ']']).unwrap_or(value.len());
            (&value[..end], end)
        }
    };
    let after = &value[length..];
    let next = after.trim_start_matches([' ', '\t', '\n']);
    let between = match next.strip_prefix(']') {
        Some(group) => group.trim_start_matches([' ', '\t', '\n']).strip_prefix('[')?,
        None if next.is_empty() => next,
        None => next.strip_prefix(',')?,
    };
    call.options.insert(name.to_string(), said.trim().to_string());
    Some(text.len() - between.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_read_as_fail2ban_reads_them() {
        let call = parse("x[a=1, b=\"2, ]3\"][c='q']").unwrap();
        let options: Vec<_> = call.options.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(
            (call.name.as_str(), options),
            ("x", vec![("a", "1"), ("b", "2, ]3"), ("c", "q")])
        );
        assert_eq!(parse("sshd").unwrap().options.len(), 0);
        assert_eq!(parse("sshd[]").unwrap().options.len(), 0);
        assert_eq!(parse("sshd[mode=]").unwrap().options["mode"], "");
        for wrong in ["", "[a=1]", "x[a", "x[a]", "x[a='1]", "x[a=1 b=2", "x[a='1' b]"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert!(parse(&"a".repeat(CALL_BYTES_MAX)).is_ok());
        assert!(parse(&"a".repeat(CALL_BYTES_MAX + 1)).is_err());
    }
}
