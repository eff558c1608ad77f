//! The daemon's own command line (sshd(8)): its options come before the file.

use crate::place::{Place, Placed};

/// What a command line says about the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandLine {
    /// `-f`: the file that is read instead.
    pub config: Option<String>,
    /// Settings, as lines of a configuration.
    pub settings: Vec<Placed<String>>,
    /// `-p` was given: ports of the file are ignored.
    pub ports_given: bool,
    /// The whole line, words joined with blanks; may hold a secret, redact before showing.
    pub text: String,
}

/// Most words that are read.
const WORDS_MAX: usize = 1024;
/// Options that take a value (sshd(8)).
const WITH_VALUE: &[u8] = b"CEbcfghkopu";

impl CommandLine {
    /// Reads the words of a command line, the program's name first; `place` is where they were seen.
    ///
    /// ```
    /// use parsers::config::sshd::CommandLine;
    /// use parsers::place::Place;
    /// let words = ["/usr/sbin/sshd", "-D", "-o", "PermitRootLogin=yes", "-p2222"];
    /// let line = CommandLine::read(&words, &Place::whole("/proc/1/cmdline"));
    /// assert_eq!(line.settings[0].value, "PermitRootLogin=yes");
    /// assert_eq!(line.settings[1].value, "Port 2222");
    /// ```
    pub fn read<S: AsRef<str>>(words: &[S], place: &Place) -> Self {
        let mut found = Self::default();
        let mut words: Vec<&str> = words.iter().take(WORDS_MAX).map(AsRef::as_ref).collect();
        let titled = titled(&words);
        if let Some(inside) = &titled {
            words.clone_from(inside);
        }
        found.text = words.join(" ");
        let mut rest = words.into_iter().skip(1).peekable();
        while let Some(word) = rest.next() {
            let Some(options) = word.strip_prefix('-').filter(|o| !o.is_empty() && *o != "-")
            else {
                break;
            };
            for (index, option) in options.bytes().enumerate() {
                if !option.is_ascii() {
                    break;
                }
                if !WITH_VALUE.contains(&option) {
                    found.switch(option, place);
                    continue;
                }
                let attached = options.get(index + 1..).filter(|value| !value.is_empty());
                if let Some(value) = attached.or_else(|| rest.next()) {
                    // A title has lost the bounds of its words: `-o Keyword value` was one word.
                    let apart = titled.is_some() && option == b'o' && !value.contains('=');
                    match rest.next_if(|next| apart && !next.starts_with('-')) {
                        Some(next) => found.value(option, &format!("{value} {next}"), place),
                        None => found.value(option, value, place),
                    }
                }
                break;
            }
        }
        found
    }

    fn switch(&mut self, option: u8, place: &Place) {
        match option {
            b'4' => self.set("AddressFamily inet".into(), place),
            b'6' => self.set("AddressFamily inet6".into(), place),
            b'q' => self.set("LogLevel QUIET".into(), place),
            b'd' => self.set("LogLevel DEBUG1".into(), place),
            _ => {}
        }
    }

    fn value(&mut self, option: u8, value: &str, place: &Place) {
        match option {
            b'f' => self.config = Some(value.to_string()),
            b'o' => self.set(value.to_string(), place),
            b'p' => {
                self.ports_given = true;
                self.set(format!("Port {value}"), place);
            }
            b'g' => self.set(format!("LoginGraceTime {value}"), place),
            b'h' => self.set(format!("HostKey {value}"), place),
            b'c' => self.set(format!("HostCertificate {value}"), place),
            _ => {}
        }
    }

    fn set(&mut self, line: String, place: &Place) {
        self.settings.push(Placed { value: line, place: place.clone(), text: self.text.clone() });
    }
}

/// A listening daemon shows `sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups` as its one
/// word (since 8.2); this is what stands inside, split at blanks.
fn titled<'a>(words: &[&'a str]) -> Option<Vec<&'a str>> {
    let inside = words.first()?.strip_prefix("sshd: ")?;
    let (inside, _) = inside.split_once(" [listener]")?;
    Some(inside.split(' ').filter(|word| !word.is_empty()).take(WORDS_MAX).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_attached_or_apart() {
        let place = Place::whole("/proc/7/cmdline");
        let read = |words: &[&str]| CommandLine::read(words, &place);
        let line = read(&["sshd", "-Df/etc/other", "-qoUsePAM no", "-g", "0", "-4"]);
        assert_eq!(line.config.as_deref(), Some("/etc/other"));
        let lines: Vec<&str> = line.settings.iter().map(|set| set.value.as_str()).collect();
        assert_eq!(
            lines,
            ["LogLevel QUIET", "UsePAM no", "LoginGraceTime 0", "AddressFamily inet"]
        );
        assert!(!line.ports_given && read(&["sshd", "-p", "22"]).ports_given);
    }

    #[test]
    fn the_title_of_a_listening_daemon_holds_its_options() {
        let title = "sshd: /usr/sbin/sshd -D -o PermitRootLogin yes -p 2222 [listener] 0 of 10-100";
        let line = CommandLine::read(&[title], &Place::whole("/proc/7/cmdline"));
        let lines: Vec<&str> = line.settings.iter().map(|set| set.value.as_str()).collect();
        assert_eq!(lines, ["PermitRootLogin yes", "Port 2222"]);
    }
}
