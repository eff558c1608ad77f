//! A JSON document that the store keeps and gives back without looking into it: cheap to clone, and only
//! those who want to know what is in it parse it.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// One JSON document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document(Arc<str>);

impl Document {
    /// A value's document.
    pub fn of(value: &impl Serialize) -> serde_json::Result<Self> {
        Ok(Self(serde_json::to_string(value)?.into()))
    }

    /// What [`Document::text`] gave earlier.
    pub(super) fn kept(text: &str) -> Self {
        Self(text.into())
    }

    /// The document's text.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// What the document says, as much of it as `T` wants to know.
    pub fn read<'a, T: Deserialize<'a>>(&'a self) -> serde_json::Result<T> {
        serde_json::from_str(&self.0)
    }
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.read::<Value>().map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Value::deserialize(deserializer)?.to_string().into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_part_of_the_one_around_it() {
        let inner = Document::of(&serde_json::json!({"b": [1.5, null], "a": "é"})).unwrap();
        let text = serde_json::to_string(&[&inner]).unwrap();
        assert_eq!(text, r#"[{"b":[1.5,null],"a":"é"}]"#);
        let [back]: [Document; 1] = serde_json::from_str(&text).unwrap();
        assert_eq!(back, inner);
        assert_eq!(Document::kept(inner.text()), inner);
        #[derive(Deserialize)]
        struct Part<'a> {
            a: &'a str,
        }
        assert_eq!(inner.read::<Part<'_>>().unwrap().a, "é");
        assert!(serde_json::to_string(&Document::kept("{")).is_err(), "an error, no panic");
    }
}
