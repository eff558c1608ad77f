//! How much a value reads like a piece of SQL that was meant to break out of its place.
//!
//! The value becomes a row of words and marks, at most one a byte; quotes are marks of their own, so
//! nobody has to know in which kind of quotes the value will land. Points are given for what only SQL
//! does, fewer for what English does too, and more where a quote, a bracket or a comment stands beside
//! it. One pass over the bytes, one over the row.

use super::phrases::{Found, Sort, Table};

/// Texts that are known by their letters alone.
pub(super) const PHRASES: Table = &[
    (b"waitfor delay", 6),
    (b"waitfor time", 6),
    (b"into outfile", 5),
    (b"into dumpfile", 5),
    (b"procedure analyse", 6),
    (b"in boolean mode", 5),
    (b"execute immediate", 6),
    (b"@@version", 5),
    (b"@@global", 5),
    (b"xp_cmdshell", 6),
    (b"sp_executesql", 6),
    (b"insert into ", 2),
    (b"drop table ", 4),
    (b"'='", 3),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Number,
    Word,
    Logic,
    Compare,
    /// A word that compares (`like`, `in`, `between`).
    WordCompare,
    Arithmetic,
    Concat,
    Quote,
    Open,
    Close,
    Comma,
    Semicolon,
    Comment,
    Union,
    All,
    Select,
    From,
    Where,
    Having,
    /// `order` or `group`.
    Order,
    By,
    Case,
    When,
    Statement,
    Null,
    Not,
    Star,
    /// A function that only SQL has.
    Strong,
    /// A function that SQL has too.
    Weak,
    /// A name of the system's own tables.
    Catalogue,
    Other,
}

use Token::*;

/// Points of a value in lower case.
pub fn points(value: &[u8], found: &Found) -> u32 {
    let tokens = tokens(value);
    let mut points = found.points(Sort::Sql);
    let mut weak = 0;
    for (at, token) in tokens.iter().enumerate() {
        let next = |step: usize| tokens.get(at + step).copied();
        let before = at.checked_sub(1).and_then(|at| tokens.get(at)).copied();
        points += match token {
            Union => union(&tokens[at + 1..]),
            Select => selected(before, &tokens[at + 1..]),
            Strong if next(1) == Some(Open) => 5,
            Catalogue => 5,
            Weak if next(1) == Some(Open) => {
                weak += 1;
                if weak <= 2 { 2 } else { 0 }
            }
            Semicolon => stacked(before, &tokens[at + 1..]),
            Logic => logic(before, &tokens[at + 1..]),
            WordCompare if broken(before) && matches!(next(1), Some(Open | Quote)) => 3,
            Compare if before == Some(Quote) && next(1) == Some(Quote) => 3,
            Order if next(1) == Some(By) && matches!(next(2), Some(Number | Quote)) => 4,
            Having if matches!(next(1), Some(Number | Quote)) => 4,
            Having if matches!(next(1), Some(Weak | Open)) => 3,
            Where if compared(&tokens[at + 1..]) == Some(true) => 5,
            Where if matches!(next(1), Some(Open | Quote)) => 2,
            Case if next(1) == Some(When) && matches!(next(2), Some(Number | Open | Null)) => 5,
            Case if next(1) == Some(When) || next(2) == Some(When) => 4,
            Concat
                if matches!((before, next(1)), (Some(Quote), Some(_)) | (Some(_), Some(Quote))) =>
            {
                4
            }
            Quote => quote(&tokens[at + 1..]),
            Null if next(1) == Some(Comma) && next(2) == Some(Null) => 2,
            Comment if matches!(before, Some(Quote | Close | Number | Null)) => 2,
            Open if next(1) == Some(Select) => 2,
            _ => 0,
        };
    }
    points
}

