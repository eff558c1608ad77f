//! passwd, shadow, group and gshadow: every field's place lies inside of the file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parsers::config::accounts::{Row, group, gshadow, passwd, shadow};
use wardmote_fuzz::{Shape, timed};

fuzz_target!(|data: &[u8]| {
    let shape = Shape::of(data);
    let row = |row: &Row| {
        row.columns.iter().for_each(|column| shape.holds(row.line, *column));
        assert!(row.columns.is_sorted());
    };
    timed(|| {
        let table = passwd("f", data);
        table.entries.iter().for_each(|entry| row(&entry.row));
        table.compat.iter().for_each(row);
        shape.hold_problems(&table.problems);
        let table = shadow("f", data);
        table.entries.iter().for_each(|entry| row(&entry.row));
        shape.hold_problems(&table.problems);
        let table = group("f", data);
        table.entries.iter().for_each(|entry| row(&entry.row));
        shape.hold_problems(&table.problems);
        let table = gshadow("f", data);
        table.entries.iter().for_each(|entry| row(&entry.row));
        shape.hold_problems(&table.problems);
    });
});
