//! What nginx and its own modules know: directives, where they may stand, and what they take.
//!
//! The table is data (`directives.txt`). Values are checked by the slot functions of nginx
//! (`ngx_conf_set_*_slot`); what modules check beyond that is not repeated here.

use std::collections::HashMap;
use std::sync::LazyLock;

/// Where a directive stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Context {
    /// Outside of every block.
    Main,
    /// `events`.
    Events,
    /// `http`.
    Http,
    /// `server` of `http`.
    Server,
    /// `location`.
    Location,
    /// `if` in a server.
    ServerIf,
    /// `if` in a location.
    LocationIf,
    /// `limit_except`.
    LimitExcept,
    /// `upstream` of `http`.
    Upstream,
    /// `mail`.
    Mail,
    /// `server` of `mail`.
    MailServer,
    /// `stream`.
    Stream,
    /// `server` of `stream`.
    StreamServer,
    /// `upstream` of `stream`.
    StreamUpstream,
    /// A block of entries (`map`, `geo`, `types`, `split_clients`, `charset_map`): no directives.
    Entries,
    /// The block of a directive that is not known: anything may stand there.
    Unknown,
}

impl Context {
    /// The letter of the table.
    fn letter(self) -> char {
        match self {
            Self::Main => 'm',
            Self::Events => 'e',
            Self::Http => 'h',
            Self::Server => 's',
            Self::Location => 'l',
            Self::ServerIf => 'S',
            Self::LocationIf => 'L',
            Self::LimitExcept => 'x',
            Self::Upstream => 'u',
            Self::Mail => 'M',
            Self::MailServer => 'N',
            Self::Stream => 'T',
            Self::StreamServer => 'U',
            Self::StreamUpstream => 'V',
            Self::Entries | Self::Unknown => '?',
        }
    }

    /// What stands in the block of a directive.
    pub(super) fn inside(self, name: &str) -> Self {
        match (self, name) {
            (Self::Main, "events") => Self::Events,
            (Self::Main, "http") => Self::Http,
            (Self::Main, "mail") => Self::Mail,
            (Self::Main, "stream") => Self::Stream,
            (Self::Http, "server") => Self::Server,
            (Self::Http, "upstream") => Self::Upstream,
            (Self::Mail, "server") => Self::MailServer,
            (Self::Stream, "server") => Self::StreamServer,
            (Self::Stream, "upstream") => Self::StreamUpstream,
            (Self::Server | Self::Location, "location") => Self::Location,
            (Self::Server, "if") => Self::ServerIf,
            (Self::Location, "if") => Self::LocationIf,
            (Self::Location, "limit_except") => Self::LimitExcept,
            (_, "map" | "geo" | "types" | "split_clients" | "charset_map") => Self::Entries,
            _ => Self::Unknown,
        }
    }
}

/// How a directive goes on into inner blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inheritance {
    /// One value; a second one in the same block is refused.
    Once,
    /// One value; the last one of a block holds.
    Last,
    /// Values add up; a block with any of its own takes none from outside.
    List,
    /// Not inherited.
    Own,
}

/// One line of the table.
pub(super) struct Known {
    pub name: &'static str,
    contexts: &'static str,
    arguments: &'static str,
    pub takes_block: bool,
    pub inheritance: Inheritance,
    value: &'static str,
}

static TABLE: LazyLock<HashMap<&'static str, Vec<Known>>> = LazyLock::new(|| {
    let mut table: HashMap<&str, Vec<Known>> = HashMap::new();
    for line in include_str!("directives.txt").lines().filter(|line| !line.starts_with('#')) {
        let mut fields = line.split(' ');
        let mut field = || fields.next().unwrap_or_default();
        let (name, contexts, arguments) = (field(), field(), field());
        let inheritance = match field() {
            "once" => Inheritance::Once,
            "last" => Inheritance::Last,
            "list" => Inheritance::List,
            _ => Inheritance::Own,
        };
        let takes_block = arguments.ends_with('{');
        let arguments = arguments.trim_end_matches('{');
        let known = Known { name, contexts, arguments, takes_block, inheritance, value: field() };
        table.entry(name).or_default().push(known);
    }
    table
});

/// What is known of a name.
pub(super) enum Found {
    /// A directive of this context.
    Here(&'static Known),
    /// A directive of another context.
    Elsewhere,
    /// A directive of no module of nginx's own.
    Nowhere,
}

/// Looks a directive up; nginx takes the first that fits the context.
pub(super) fn find(name: &str, context: Context) -> Found {
    match TABLE.get(name) {
        None => Found::Nowhere,
        Some(lines) => {
            let here = lines.iter().find(|known| known.contexts.contains(context.letter()));
            here.map_or(Found::Elsewhere, Found::Here)
        }
    }
}

/// The directives that may stand in a context, for those who write configurations.
pub fn names(context: Context) -> impl Iterator<Item = &'static str> {
    let here = move |known: &&Known| known.contexts.contains(context.letter());
    TABLE.values().flatten().filter(here).map(|known| known.name)
}

/// The numbers of arguments, inheritance and kind of value of a directive, as in the table.
pub fn shape(name: &str, context: Context) -> Option<(&'static str, bool, &'static str)> {
    match find(name, context) {
        Found::Here(known) => Some((known.arguments, known.takes_block, known.value)),
        _ => None,
    }
}