/// `union select`; more when what follows belongs to a query.
fn union(after: &[Token]) -> u32 {
    let mut rest = after.iter().filter(|token| !matches!(token, Open | All | Quote));
    if rest.next() != Some(&Select) {
        return 0;
    }
    let queried = rest.take(4).any(|token| {
        matches!(
            token,
            Number
                | Null
                | Comma
                | Star
                | From
                | Strong
                | Weak
                | Concat
                | Comment
                | Case
                | Catalogue
        )
    });
    if queried { 7 } else { 4 }
}

fn selected(before: Option<Token>, after: &[Token]) -> u32 {
    let opened = u32::from(matches!(before, Some(Open | Semicolon | Logic | Compare))) * 2;
    let from = after.iter().take(24).any(|token| *token == From);
    let listed =
        matches!(after.first(), Some(Number | Null | Star | Weak | Strong | Open | Case | Quote));
    opened + u32::from(from) * 2 + u32::from(listed) * 2
}

/// A second statement behind the first.
fn stacked(before: Option<Token>, after: &[Token]) -> u32 {
    let broke = u32::from(matches!(before, Some(Quote | Close | Number))) * 2;
    match after.first() {
        Some(Select) => 4 + broke,
        Some(Statement) => 3 + broke,
        Some(Strong) => 3,
        Some(Comment) => 2 + broke,
        _ => 0,
    }
}

/// `and 1=1`, `' or 'a'='a`, `xor sleep(`, `or 1 --`.
fn logic(before: Option<Token>, after: &[Token]) -> u32 {
    let broke = if broken(before) { 2 } else { 0 };
    let left = matches!(before, Some(Quote | Close));
    match (compared(after), after.first()) {
        (Some(true), _) => 5 + broke,
        (Some(false), _) => {
            if left {
                6
            } else {
                2
            }
        }
        (None, Some(Number)) if matches!(after.get(1), None | Some(Comment)) => 2 + broke,
        (None, Some(Strong | Select | Case)) => 2 + broke,
        (None, Some(Open)) if matches!(after.get(1), Some(Select | Strong | Weak | Open)) => {
            2 + broke
        }
        (None, Some(Quote)) if before == Some(Quote) => 5,
        (None, Some(Weak)) if after.get(1) == Some(&Open) => 2 + broke,
        _ => 0,
    }
}

fn broken(before: Option<Token>) -> bool {
    matches!(before, Some(Quote | Close | Number))
}

/// Whether a comparison follows: `Some(true)` of numbers or quoted texts, `Some(false)` of words.
fn compared(after: &[Token]) -> Option<bool> {
    let mut plain = false;
    let mut quoted = false;
    for (at, token) in after.iter().take(12).enumerate() {
        match token {
            Number | Null => plain = true,
            Quote => quoted = true,
            Compare | WordCompare if at == 0 => return None,
            Compare | WordCompare => {
                let right = after[at + 1..].iter().take(4).any(|token| {
                    matches!(token, Number | Null | Quote | Strong | Weak | Select | Open)
                });
                let word = after.get(at + 1) == Some(&Word);
                return match (plain || quoted, right) {
                    (true, true) => Some(*token == Compare || quoted),
                    _ if right || word => Some(false),
                    _ => None,
                };
            }
            Open | Close | Not | Arithmetic | Star | Word | Weak | Strong | Comma | Concat
            | Select => {}
            _ => return None,
        }
    }
    None
}

/// A quote that ends what the program began.
fn quote(after: &[Token]) -> u32 {
    let closed = after.iter().take_while(|token| **token == Close).count().min(8);
    match after.get(closed) {
        Some(Comment) => 3,
        Some(Semicolon) if closed > 0 => 3,
        Some(Logic | Union | Where | Order | Having) => 2,
        Some(WordCompare) => 1,
        Some(Arithmetic)
            if matches!(after.get(closed + 1), Some(Open | Quote | Select | Strong)) =>
        {
            3
        }
        Some(Comma) if matches!(after.get(closed + 1), Some(Open | Select)) => 2,
        Some(Word | Not)
            if closed > 0 && matches!(after.get(closed + 1), Some(Word | WordCompare)) =>
        {
            1
        }
        _ => 0,
    }
}

