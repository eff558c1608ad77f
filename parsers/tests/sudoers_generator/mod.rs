//! Makes policies from a seed: every sort of line, right and wrong, in every spelling.

use std::path::Path;

use crate::differential::Dice;

/// Makes one policy.
pub struct Generator<'a> {
    dice: Dice,
    parameters: &'a [(&'static str, &'static str)],
    aliases: Vec<String>,
}

impl<'a> Generator<'a> {
    pub fn new(seed: u64, parameters: &'a [(&'static str, &'static str)]) -> Self {
        Self { dice: Dice::new(seed), parameters, aliases: Vec::new() }
    }

    pub fn case(mut self, place: &Path) -> Vec<(String, String)> {
        let mut files = Vec::new();
        let mut text = String::new();
        for _ in 0..2 + self.dice.below(8) {
            match self.dice.below(10) {
                0 | 1 => text.push_str(&self.defaults()),
                2 | 3 => text.push_str(&self.alias()),
                4 if self.dice.one_in(3) => {
                    let name = format!("d/{}", self.dice.pick(&["a", "b", "10-c", "x.y", "z~"]));
                    let mut inner = self.rule();
                    inner.push('\n');
                    files.retain(|(known, _)| *known != name);
                    files.push((name.clone(), inner));
                    let sign = self.dice.pick(&["@", "#"]);
                    let line = match self.dice.below(3) {
                        0 => format!("{sign}include {name}"),
                        1 => format!("{sign}include \"{}/{name}\"", place.display()),
                        _ => format!("{sign}includedir {}/d", place.display()),
                    };
                    text.push_str(&line);
                }
                5 => text.push_str(self.dice.pick(&["# comment", "#", "  ", "", "# a \\"])),
                _ => text.push_str(&self.rule()),
            }
            text.push_str(self.dice.pick(&["\n", "\n", " \n", " # c\n", "\n\n"]));
        }
        if self.dice.one_in(4) {
            text = self.mutated(text);
        }
        files.push(("sudoers".into(), text));
        files
    }

