//! Names of units (systemd.unit(5)): type, prefix, instance, and the drop-in directories of a name.

/// Most bytes of a unit's name (`UNIT_NAME_MAX`), its end counted.
pub const NAME_BYTES_MAX: usize = 255;

/// Types of units and the section of their own.
pub const TYPES: [(&str, &str); 11] = [
    ("service", "Service"),
    ("socket", "Socket"),
    ("target", "Target"),
    ("device", "Device"),
    ("mount", "Mount"),
    ("automount", "Automount"),
    ("swap", "Swap"),
    ("timer", "Timer"),
    ("path", "Path"),
    ("slice", "Slice"),
    ("scope", "Scope"),
];

/// A name taken apart: `prefix@instance.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name<'a> {
    /// Before the `@` or the type.
    pub prefix: &'a str,
    /// Between `@` and the type: empty in a template, `None` without an `@`.
    pub instance: Option<&'a str>,
    /// `service`, `socket`, …
    pub of_type: &'a str,
}

impl<'a> Name<'a> {
    /// Takes a name apart; `None` when it is no unit's name.
    pub fn parse(name: &'a str) -> Option<Self> {
        let (stem, of_type) = name.rsplit_once('.')?;
        if name.len() > NAME_BYTES_MAX || !TYPES.iter().any(|(known, _)| *known == of_type) {
            return None;
        }
        let (prefix, instance) = match stem.split_once('@') {
            Some((prefix, instance)) => (prefix, Some(instance)),
            None => (stem, None),
        };
        let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
        (!prefix.is_empty() && stem.bytes().all(is_valid)).then_some(Self {
            prefix,
            instance,
            of_type,
        })
    }

    /// The section of the type.
    pub fn section(&self) -> &'static str {
        TYPES.iter().find(|(known, _)| *known == self.of_type).map_or("", |(_, section)| section)
    }

    /// Whether it stands for every instance.
    pub fn is_template(&self) -> bool {
        self.instance == Some("")
    }

    /// The template of an instance; `None` for other names.
    pub fn template(&self) -> Option<String> {
        let instance = self.instance?;
        (!instance.is_empty()).then(|| format!("{}@.{}", self.prefix, self.of_type))
    }

    /// Names whose `.d` directories apply, the most specific first: the name itself, its template, and
    /// what ends in a dash before them (`a-b.service`: `a-.service`).
    pub fn dropin_names(&self) -> Vec<String> {
        let mut names = Vec::new();
        match (self.instance, self.template()) {
            (Some(instance), Some(template)) => {
                names.push(format!("{}@{instance}.{}", self.prefix, self.of_type));
                names.push(template);
            }
            (Some(_), None) => names.push(format!("{}@.{}", self.prefix, self.of_type)),
            (None, _) => names.push(format!("{}.{}", self.prefix, self.of_type)),
        }
        let mut prefix = self.prefix;
        while let Some(dash) = prefix.strip_suffix('-').unwrap_or(prefix).rfind('-') {
            prefix = &prefix[..=dash];
            names.push(format!("{prefix}.{}", self.of_type));
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        let name = Name::parse("a-b@c.service").unwrap();
        assert_eq!((name.prefix, name.instance, name.of_type), ("a-b", Some("c"), "service"));
        assert_eq!(name.template().unwrap(), "a-b@.service");
        assert!(Name::parse("a@.timer").unwrap().is_template());
        assert_eq!(Name::parse("a@b.mount").unwrap().section(), "Mount");
        let long = format!("{}.service", "a".repeat(NAME_BYTES_MAX - 8));
        assert!(Name::parse(&long).is_some() && Name::parse(&format!("a{long}")).is_none());
        for bad in ["a", ".service", "@.service", "a b.service", "a.conf", ""] {
            assert_eq!(Name::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn dropin_directories_go_from_specific_to_general() {
        let of = |name| Name::parse(name).unwrap().dropin_names();
        assert_eq!(of("a-b-c.service"), ["a-b-c.service", "a-b-.service", "a-.service"]);
        assert_eq!(of("a-b@c-d.socket"), ["a-b@c-d.socket", "a-b@.socket", "a-.socket"]);
        assert_eq!(of("a-.slice"), ["a-.slice"]);
        assert_eq!(of("a--b.slice"), ["a--b.slice", "a--.slice", "a-.slice"]);
        assert_eq!(of("x@.timer"), ["x@.timer"]);
    }
}