fn tokens(value: &[u8]) -> Vec<Token> {
    let mut row = Vec::with_capacity(value.len());
    let mut at = 0;
    while let Some(byte) = value.get(at) {
        let next = value.get(at + 1).copied();
        let (token, length) = match byte {
            b' ' | b'\t' | b'\r' | b'\n' | 0x0b | 0x0c => {
                at += 1;
                continue;
            }
            b'\'' | b'"' | b'`' => (Quote, 1),
            b'(' => (Open, 1),
            b')' => (Close, 1),
            b',' => (Comma, 1),
            b';' => (Semicolon, 1),
            b'#' => (Comment, 1),
            b'-' if next == Some(b'-') => (Comment, 2),
            b'/' if next == Some(b'*') => (Comment, 2),
            b'|' if next == Some(b'|') => (Concat, 2),
            b'&' if next == Some(b'&') => (Logic, 2),
            b'<' | b'>' | b'=' | b'!' => {
                let length = value[at..].iter().take(3).take_while(|b| b"<>=!".contains(b)).count();
                (if *byte == b'!' && length == 1 { Not } else { Compare }, length)
            }
            b'*' => (Star, 1),
            b'+' | b'-' | b'/' | b'%' | b'^' | b'|' | b'&' | b'~' => (Arithmetic, 1),
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'@' | b'$' | 0x80.. => {
                let word = word(&value[at..]);
                (kind(word), word.len())
            }
            _ => (Other, 1),
        };
        row.push(token);
        at += length;
    }
    row
}

fn word(text: &[u8]) -> &[u8] {
    let part = |byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'@' | b'$' | b'.' | 0x80..)
    };
    &text[..text.iter().position(|byte| !part(byte)).unwrap_or(text.len())]
}

fn kind(word: &[u8]) -> Token {
    let number = word.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
    if number || word.strip_prefix(b"0x").is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)) {
        return Number;
    }
    match word {
        b"or" | b"and" | b"xor" | b"div" | b"mod" => Logic,
        b"like" | b"in" | b"between" | b"rlike" | b"regexp" | b"is" | b"sounds" | b"ilike"
        | b"glob" => WordCompare,
        b"union" | b"intersect" | b"except" | b"minus" => Union,
        b"all" | b"distinct" | b"distinctrow" => All,
        b"select" => Select,
        b"from" => From,
        b"where" => Where,
        b"having" => Having,
        b"order" | b"group" => Order,
        b"by" => By,
        b"case" => Case,
        b"when" => When,
        b"insert" | b"update" | b"delete" | b"drop" | b"declare" | b"exec" | b"execute"
        | b"waitfor" | b"begin" | b"call" | b"shutdown" | b"alter" | b"create" | b"truncate"
        | b"merge" | b"set" | b"if" | b"print" | b"commit" | b"rollback" | b"handler" | b"do"
        | b"copy" | b"grant" => Statement,
        b"null" | b"true" | b"false" => Null,
        b"not" => Not,
        b"sleep"
        | b"benchmark"
        | b"pg_sleep"
        | b"extractvalue"
        | b"updatexml"
        | b"load_file"
        | b"randomblob"
        | b"zeroblob"
        | b"generate_series"
        | b"regexp_substring"
        | b"crypt_key"
        | b"dbms_pipe.receive_message"
        | b"dbms_lock.sleep"
        | b"utl_inaddr.get_host_address"
        | b"utl_inaddr.get_host_name"
        | b"utl_http.request"
        | b"ctxsys.drithsx.sn"
        | b"xmltype"
        | b"make_set"
        | b"elt"
        | b"group_concat"
        | b"gtid_subset"
        | b"name_const"
        | b"sysdate"
        | b"procedure"
        | b"analyse"
        | b"iif"
        | b"chr"
        | b"string_agg"
        | b"sqlite_version"
        | b"quote_literal"
        | b"to_char"
        | b"unhex"
        | b"json_keys"
        | b"st_latfromgeohash" => Strong,
        b"char" | b"concat" | b"concat_ws" | b"substr" | b"substring" | b"ascii" | b"ord"
        | b"hex" | b"mid" | b"length" | b"count" | b"cast" | b"convert" | b"ifnull" | b"nullif"
        | b"coalesce" | b"exists" | b"row" | b"rand" | b"floor" | b"md5" | b"user"
        | b"database" | b"version" | b"current_user" | b"session_user" | b"upper" | b"lower"
        | b"left" | b"right" | b"repeat" | b"min" | b"max" | b"sum" | b"avg" | b"now"
        | b"values" | b"rpad" | b"lpad" | b"instr" | b"locate" | b"len" | b"schema" | b"nvl"
        | b"decode" | b"abs" | b"sqrt" | b"round" => Weak,
        b"information_schema"
        | b"dual"
        | b"sysobjects"
        | b"syscolumns"
        | b"sysusers"
        | b"all_tables"
        | b"user_tables"
        | b"pg_catalog"
        | b"sqlite_master"
        | b"msysaccessobjects"
        | b"rdb$database"
        | b"domain.domains"
        | b"domain.columns"
        | b"domain.tables"
        | b"sys.databases"
        | b"sys.tables" => Catalogue,
        _ => dotted(word),
    }
}