impl Known {
    /// Whether so many arguments are accepted.
    pub fn accepts(&self, count: usize) -> bool {
        self.arguments.split(',').any(|wanted| match wanted.strip_suffix('+') {
            Some(least) => least.parse().is_ok_and(|least: usize| count >= least),
            None => wanted.parse() == Ok(count),
        })
    }

    /// The index of an argument that the directive does not take.
    pub fn refused(&self, arguments: &[&str]) -> Option<usize> {
        let first = arguments.first().copied().unwrap_or_default();
        let refuse_first = |is_fine: bool| (!is_fine).then_some(0);
        let one_of = |list: &str, text: &str| list.split('|').any(|v| v.eq_ignore_ascii_case(text));
        match self.value {
            "flag" => refuse_first(one_of("on|off", first)),
            "num" => refuse_first(number(first).is_some()),
            "status" => refuse_first(number(first).is_some_and(|code| (400..600).contains(&code))),
            "size" => refuse_first(size(first, "kKmM").is_some()),
            "off" => refuse_first(size(first, "kKmMgG").is_some()),
            "msec" => refuse_first(time_ms(first, Unit::Millisecond).is_some()),
            "sec" => refuse_first(time_ms(first, Unit::Second).is_some()),
            "bufs" => arguments.iter().enumerate().position(|(index, text)| match index {
                0 => number(text).is_none_or(|number| number == 0),
                _ => size(text, "kKmM").is_none_or(|size| size == 0),
            }),
            other => match other.split_once(':') {
                Some(("enum", list)) => refuse_first(one_of(list, first)),
                Some(("mask", list)) => arguments.iter().position(|text| !one_of(list, text)),
                _ => None,
            },
        }
    }
}

/// `ngx_atoi`: digits only.
fn number(text: &str) -> Option<i64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// `ngx_parse_size`, `ngx_parse_offset`: digits and a unit.
fn size(text: &str, units: &str) -> Option<i64> {
    let unit = text.chars().last()?;
    if !units.contains(unit) {
        return number(text);
    }
    let shift = match unit.to_ascii_lowercase() {
        'k' => 10,
        'm' => 20,
        _ => 30,
    };
    number(&text[..text.len() - 1])?.checked_mul(1_i64 << shift)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Second,
    Millisecond,
}

/// `ngx_parse_time`: `1y 2M 3w 4d 5h 6m 7s 8ms`, units from large to small; a last number without a
/// unit is seconds. Years and months only where seconds are kept, milliseconds only where not.
fn time_ms(text: &str, kept: Unit) -> Option<i64> {
    const DAY: i64 = 86_400;
    let bytes = text.as_bytes();
    let per_second = if kept == Unit::Second { 1 } else { 1000 };
    let (mut at, mut total, mut value, mut any) = (0, 0_i64, 0_i64, false);
    let mut step = if kept == Unit::Second { 0 } else { 2 };
    while at < bytes.len() {
        let byte = bytes[at];
        at += 1;
        if byte.is_ascii_digit() {
            value = value.checked_mul(10)?.checked_add(i64::from(byte - b'0'))?;
            any = true;
            continue;
        }
        let is_millisecond = byte == b'm' && bytes.get(at) == Some(&b's');
        // Each unit: its step, the step from which it is too late, its seconds.
        let (own, late, scale) = match byte {
            b'y' => (1, 1, DAY * 365),
            b'M' => (2, 2, DAY * 30),
            b'w' => (3, 3, DAY * 7),
            b'd' => (4, 4, DAY),
            b'h' => (5, 5, 3_600),
            b'm' if is_millisecond => (8, 8, 1),
            b'm' => (6, 6, 60),
            b's' => (7, 7, 1),
            b' ' => (9, 7, 1),
            _ => return None,
        };
        if step >= late || (is_millisecond && kept == Unit::Second) {
            return None;
        }
        at += usize::from(is_millisecond);
        step = own;
        let scale = if is_millisecond { 1 } else { scale * per_second };
        total = total.checked_add(value.checked_mul(scale)?)?;
        value = 0;
        while bytes.get(at) == Some(&b' ') {
            at += 1;
        }
    }
    any.then_some(())?;
    total.checked_add(value.checked_mul(per_second)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_read_as_nginx_reads_them() {
        let second = |text| time_ms(text, Unit::Second);
        let millisecond = |text| time_ms(text, Unit::Millisecond);
        assert_eq!(second("1h 30m"), Some(5_400));
        assert_eq!(second("1y1M"), Some(395 * 86_400));
        assert_eq!(millisecond("1500ms"), Some(1_500));
        assert_eq!(millisecond("2"), Some(2_000));
        for wrong in ["", "s1x", "1m 1h", "1ms", "-1", "99999999999999999999"] {
            assert_eq!(second(wrong), None, "{wrong}");
        }
        assert_eq!(millisecond("1y"), None);
        assert_eq!(size("8k", "kKmM"), Some(8_192));
        assert_eq!(size("1g", "kKmM"), None);
        assert_eq!(size("1G", "kKmMgG"), Some(1 << 30));
    }

    #[test]
    fn every_line_of_the_table_is_read() {
        let lines = include_str!("directives.txt").lines().filter(|line| !line.starts_with('#'));
        assert_eq!(TABLE.values().map(Vec::len).sum::<usize>(), lines.count());
        for known in TABLE.values().flatten() {
            assert!(!known.contexts.is_empty() && !known.value.is_empty(), "{}", known.name);
            assert!((0..9).any(|count| known.accepts(count)), "{}", known.name);
        }
    }
}