    fn blank(&mut self) -> &'static str {
        self.dice.pick(&[" ", " ", "\t", "  ", " \\\n  ", ""])
    }

    fn defaults(&mut self) -> String {
        let scope = match self.dice.below(9) {
            0 => ":bob".to_string(),
            1 => ":%wheel,!eve".to_string(),
            2 => "@db, !web".to_string(),
            3 => ">root".to_string(),
            4 => "!/bin/ls, /bin/cat".to_string(),
            _ => String::new(),
        };
        let mut text = format!("Defaults{scope} ");
        for number in 0..=self.dice.below(3) {
            if number > 0 {
                text.push_str(self.dice.pick(&[",", ", ", " , "]));
            }
            let (name, kind) = self.parameters[self.dice.below(self.parameters.len())];
            text.push_str(&self.parameter(name, kind));
        }
        text
    }

    fn parameter(&mut self, name: &str, kind: &str) -> String {
        if self.dice.one_in(40) {
            return self
                .dice
                .pick(&["nonsense", "use_pty=3", "passwd_tries", "umask=9"])
                .to_string();
        }
        let equals = self.dice.pick(&["=", " = ", "= "]);
        let (head, list) = kind.split_once(':').unwrap_or((kind, ""));
        let value = match head {
            "flag" => return format!("{}{name}", self.dice.pick(&["", "!", "!!", "! "])),
            "int" | "uint" => self.dice.pick(&["3", "80", "0"]).to_string(),
            "mode" => self.dice.pick(&["0022", "077", "0777"]).to_string(),
            "tuple" => {
                let values: Vec<&str> = list.split('|').collect();
                self.dice.pick(&values).to_string()
            }
            "timespec" => self.dice.pick(&["5", "-1", "0.5", "15"]).to_string(),
            "timeout" => self.dice.pick(&["30", "1h30m", "2d", "5M"]).to_string(),
            "rlimit" => {
                self.dice.pick(&["infinity", "user", "default", "1024", "\"1,2\""]).to_string()
            }
            "logfac" => self.dice.pick(&["auth", "authpriv", "local3"]).to_string(),
            "logpri" => self.dice.pick(&["notice", "err", "none"]).to_string(),
            "list" => {
                let sign = self.dice.pick(&["=", "+=", " += ", "-=", " = "]);
                let value = self.dice.pick(&["A", "\"A B\"", "\"A  B C_*\"", "LC_*", "\"X=(*)\""]);
                return format!("{name}{sign}{value}");
            }
            _ => {
                let values =
                    ["/a/b", "\"/a b\"", "/x\\ y", "/p:q", "/c\\,d", "\"/e,f\"", "\"/q\\\"r\""];
                self.dice.pick(&values).to_string()
            }
        };
        format!("{name}{equals}{value}")
    }

    fn alias(&mut self) -> String {
        let number = self.aliases.len();
        let (word, list) = match self.dice.below(4) {
            0 => ("User_Alias", self.users()),
            1 => ("Runas_Alias", self.users()),
            2 => ("Host_Alias", self.hosts()),
            _ => {
                let word = self.dice.pick(&["Cmnd_Alias", "Cmd_Alias"]);
                (word, self.commands())
            }
        };
        let name = match self.dice.below(20) {
            0 => "lower".to_string(),
            1 => "ALL".to_string(),
            2 if number > 0 => self.aliases[0].clone(),
            _ => format!("A{number}_X"),
        };
        let gap = self.dice.pick(&["=", " = ", "= "]);
        let mut text = format!("{word} {name}{gap}{list}");
        self.aliases.push(name);
        if self.dice.one_in(5) && matches!(word, "User_Alias" | "Host_Alias") {
            text.push_str(&format!(" : B{number} = x, y"));
        }
        text
    }

    fn listed(&mut self, from: &[&str]) -> String {
        let mut text = String::new();
        for number in 0..=self.dice.below(3) {
            if number > 0 {
                text.push_str(self.dice.pick(&[",", ", ", " ,", ",\\\n "]));
            }
            text.push_str(self.dice.pick(&["", "", "", "!", "!!"]));
            text.push_str(self.dice.pick(from));
        }
        text
    }

    fn users(&mut self) -> String {
        self.listed(&[
            "bob",
            "eve",
            "ALL",
            "#1000",
            "%wheel",
            "%#27",
            "+net",
            "\"odd name\"",
            "OPS",
            "%:ad",
            "\"%domain users\"",
            "a\\ b",
            "user.name",
            "us-er_1",
            "bob@x",
        ])
    }

    fn hosts(&mut self) -> String {
        self.listed(&[
            "ALL",
            "db",
            "web*",
            "192.0.2.1",
            "192.0.2.0/24",
            "192.0.2.0/255.255.255.0",
            "2001:db8::1",
            "fe80::/10",
            "LAN",
            "+hosts",
            "h-1.example",
        ])
    }

    fn rule(&mut self) -> String {
        let mut text = format!("{} {}", self.users(), self.hosts());
        text.push_str(self.blank());
        text.push('=');
        text.push_str(self.blank());
        text.push_str(&self.commands_of_rule());
        if self.dice.one_in(6) {
            text.push_str(&format!(" : {} = {}", self.hosts(), self.commands_of_rule()));
        }
        text
    }

    fn commands_of_rule(&mut self) -> String {
        let mut text = String::new();
        for number in 0..=self.dice.below(3) {
            if number > 0 {
                text.push_str(self.dice.pick(&[", ", ","]));
            }
            if self.dice.one_in(3) {
                text.push_str(self.dice.pick(&[
                    "(root)",
                    "(ALL)",
                    "(ALL : ALL)",
                    "(bob, eve)",
                    "(:adm)",
                    "(root:adm,www)",
                    "()",
                    "(:)",
                    "(%wheel)",
                    "(!root)",
                    "( #0 : #5 )",
                    "(root:%adm)",
                ]));
                text.push_str(self.dice.pick(&[" ", ""]));
            }
            if self.dice.one_in(6) {
                text.push_str(self.dice.pick(&[
                    "CWD=/tmp ",
                    "TIMEOUT=5m ",
                    "CHROOT=/srv ",
                    "CWD=* ",
                ]));
            }
            for _ in 0..self.dice.below(3) {
                text.push_str(self.dice.pick(&[
                    "NOPASSWD:",
                    "NOPASSWD: ",
                    "PASSWD : ",
                    "SETENV: ",
                    "NOEXEC: ",
                    "LOG_INPUT: ",
                    "NOFOLLOW: ",
                    "FOLLOW:",
                    "MAIL: ",
                    "INTERCEPT: ",
                ]));
            }
            if self.dice.one_in(30) {
                text.push_str("CWD=/late ");
            }
            text.push_str(&self.command());
        }
        text
    }

    fn commands(&mut self) -> String {
        let mut text = self.command();
        for _ in 0..self.dice.below(3) {
            text.push_str(", ");
            text.push_str(&self.command());
        }
        text
    }

    fn command(&mut self) -> String {
        let digest = "sha224:d06ad617b0d2e3e0f8ed4e5d0c8c6a7ea0b5e1e4d9ebdf5a9fd3e4d5 ";
        let mut text = if self.dice.one_in(25) { digest.to_string() } else { String::new() };
        text.push_str(self.dice.pick(&["", "", "", "!", "! "]));
        text.push_str(self.dice.pick(&[
            "ALL",
            "/bin/ls",
            "/bin/ls -l",
            "/bin/ls \"\"",
            "/usr/bin/",
            "/bin/a -x\\=1 b\\,c",
            "/bin/b  x   y",
            "/bin/c \"q r\" s",
            "/bin/*",
            "/bin/d [a-z]* ?",
            "/bin/e\\ f g",
            "sudoedit /etc/hosts",
            "sudoedit /etc/*/x",
            "sudoedit",
            "sudoedit=!X",
            "/bin/k a=b =c d= e",
            "/bin/l =",
            "list",
            "SHELLS",
            "^/bin/[a-z]+$",
            "/bin/f ^-v( -w)?$",
            "^/bin/g$ ^x$",
            "/bin/h a\\:b",
            "/bin/i \\*",
            "ls",
            "/bin/j # c",
        ]));
        text
    }

    /// One byte more or less where it matters.
    fn mutated(&mut self, text: String) -> String {
        let mut bytes = text.into_bytes();
        let signs: Vec<usize> =
            (0..bytes.len()).filter(|at| b",=:!()\"\\# \n%+".contains(&bytes[*at])).collect();
        if signs.is_empty() {
            return String::from_utf8(bytes).unwrap();
        }
        let at = signs[self.dice.below(signs.len())];
        let new = self.dice.pick(&[",", "=", ":", "!", "(", ")", "\"", "\\", "#", " ", "\n", "x"]);
        let new = new.as_bytes()[0];
        match self.dice.below(3) {
            0 => drop(bytes.remove(at)),
            1 => bytes.insert(at, new),
            _ => bytes[at] = new,
        }
        String::from_utf8(bytes).unwrap()
    }
}