fn dotted(word: &[u8]) -> Token {
    const OWNERS: [&[u8]; 13] = [
        b"information_schema.",
        b"sysibm.",
        b"master.",
        b"mysql.user",
        b"mysql.db",
        b"sys.",
        b"pg_catalog.",
        b"rdb$",
        b"dbms_",
        b"utl_",
        b"msys",
        b"syscat.",
        b"system.",
    ];
    let owned = OWNERS.iter().any(|owner| word.starts_with(owner) && word.len() > owner.len());
    if owned && word.contains(&b'.') || word.starts_with(b"rdb$") { Catalogue } else { Word }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(value: &[u8]) -> u32 {
        super::points(value, &Found::within(value))
    }

    #[test]
    fn sql_scores_and_english_does_not() {
        for value in [
            "1 or 1=1",
            "1' or 'a'='a",
            "' or 1 --",
            "1) and sleep(5)",
            "-1 union all select null,null#",
            "1'||(select 'x' from dual)||'",
            "1;waitfor delay '0:0:5'--",
            "1 order by 3--",
            "admin'--",
            "1' and 7533=7533 and 'jwgc'='jwgc",
            "1\" or \"\"=\"",
            "1 and 3824=benchmark(5000000,md5(1))",
            "iif(2976=2976,1,1/0)",
            "(select(0)from(select(sleep(6)))v)",
            "1 union(select 1,2)",
            "x') where 7=7 and 'a' like 'a",
            "'; drop table users; --",
            "1 rlike (select 1)",
        ] {
            assert!(points(value.as_bytes()) >= 5, "{value}: {}", points(value.as_bytes()));
        }
        for value in [
            "select a hotel in union square",
            "european union selection",
            "o'brien and o'neill",
            "rock 'n' roll",
            "this and that",
            "black or white",
            "1-2",
            "a=b",
            "c++ and c#",
            "fish & chips",
            "order by phone",
            "where is my order",
            "like this",
            "drop in center",
            "2 or 3 people",
            "what's up",
            "50% off",
            "case study",
            "having fun",
            "(555) 123-4567",
            "john (or jane)",
            "price > 5 and price < 9 from shop",
            "true or false",
            "update from home",
            "group by name",
            "sum(rate(requests_total[5m])) by (job) / count(up) > max(x)",
            "(a eq 'x') or (b eq 'y')",
        ] {
            assert!(points(value.as_bytes()) < 5, "{value}: {}", points(value.as_bytes()));
        }
    }
}
