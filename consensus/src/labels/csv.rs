//! One line of CSV (RFC 4180) into fields with their columns. A quoted field may hold commas and
//! doubled quotes; a line break inside quotes is refused, because input is read line by line.

use super::table::BadLine;

/// Most fields of one line.
pub const MAX_FIELDS: usize = 64;

/// A field and where it starts: bytes from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its text, quotes removed.
    pub text: String,
    /// Its column.
    pub column: usize,
}

/// Splits one line, without its line end.
pub fn fields(line: &str) -> Result<Vec<Field>, BadLine> {
    let bytes = line.as_bytes();
    let mut fields = Vec::new();
    let mut at = 0;
    loop {
        if fields.len() == MAX_FIELDS {
            let problem = format!("more than {MAX_FIELDS} fields");
            return Err(BadLine::new(at + 1, problem, "is this a table of item,expert,label?"));
        }
        let column = at + 1;
        let (text, end) =
            if bytes.get(at) == Some(&b'"') { quoted(line, at)? } else { bare(line, at) };
        fields.push(Field { text, column });
        match bytes.get(end) {
            None => return Ok(fields),
            Some(_) => at = end + 1,
        }
    }
}

fn bare(line: &str, start: usize) -> (String, usize) {
    let end = line[start..].find(',').map_or(line.len(), |found| start + found);
    (line[start..end].trim().to_string(), end)
}

fn quoted(line: &str, start: usize) -> Result<(String, usize), BadLine> {
    let mut text = String::new();
    let mut at = start + 1;
    loop {
        let Some(found) = line[at..].find('"') else {
            let problem = "this quote is not closed on its line";
            return Err(BadLine::new(start + 1, problem, "write a quote inside quotes twice"));
        };
        text.push_str(&line[at..at + found]);
        at += found + 1;
        match line.as_bytes().get(at) {
            Some(b'"') => {
                text.push('"');
                at += 1;
            }
            None | Some(b',') => return Ok((text, at)),
            Some(_) => {
                let problem = "text after a closing quote";
                return Err(BadLine::new(at + 1, problem, "write a quote inside quotes twice"));
            }
        }
    }
}

/// A field as it is written in CSV: in quotes where it needs them.
pub fn escaped(text: &str) -> String {
    let plain = !text.contains([',', '"', '\n', '\r']) && text.trim() == text;
    if plain { text.to_string() } else { format!("\"{}\"", text.replace('"', "\"\"")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(line: &str) -> Vec<String> {
        fields(line).unwrap().into_iter().map(|field| field.text).collect()
    }

    #[test]
    fn fields_are_split_at_commas_outside_quotes() {
        assert_eq!(texts("a,b,c"), ["a", "b", "c"]);
        assert_eq!(texts(""), [""]);
        assert_eq!(texts("a,"), ["a", ""]);
        assert_eq!(texts(" a , b"), ["a", "b"]);
        assert_eq!(texts(r#""a,b","say ""hi""",c"#), ["a,b", "say \"hi\"", "c"]);
        assert_eq!(fields("ab,c").unwrap()[1].column, 4);
    }

    #[test]
    fn broken_quotes_are_placed() {
        assert_eq!(fields("a,\"b").unwrap_err().column, 3);
        assert_eq!(fields("\"a\"b").unwrap_err().column, 4);
        assert!(fields(&",".repeat(MAX_FIELDS - 1)).is_ok());
        assert!(fields(&",".repeat(MAX_FIELDS)).is_err());
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read(text in "[^\r\n]{0,20}", other in "[^\r\n]{0,20}") {
            let line = format!("{},{}", escaped(&text), escaped(&other));
            proptest::prop_assert_eq!(texts(&line), [text, other]);
        }
    }
}
