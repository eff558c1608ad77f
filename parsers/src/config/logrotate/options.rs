//! What the options of logrotate.conf mean (logrotate(8)).

/// Options that take a value.
pub(super) const VALUED: [&str; 23] = [
    "addextension",
    "compresscmd",
    "compressext",
    "compressoptions",
    "create",
    "createolddir",
    "dateformat",
    "extension",
    "include",
    "mail",
    "maxage",
    "maxsize",
    "minage",
    "minsize",
    "olddir",
    "rotate",
    "shredcycles",
    "size",
    "start",
    "su",
    "taboopat",
    "tabooext",
    "uncompresscmd",
];

/// Options that stand alone, the opposites with `no` left out.
const FLAGS: [&str; 14] = [
    "allowhardlink",
    "compress",
    "copy",
    "copytruncate",
    "dateext",
    "datehourago",
    "dateyesterday",
    "delaycompress",
    "ifempty",
    "ignoreduplicates",
    "missingok",
    "renamecopy",
    "sharedscripts",
    "shred",
];

/// Options with values that `no` turns off.
const UNSETS: [&str; 4] = ["create", "createolddir", "mail", "olddir"];

/// Why an option is not taken.
pub(super) enum Refusal {
    /// A fault, which ends the block or file.
    Bad(&'static str),
    /// A fault that ends the file even inside of a block.
    Fatal(&'static str),
    /// The line alone is ignored.
    Ignored(&'static str),
}

/// An option's key and value.
pub(super) fn meaning(name: &str, rest: &str) -> Result<(&'static str, String), Refusal> {
    const UNKNOWN: Refusal = Refusal::Ignored("unknown option; the line is ignored");
    let yes = |key: &'static str| Ok((key, "yes".to_string()));
    let no = |key: &'static str| Ok((key, "no".to_string()));
    match name {
        "hourly" | "daily" | "monthly" | "yearly" => return Ok(("criterion", name.into())),
        "weekly" => {
            let is_day =
                rest.is_empty() || (rest.len() == 1 && rest.as_bytes()[0].wrapping_sub(b'0') < 8);
            let value = format!("weekly {rest}").trim_end().to_string();
            return if is_day {
                Ok(("criterion", value))
            } else {
                Err(Refusal::Fatal("not a day of the week"))
            };
        }
        "notifempty" => return no("ifempty"),
        "mailfirst" | "maillast" => return Ok(("mailwhich", name[4..].to_string())),
        "errors" => return Err(UNKNOWN),
        _ => {}
    }
    if let Some(key) = FLAGS.iter().find(|flag| **flag == name) {
        return yes(key);
    }
    if let Some(off) = name.strip_prefix("no") {
        let known = FLAGS.iter().chain(&UNSETS).find(|flag| **flag == off);
        if let Some(key) = known.filter(|key| !key.starts_with("date") || **key == "dateext") {
            return no(key);
        }
    }
    let key = VALUED.into_iter().find(|valued| *valued == name).ok_or(UNKNOWN)?;
    match key {
        "create" | "createolddir" if rest.is_empty() => return yes(key),
        _ if rest.is_empty() => {
            return Err(Refusal::Ignored("a value is expected; the line is ignored"));
        }
        "size" => {
            is_size(rest).then_some(()).ok_or(Refusal::Bad("not a size"))?;
            return Ok(("criterion", format!("size {rest}")));
        }
        "minsize" | "maxsize" if !is_size(rest) => return Err(Refusal::Bad("not a size")),
        "rotate" if integer(rest).is_none_or(|count| count < -1) => {
            return Err(Refusal::Bad("not a count"));
        }
        "maxage" | "minage" | "start" | "shredcycles" if integer(rest).is_none_or(|n| n < 0) => {
            return Err(Refusal::Bad("not a count"));
        }
        _ => {}
    }
    Ok((key, rest.to_string()))
}

/// `100`, `100k`, `100M`, `100G`; the unit alone counts as 0 of it.
fn is_size(text: &str) -> bool {
    let digits = text.strip_suffix(['k', 'K', 'M', 'G']).unwrap_or(text);
    digits.is_empty() || integer(digits).is_some_and(|size| size >= 0)
}

/// A number as `strtol` reads it with base 0: octal with a leading 0, hexadecimal with 0x.
fn integer(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (digits, base) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&digits[2..], 16),
        [b'0', _, ..] => (&digits[1..], 8),
        _ => (digits, 10),
    };
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_plain { i64::from_str_radix(digits, base).ok().map(|number| sign * number) } else { None }
}
