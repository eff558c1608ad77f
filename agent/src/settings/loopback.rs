//! An address that nobody from outside can reach.

use std::net::SocketAddr;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A loopback address and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String")]
pub struct Loopback(pub SocketAddr);

impl FromStr for Loopback {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<SocketAddr>() {
            Ok(address) if address.ip().is_loopback() => Ok(Self(address)),
            _ => Err("an address of the loopback and a port: 127.0.0.1:9469 or [::1]:9469".into()),
        }
    }
}

impl std::fmt::Display for Loopback {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(out)
    }
}

impl Serialize for Loopback {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Loopback {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_can_reach_is_refused() {
        for good in ["127.0.0.1:9469", "127.1.2.3:1", "[::1]:9469"] {
            assert_eq!(good.parse::<Loopback>().unwrap().to_string(), good);
        }
        for wrong in
            ["0.0.0.0:9469", "[::]:9469", "192.0.2.1:9469", "localhost:9469", "127.0.0.1", ""]
        {
            assert!(wrong.parse::<Loopback>().is_err(), "{wrong}");
        }
    }
}
