//! Rows of a table of alerts: `time,name,ip,host,short,…`; further columns are ignored.

use std::borrow::Cow;

use super::{Alert, time};
use crate::labels::csv;

/// One row, still holding its texts.
#[derive(Debug)]
pub struct Row<'a> {
    time: i64,
    name: Cow<'a, str>,
    host: Cow<'a, str>,
}

impl Row<'_> {
    /// The alert that the row tells of.
    pub fn alert(&self) -> Alert<'_> {
        Alert { time: self.time, host: &self.host, name: &self.name, title: &self.name }
    }
}

/// Whether this is the head of a table.
pub fn is_head(line: &str) -> bool {
    line.trim_start_matches('\u{feff}').starts_with("time,name,ip,host")
}

/// Reads one row; the error says what is wrong with it and quotes nothing of it.
pub fn read(line: &str) -> Result<Row<'_>, &'static str> {
    let few = "fewer than four columns";
    let (time, name, host): (Cow<'_, str>, Cow<'_, str>, Cow<'_, str>) = if line.contains('"') {
        let fields = csv::fields(line).map_err(|_| "broken quotes, or too many columns")?;
        let [time, name, _, host, ..] = &fields[..] else { return Err(few) };
        (time.text.clone().into(), name.text.clone().into(), host.text.clone().into())
    } else {
        let mut parts = line.splitn(5, ',').map(str::trim);
        let (Some(time), Some(name), Some(_), Some(host)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(few);
        };
        (time.into(), name.into(), host.into())
    };
    let time = time::seconds(&time).ok_or("the time is not in seconds since the epoch")?;
    if name.is_empty() || host.is_empty() {
        return Err("no name, or no host");
    }
    Ok(Row { time, name, host })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_with_and_without_quotes() {
        for line in ["12,a b,::1,web,x,y", "12.9,\"a b\",::1,web"] {
            let row = read(line).unwrap();
            let alert = row.alert();
            assert_eq!((alert.time, alert.name, alert.host), (12, "a b", "web"));
        }
        assert_eq!(read("1,\"a, b\",,h").unwrap().alert().name, "a, b");
        for line in
            ["", "1,a,b", "x,a,b,c", "1,,b,c", "1,a,b,", "1,\"a,b,c", "nan,a,b,c", "1.,a,b,c"]
        {
            assert!(read(line).is_err(), "{line}");
        }
        assert!(is_head("time,name,ip,host,short") && !is_head("12,a,b,c"));
    }
}
