//! A time of the day, as a clock on the wall shows it.

use std::str::FromStr;

use jiff::civil::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Hours and minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String")]
pub struct TimeOfDay(pub Time);

impl Default for TimeOfDay {
    /// When a day's work begins.
    fn default() -> Self {
        Self(jiff::civil::time(8, 0, 0, 0))
    }
}

impl FromStr for TimeOfDay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "a time of the day is HH:MM, such as 08:00".to_string();
        let digits = |part: &str| part.len() == 2 && part.bytes().all(|c| c.is_ascii_digit());
        let (hours, minutes) = text.split_once(':').ok_or_else(wrong)?;
        if !digits(hours) || !digits(minutes) {
            return Err(wrong());
        }
        let number = |part: &str| part.parse::<i8>().map_err(|_| wrong());
        Time::new(number(hours)?, number(minutes)?, 0, 0).map(Self).map_err(|_| wrong())
    }
}

impl std::fmt::Display for TimeOfDay {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{:02}:{:02}", self.0.hour(), self.0.minute())
    }
}

impl Serialize for TimeOfDay {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TimeOfDay {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_hours_and_minutes() {
        for good in ["00:00", "08:00", "23:59"] {
            assert_eq!(good.parse::<TimeOfDay>().unwrap().to_string(), good);
        }
        for wrong in ["", "8:00", "24:00", "08:60", "08.00", "0800", "08:00:00", "+8:00", "480"] {
            assert!(wrong.parse::<TimeOfDay>().is_err(), "{wrong}");
        }
    }
}
