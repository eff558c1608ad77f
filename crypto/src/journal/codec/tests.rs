use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug, PartialEq)]
enum Own {
    Name(String),
    Text(String),
    Number(i64),
}

#[derive(Clone, Debug, PartialEq)]
struct Row {
    time_us: i64,
    level: u8,
    kind: String,
    fields: Vec<(String, Own)>,
}

fn encode(encoder: &mut Encoder, row: &Row, out: &mut Vec<u8>) -> bool {
    let fields: Vec<(&str, Value<'_>)> = row
        .fields
        .iter()
        .map(|(name, value)| {
            let value = match value {
                Own::Name(text) => Value::Name(text),
                Own::Text(text) => Value::Text(text),
                Own::Number(number) => Value::Number(*number),
            };
            (name.as_str(), value)
        })
        .collect();
    let Row { time_us, level, kind, .. } = row;
    encoder.encode(&Record { time_us: *time_us, level: *level, kind, fields: &fields }, out)
}

fn row(record: Decoded<'_>) -> Row {
    let own = |value| match value {
        Value::Name(text) => Own::Name(text.to_string()),
        Value::Text(text) => Own::Text(text.to_string()),
        Value::Number(number) => Own::Number(number),
    };
    Row {
        time_us: record.time_us,
        level: record.level(),
        kind: record.kind().to_string(),
        fields: record.fields().map(|(name, value)| (name.to_string(), own(value))).collect(),
    }
}

fn there_and_back(rows: &[Row]) -> usize {
    let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
    let (mut bytes, mut back) = (Vec::new(), Vec::new());
    for part in rows.chunks(7) {
        let mut out = Vec::new();
        part.iter().for_each(|row| assert!(encode(&mut encoder, row, &mut out)));
        decoder.decode(&out, |record| back.push(row(record))).unwrap();
        bytes.extend(out);
    }
    assert!(back == rows);
    bytes.len()
}

fn alert(number: usize) -> Row {
    let name = |text: &str| Own::Name(text.to_string());
    Row {
        time_us: 1_700_000_000_000_000 + number as i64 * 1_000_000,
        level: (number % 3) as u8,
        kind: "alert".to_string(),
        fields: vec![
            ("rule".to_string(), name(["sshd", "nginx"][number % 2])),
            ("ip".to_string(), name(&format!("192.0.2.{}", number / 10))),
            ("count".to_string(), Own::Number(number as i64)),
        ],
    }
}

#[test]
fn a_repeated_record_costs_a_few_bytes() {
    let rows: Vec<Row> = (0..1000).map(alert).collect();
    assert!(there_and_back(&rows) < 8 * rows.len());
    let same: Vec<Row> = (0..1000).map(|_| alert(1)).collect();
    assert!(there_and_back(&same) < 3 * same.len() + 100);
}

#[test]
fn full_tables_are_emptied_on_both_sides() {
    let many = |number: usize| {
        let mut row = alert(number);
        row.fields.push((format!("field {}", number % 97), Own::Name(format!("value {number}"))));
        row
    };
    there_and_back(&(0..NAMES_MAX + 5000).map(many).collect::<Vec<_>>());
    let long = |number: usize| {
        let mut row = alert(number);
        row.fields[0].1 = Own::Name(format!("{number:0>1000}"));
        row
    };
    there_and_back(&(0..KEPT_BYTES_MAX / 1000 + 3000).map(long).collect::<Vec<_>>());
}

#[test]
fn what_is_beyond_a_bound_is_refused_and_adds_nothing() {
    let mut encoder = Encoder::new();
    let with = |row: &mut Row, length: usize, many: usize| {
        row.kind = "k".repeat(length.min(NAME_BYTES_MAX + 1));
        row.fields = vec![("f".to_string(), Own::Text("x".repeat(length))); many];
    };
    let mut row = alert(1);
    let mut out = Vec::new();
    with(&mut row, NAME_BYTES_MAX, FIELDS_MAX);
    assert!(encode(&mut encoder, &row, &mut out));
    for (length, many) in [(NAME_BYTES_MAX + 1, 1), (1, FIELDS_MAX + 1)] {
        let before = out.len();
        with(&mut row, length, many);
        assert!(!encode(&mut encoder, &row, &mut out));
        assert_eq!(out.len(), before);
    }
    row = alert(1);
    row.fields[0].1 = Own::Text("x".repeat(TEXT_BYTES_MAX));
    assert!(encode(&mut encoder, &row, &mut out));
    row.fields[0].1 = Own::Text("x".repeat(TEXT_BYTES_MAX + 1));
    assert!(!encode(&mut encoder, &row, &mut out));
}

fn value() -> impl Strategy<Value = Own> {
    prop_oneof![
        "[ab]{0,2}".prop_map(Own::Name),
        "\\PC{0,5}".prop_map(Own::Text),
        any::<i64>().prop_map(Own::Number),
        (0..3_i64).prop_map(Own::Number),
    ]
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let fields = prop::collection::vec(("[xyz]{0,1}", value()), 0..5);
    let time = prop_oneof![any::<i64>(), (0..9_i64).prop_map(|s| s * 1_000_000)];
    let one = (time, 0..5_u8, "[kl]{1,2}", fields).prop_map(|(time_us, level, kind, fields)| Row {
        time_us,
        level,
        kind,
        fields,
    });
    prop::collection::vec(one, 0..40)
}

proptest! {
    #[test]
    fn any_records_come_back(rows in rows()) {
        there_and_back(&rows);
    }

    #[test]
    fn any_bytes_end(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut count = 0;
        if let Ok(records) = Decoder::new().decode(&bytes, |_| count += 1) {
            prop_assert_eq!(records, count);
        }
    }

    #[test]
    fn a_cut_anywhere_is_an_error_or_fewer_records(rows in rows(), at in any::<prop::sample::Index>()) {
        let (mut encoder, mut out) = (Encoder::new(), Vec::new());
        rows.iter().for_each(|row| assert!(encode(&mut encoder, row, &mut out)));
        if !out.is_empty() {
            let cut = at.index(out.len());
            let mut back = Vec::new();
            let _ = Decoder::new().decode(&out[..cut], |record| back.push(row(record)));
            prop_assert!(back.len() < rows.len() || rows.is_empty());
            prop_assert!(rows.starts_with(&back));
        }
    }
}

#[test]
fn an_encoder_goes_on_where_another_one_ended() {
    let rows: Vec<Row> = (0..40).map(alert).collect();
    let (mut decoder, mut back) = (Decoder::new(), Vec::new());
    for (at, part) in rows.chunks(10).enumerate() {
        let mut encoder = if at == 0 { Encoder::new() } else { Encoder::after_another() };
        let mut out = Vec::new();
        part.iter().for_each(|row| assert!(encode(&mut encoder, row, &mut out)));
        decoder.decode(&out, |record| back.push(row(record))).unwrap();
    }
    assert_eq!(back, rows);
}
