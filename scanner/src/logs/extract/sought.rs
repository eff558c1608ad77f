//! Constant texts looked for in messages without building a searcher for each message.
//!
//! Of each text the byte that is rarest in messages is known when the program is compiled: that byte is
//! searched, and the text compared where it stands. Texts are short, so this is linear in the message.

/// A constant text to look for; made by [`sought!`].
pub(super) struct Sought {
    text: &'static str,
    rarest: usize,
}

/// A [`Sought`] made at compile time.
macro_rules! sought {
    ($text:expr) => {{
        const SOUGHT: $crate::logs::extract::sought::Sought =
            $crate::logs::extract::sought::Sought::new($text);
        &SOUGHT
    }};
}
pub(super) use sought;

impl Sought {
    /// Of a text that is not empty.
    pub(super) const fn new(text: &'static str) -> Self {
        let bytes = text.as_bytes();
        let (mut rarest, mut at) = (0, 1);
        while at < bytes.len() {
            if commonness(bytes[at]) < commonness(bytes[rarest]) {
                rarest = at;
            }
            at += 1;
        }
        Self { text, rarest }
    }

    /// Bytes of the text.
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    /// Everywhere the text stands, each place once.
    pub(super) fn each(&self, message: &str) -> impl Iterator<Item = usize> {
        let (message, text) = (message.as_bytes(), self.text.as_bytes());
        let places = memchr::memchr_iter(text[self.rarest], self.places(message));
        places.filter(|at| message[*at..].starts_with(text))
    }

    /// The same from the end.
    pub(super) fn each_back(&self, message: &str) -> impl Iterator<Item = usize> {
        let (message, text) = (message.as_bytes(), self.text.as_bytes());
        let places = memchr::memrchr_iter(text[self.rarest], self.places(message));
        places.filter(|at| message[*at..].starts_with(text))
    }

    /// Where the text stands first.
    pub(super) fn find(&self, message: &str) -> Option<usize> {
        self.each(message).next()
    }

    /// Where the text stands last.
    pub(super) fn rfind(&self, message: &str) -> Option<usize> {
        self.each_back(message).next()
    }

    /// Where its rarest byte would stand, wherever it does.
    fn places<'m>(&self, message: &'m [u8]) -> &'m [u8] {
        match message.len().checked_sub(self.len()) {
            Some(last) => &message[self.rarest..=last + self.rarest],
            None => &[],
        }
    }

    /// Whether the text stands anywhere.
    pub(super) fn is_in(&self, message: &str) -> bool {
        self.find(message).is_some()
    }

    /// What stands before and after the first one.
    pub(super) fn split<'m>(&self, message: &'m str) -> Option<(&'m str, &'m str)> {
        self.find(message).map(|at| self.around(message, at))
    }

    /// What stands before and after the last one.
    pub(super) fn rsplit<'m>(&self, message: &'m str) -> Option<(&'m str, &'m str)> {
        self.rfind(message).map(|at| self.around(message, at))
    }

    /// What stands after the first one.
    pub(super) fn after<'m>(&self, message: &'m str) -> Option<&'m str> {
        self.find(message).map(|at| &message[at + self.text.len()..])
    }

    fn around<'m>(&self, message: &'m str, at: usize) -> (&'m str, &'m str) {
        (&message[..at], &message[at + self.text.len()..])
    }
}

/// How often a byte stands in messages of logs, roughly.
const fn commonness(byte: u8) -> u8 {
    match byte {
        b' ' => 9,
        b'e' | b's' | b'o' | b'r' | b'i' | b'n' | b't' | b'a' => 8,
        b'0'..=b'9' => 7,
        b'd' | b'u' | b'c' | b'l' | b'p' => 6,
        b'.' | b':' | b'm' | b'f' | b'h' => 5,
        b'a'..=b'z' => 4,
        b'=' | b'/' | b'-' | b'[' | b']' | b'(' | b')' | b';' => 3,
        b'A'..=b'Z' => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn texts_are_found_as_std_finds_them(message in "[ forméFx]{0,40}") {
            for sought in [sought!(" for "), sought!("é"), sought!("F"), sought!("rmrm"), sought!(" from x")] {
                let text = sought.text;
                prop_assert_eq!(sought.find(&message), message.find(text));
                prop_assert_eq!(sought.rfind(&message), message.rfind(text));
                prop_assert_eq!(sought.is_in(&message), message.contains(text));
                prop_assert_eq!(sought.split(&message), message.split_once(text));
                prop_assert_eq!(sought.rsplit(&message), message.rsplit_once(text));
                prop_assert_eq!(sought.after(&message), message.split_once(text).map(|(_, after)| after));
            }
        }
    }
}
