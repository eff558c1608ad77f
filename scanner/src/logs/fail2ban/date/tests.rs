use jiff::tz::TimeZone;

use super::*;

const NOW: i64 = 1_124_013_600;

fn zone() -> TimeZone {
    TimeZone::posix("CET-01CEST-02,M3.5.0,M10.5.0").unwrap()
}

/// The text that is cut out, and the time in UTC.
fn dated(patterns: &str, line: &str) -> Option<(String, Option<String>)> {
    let detector = Detector::new(patterns, 2029).unwrap();
    let (_, found) = detector.find(line, &mut Machine::default()).unwrap()?;
    let time = found.moment.and_then(|moment| moment.resolve(NOW, &zone()));
    #[allow(clippy::cast_possible_truncation)]
    let time = time.map(|time| jiff::Timestamp::from_second(time as i64).unwrap().to_string());
    Some((line[found.start..found.end].to_string(), time))
}

#[test]
fn the_defaults_know_the_common_stamps() {
    // 2005-01-23T20:59:59Z is 21:59:59 in Paris.
    let time = Some("2005-01-23T20:59:59Z".to_string());
    for text in [
        "Jan 23 21:59:59",
        "Sun Jan 23 21:59:59 2005",
        "Sun Jan 23 21:59:59.011 2005",
        "Sun Jan 23 2005 21:59:59",
        "2005/01/23 21:59:59",
        "2005.01.23 21:59:59",
        "23/01/2005 21:59:59",
        "23/01/05 21:59:59",
        "23/Jan/2005:21:59:59 +0100",
        "01/23/2005:21:59:59",
        "2005-01-23 21:59:59,123",
        "2005-01-23T20:59:59Z",
        "2005-01-23T15:59:59-0500",
        "20050123T215959",
        "050123 21:59:59",
        "Jan 23, 2005 9:59:59 PM",
        "01-23-2005 21:59:59.252",
        "23-Jan-2005 21:59:59",
        "1106513999",
        "PST Jan 23 12:59:59",
        "@4000000041f4104f00000000",
    ] {
        let line = format!("{text} [x] y");
        assert_eq!(dated("", &line), Some((text.to_string(), time.clone())), "{text}");
    }
}

#[test]
fn every_default_compiles() {
    for last_year in [2029, 2030, 2099] {
        let all = shared(last_year);
        assert_eq!(all.len(), 31);
        for template in all {
            assert!(template.find("x", &mut Machine::default()).is_ok());
            assert!(Template::new(&template.name, last_year).unwrap().checked().is_ok());
        }
    }
    assert!(Detector::new("^({DATE}", 2029).is_err());
}

#[test]
fn patterns_are_bound_to_words_and_lines_as_they_say() {
    let cut = |patterns: &str, line: &str| dated(patterns, line).map(|(text, _)| text);
    assert_eq!(cut("{^LN-BEG}", "[2005-01-23 21:59:59] x").as_deref(), Some("2005-01-23 21:59:59"));
    assert_eq!(cut("{^LN-BEG}", "abc 2005-01-23 21:59:59 x"), None);
    assert_eq!(cut("", "abc 2005-01-23 21:59:59 x").as_deref(), Some("2005-01-23 21:59:59"));
    assert_eq!(cut("%Y-%m-%d", "x2005-01-23"), None);
    assert_eq!(cut("**%Y-%m-%d", "x2005-01-23").as_deref(), Some("2005-01-23"));
    assert_eq!(
        cut(r"^[^\[]*\[({DATE})", "h - [23/Jan/2005:21:59:59 +0100] x").as_deref(),
        Some("23/Jan/2005:21:59:59 +0100")
    );
    assert_eq!(cut("{NONE}", "2005-01-23 x").as_deref(), Some(""));
    assert_eq!(
        cut("Epoch", "type=X msg=audit(1106513999.123:5): y").as_deref(),
        Some("1106513999.123")
    );
    assert_eq!(cut("{^LN-BEG}Epoch", "[1106513999] y").as_deref(), Some("1106513999"));
    assert_eq!(cut("t={EPOCH};", "t=1106513999; y").as_deref(), Some("t=1106513999;"));
    assert!(Detector::new("%Q", 2029).is_err());
}

#[test]
fn what_is_not_written_is_guessed_by_the_clock() {
    let time = |line: &str| dated("", line).unwrap().1.unwrap();
    // The clock says 14 August 2005, 12:00 in Paris.
    assert_eq!(time("Aug 15 11:00:00 x"), "2005-08-15T09:00:00Z");
    assert_eq!(time("Aug 16 11:00:00 x"), "2004-08-16T09:00:00Z");
    assert_eq!(time("11:59:59 x"), "2005-08-14T09:59:59Z");
    assert_eq!(time("12:00:01 x"), "2005-08-13T10:00:01Z");
    assert_eq!(dated("", "2005-02-30 10:00:00 x").unwrap().1, None);
}

#[test]
fn the_fast_way_answers_as_the_patterns_do() {
    let detector = Detector::new("{^LN-BEG}", 2029).unwrap();
    let mut machine = Machine::default();
    let mut fast = 0;
    for head in [
        "Dec 10 06:55:46",
        "Dec  1 06:55:46",
        "dec 31 23:59:59",
        "Dec 32 06:55:46",
        "Dec 10 24:55:46",
        "Dec 10 6:55:46",
        "2024-05-01T10:00:00",
        "2024-05-01 10:00:00",
        "2024-02-30 10:00:00",
        "2024-05-01T10:00:00.123456",
        "2024-05-01T10:00:00,1",
        "2024-05-01T10:00:00.1234567",
        "2031-05-01T10:00:00",
    ] {
        for tail in [
            "", " ", "Z", "Z x", "Zx", "+02:00 x", "-0730 x", "+02", " +0200 x", " host x",
            " UTC x", " 2005 x", ": x", "  x", "_",
        ] {
            let line = format!("{head}{tail}");
            if let Some(found) = fast::leading(line.as_bytes()) {
                fast += 1;
                assert_eq!(
                    Some(found),
                    detector.find_slowly(&line, &mut machine).unwrap(),
                    "{line}"
                );
            }
        }
    }
    assert!(fast > 30, "{fast}");
}

#[test]
fn patterns_that_cut_within_words_are_known() {
    for (pattern, whole) in [
        ("{^LN-BEG}", true),
        (r"{^LN-BEG}%ExY(?P<_sep>[-/.])%m(?P=_sep)%d[T ]%H:%M:%S(?:[.,]%f)?(?:\s*%z)?", true),
        (r"^[^\[]*\[({DATE})", true),
        ("%d/%b[^/]*/%Y:%H:%M:%S %z", true),
        ("{^LN-BEG}%b-%d-%Exy", true),
        ("^%Y %H", true),
        ("**%Y-%m-%d", false),
        ("%Y-%m-%d**", false),
        (r"\[%Y\]", false),
        (r"^\S+ ({DATE})", false),
        ("^x ({DATE} )", false),
        ("{UNB}%Y", false),
        ("%Y%%", false),
    ] {
        assert_eq!(cuts_words(pattern), whole, "{pattern}");
    }
}
