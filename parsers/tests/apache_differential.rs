//! Asks the real `apache2 -t -D DUMP_CONFIG` about generated configurations: what it accepts, and the
//! tree that it reads, with files and lines; and `apache2 -L` about every directive. Nothing is started.
//!
//! More by hand: `WARDMOTE_APACHE_SEEDS=0..20000 cargo test -p parsers --test apache_differential`.

#![allow(clippy::unwrap_used)] // a test's helpers, too, should stop at the first surprise

mod differential;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use differential::{Agreement, Dice, all_agree, run, seeds, skip};
use parsers::config::apache::{Apache, Facts, names};
use parsers::config::directives::Directive;
use parsers::tree::MemoryTree;

const APACHE: &str = "/usr/sbin/apache2";
const MODULES: &str = "/usr/lib/apache2/modules";

/// Modules that every generated configuration loads; `ssl` and others are left out on purpose.
const LOADED: &[&str] =
    &["mpm_event", "info", "authz_core", "authz_host", "alias", "dir", "headers", "env", "mime"];

#[test]
fn generated_configurations_agree_with_apache() {
    let scratch = tempfile::Builder::new().prefix("ap").tempdir().unwrap();
    let version = match peer(scratch.path()) {
        Ok(version) => version,
        Err(missing) => return skip(&missing),
    };
    all_agree(seeds("WARDMOTE_APACHE_SEEDS", 400), scratch.path(), |seed, place| {
        let case = Generator { dice: Dice::new(seed), files: Vec::new() }.case(place);
        agree(place, &case, version)
    });
}

/// `apache2 -L` names every directive of the loaded modules and where it may stand.
#[test]
fn every_directive_stands_where_apache_says() {
    let scratch = tempfile::Builder::new().prefix("ap").tempdir().unwrap();
    if let Err(missing) = peer(scratch.path()) {
        return skip(&missing);
    }
    let mut text = preamble(scratch.path());
    let mut modules: Vec<String> = std::fs::read_dir(MODULES)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    // Some need what another has: in the order of names they find it.
    modules.sort();
    for name in modules {
        let Some(module) = name.strip_prefix("mod_").and_then(|name| name.strip_suffix(".so"))
        else {
            continue;
        };
        if !LOADED.contains(&module) && !module.starts_with("mpm_") {
            text.push_str(&format!("LoadModule {module}_module {MODULES}/{name}\n"));
        }
    }
    let main = scratch.path().join("apache2.conf");
    std::fs::write(&main, text).unwrap();
    let output = run(Command::new(APACHE).arg("-f").arg(&main).arg("-L"));
    let said = String::from_utf8(output.stdout).unwrap();
    let ours: BTreeMap<String, Vec<&str>> =
        names().fold(BTreeMap::new(), |mut all, (name, contexts, ..)| {
            all.entry(name.to_ascii_lowercase()).or_insert_with(Vec::new).push(contexts);
            all
        });
    let mut compared = 0;
    let mut differences = Vec::new();
    let mut name = String::new();
    for line in said.lines() {
        if !line.starts_with('\t') {
            // Descriptions may have lines of their own.
            if let (Some((first, _)), true) = (line.split_once(" ("), line.ends_with(".c)")) {
                name = first.to_ascii_lowercase();
            }
            continue;
        }
        let Some(place) = line.trim().strip_prefix("Allowed in *.conf ") else { continue };
        if NOT_KNOWN.contains(&name.as_str()) {
            continue;
        }
        let (outside, inside) = match place {
            _ if place.starts_with("only outside") => (true, false),
            _ if place.starts_with("only inside") => (false, true),
            _ => (true, true),
        };
        let fits = ours.get(&name).is_some_and(|all| {
            all.iter().any(|contexts| {
                let contexts = contexts.split('!').next().unwrap();
                contexts.contains('s') == outside && contexts.contains('d') == inside
            })
        });
        compared += 1;
        if !fits {
            differences.push(format!("{name}: {place}, ours {:?}", ours.get(&name)));
        }
    }
    assert!(differences.is_empty(), "{differences:#?}");
    assert!(compared > 650, "{compared}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Of modules for developers, and of mod_macro, whose directives write others.
const NOT_KNOWN: &[&str] = &[
    "casefilter",
    "casefilterin",
    "<macro",
    "use",
    "undefmacro",
    "macroignoreemptyargs",
    "macroignorebadnesting",
];

fn preamble(place: &Path) -> String {
    let place = place.display();
    let mut text = format!(
        "ServerRoot {place}\nServerName x\nErrorLog {place}/e\nPidFile {place}/p\n\
         Mutex file:{place} default\n"
    );
    for module in LOADED {
        text.push_str(&format!("LoadModule {module}_module {MODULES}/mod_{module}.so\n"));
    }
    text
}

fn peer(scratch: &Path) -> Result<[u32; 3], String> {
    let said =
        Command::new(APACHE).arg("-v").output().map_err(|_| "no apache2 here".to_string())?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let version = said.split("Apache/").nth(1).and_then(|rest| rest.split(' ').next());
    let parts: Vec<u32> =
        version.unwrap_or_default().split('.').filter_map(|part| part.parse().ok()).collect();
    let version: [u32; 3] = parts.try_into().map_err(|_| format!("apache2 says {said}"))?;
    if version[..2] != [2, 4] {
        return Err(format!("apache2 is not 2.4: {said}"));
    }
    let case = vec![("apache2.conf".to_string(), preamble(scratch))];
    ask(scratch, &case).map(|_| version).map_err(|why| format!("apache2 does not run here: {why}"))
}

/// A directive as the dump shows it: file, line, name, arguments.
type Line = (String, u32, String, String);

fn ask(place: &Path, files: &[(String, String)]) -> Result<Vec<Line>, String> {
    for (name, text) in files {
        let path = place.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let mut command = Command::new(APACHE);
    command.arg("-f").arg(place.join("apache2.conf")).args([
        "-t",
        "-D",
        "DUMP_CONFIG",
        "-D",
        "GIVEN",
    ]);
    let output = run(command.env_clear());
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let (mut file, mut number) = (String::new(), 0);
    let mut lines = Vec::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let line = line.trim_start();
        if let Some(name) = line.strip_prefix("# In file: ") {
            file = name.to_string();
        } else if let Some(found) = line.strip_prefix("# ").and_then(|l| l.trim().strip_suffix(':'))
        {
            number = found.parse().unwrap();
        } else if !line.starts_with("</") && !line.is_empty() {
            let (name, arguments) = line.split_once(' ').unwrap_or((line, ""));
            lines.push((file.clone(), number, name.to_string(), arguments.trim().to_string()));
        }
    }
    Ok(lines)
}

/// Our tree in the form of the dump; arguments are compared as words.
fn flat(directives: &[Directive], out: &mut Vec<Line>) {
    const AT_ONCE: [&str; 4] = ["LoadModule", "Define", "UnDefine", "ServerRoot"];
    for directive in directives.iter().filter(|d| !AT_ONCE.contains(&d.name.as_str())) {
        let sign = if directive.block.is_some() { "<" } else { "" };
        let words: Vec<String> =
            directive.arguments.iter().map(|argument| argument.value.clone()).collect();
        out.push((
            directive.place.file.to_string(),
            directive.place.line,
            format!("{sign}{}", directive.name),
            words.join("\u{1f}"),
        ));
        flat(directive.children(), out);
    }
}

/// Splits the arguments of the dump: quotes hold words together, `\` quotes a quote or itself.
fn split(name: &str, arguments: &str) -> String {
    let arguments = match name.starts_with('<') {
        true => arguments.rsplit_once('>').map_or(arguments, |(inner, _)| inner),
        false => arguments,
    };
    let mut words: Vec<String> = Vec::new();
    let mut rest = arguments.trim_start();
    while let Some(first) = rest.chars().next() {
        let mut word = String::new();
        let quote = matches!(first, '"' | '\'').then_some(first);
        let mut characters = rest.char_indices().skip(usize::from(quote.is_some())).peekable();
        let mut end = rest.len();
        while let Some((at, character)) = characters.next() {
            let next = characters.peek().map(|(_, next)| *next);
            if character == '\\' && (next == Some('\\') || (quote.is_some() && next == quote)) {
                word.extend(next);
                characters.next();
            } else if quote.map_or(character.is_ascii_whitespace(), |quote| character == quote) {
                end = at + 1;
                break;
            } else {
                word.push(character);
            }
        }
        words.push(word);
        rest = rest[end..].trim_start();
    }
    words.join("\u{1f}")
}

fn agree(place: &Path, files: &[(String, String)], version: [u32; 3]) -> Result<Agreement, String> {
    let theirs = ask(place, files);
    let mut tree = MemoryTree::new();
    for (name, text) in files {
        tree = tree.file(&format!("{}/{name}", place.display()), text);
    }
    let main = format!("{}/apache2.conf", place.display());
    let defined = ["GIVEN", "DUMP_CONFIG"].map(str::to_string).into();
    let facts = Facts { version, defined, ..Facts::default() };
    let read = Apache::read(&tree, &main, &facts).unwrap();
    let accepts = read.problems.is_empty() && read.unread.is_empty() && read.unknown.is_empty();
    let shown = || {
        let texts = files.iter().map(|(name, text)| format!("--- {name}\n{text}\n"));
        let problems: Vec<String> = read.problems.kept.iter().map(ToString::to_string).collect();
        format!("ours {problems:?}\n{}", texts.collect::<String>())
    };
    match (theirs, accepts) {
        (Err(_), false) => Ok(Agreement::Refused),
        (Ok(_), false) => Err(format!("only we refuse: {}", shown())),
        (Err(why), true) => match KNOWN.iter().find(|(sign, _)| why.contains(sign)) {
            Some((_, reason)) => Ok(Agreement::Known(reason)),
            None => Err(format!("only apache refuses: {why}\n{}", shown())),
        },
        (Ok(theirs), true) => {
            let mut ours = Vec::new();
            flat(&read.directives, &mut ours);
            // The dump counts a continued line by its last line.
            let has_lines = !files.iter().any(|(_, text)| text.contains("\\\n"));
            let theirs: Vec<Line> = theirs
                .into_iter()
                .map(|(file, line, name, arguments)| {
                    let words = split(&name, &arguments);
                    (file, if has_lines { line } else { 0 }, name, words)
                })
                .collect();
            if !has_lines {
                ours.iter_mut().for_each(|line| line.1 = 0);
            }
            match ours.iter().zip(&theirs).find(|(ours, theirs)| ours != theirs) {
                Some((ours, theirs)) => {
                    Err(format!("ours {ours:?}, apache {theirs:?}\n{}", shown()))
                }
                None if ours.len() != theirs.len() => {
                    Err(format!("ours {}, apache {} lines\n{}", ours.len(), theirs.len(), shown()))
                }
                None => Ok(Agreement::Accepted),
            }
        }
    }
}

/// What apache2 refuses and we do not, by its words, and why.
const KNOWN: &[(&str, &str)] = &[
    ("Cannot load", "modules are not loaded from their files"),
    ("Can't locate API module", "modules are not loaded from their files"),
    ("URL to ErrorDocument", "values are the modules' business"),
    ("Illegal option", "values are the modules' business"),
    ("Illegal override", "values are the modules' business"),
    ("Invalid address or port", "values are the modules' business"),
    ("Port was specified", "values are the modules' business"),
    ("Unknown Authz provider", "values are the modules' business"),
    ("unknown argument", "values are the modules' business"),
    ("first argument must be", "values are the modules' business"),
    ("must be numeric", "values are the modules' business"),
    ("Invalid directory indexing", "values are the modules' business"),
    ("path is invalid", "values are the modules' business"),
    ("Unknown parameter", "values are the modules' business"),
    ("Argument for 'Require all'", "values are the modules' business"),
    ("is not a directory", "values are the modules' business"),
    ("parameter must be", "values are the modules' business"),
    ("cannot be opened", "logs are not opened"),
];

/// Makes one configuration.
struct Generator {
    dice: Dice,
    files: Vec<(String, String)>,
}

const SERVER: &[&str] = &[
    "ServerAdmin a@b",
    "serveradmin \"a b\"",
    "Timeout 60",
    "KeepAlive On",
    "HostnameLookups Off",
    "SetEnv A \"say \\\"b\\\" \\\\ c\"",
    "SetEnv B 'it\\'s'",
    "SetEnv C x\"y",
    "SetEnv D \"open",
    "Alias /a/ /b/",
    "ErrorDocument 404 /x",
    "Header set X-A \"b c\"",
    "UseCanonicalName\toff",
    "AddType text/x .x .y",
    "SetEnv V ${VALUE}/x",
    "SetEnv W \"${VALUE} ${NONE}\"",
    "SetEnv P 100%$x$",
    "ServerSignature On",
    "DocumentRoot /",
];

const INSIDE: &[&str] = &[
    "Options None",
    "Options -Indexes +FollowSymLinks",
    "AllowOverride None",
    "Require all granted",
    "SetEnv A b",
    "DirectoryIndex a.html b.html",
    "Header unset X",
    "ForceType text/plain",
];

const WRONG: &[&str] = &[
    "Listen",
    "Timeout",
    "KeepAlive maybe",
    "SSLEngine on",
    "Nonsense on",
    "AddType text/x",
    "ServerAdmin a b",
    "Require all granted",
    "DocumentRoot / /",
    "</Directory>",
    "<Directory>",
    "<Directory /x",
    "Include none.conf",
    "Include none/*.conf",
    "Define a:b",
    "<IfModule>\n</IfModule>",
    "<IfVersion 2.x>\n</IfVersion>",
    "Header",
    "LoadModule a",
    "<Else x>\n</Else>",
    "Error \"no\"",
];

impl Generator {
    fn case(mut self, place: &Path) -> Vec<(String, String)> {
        let mut text = preamble(place);
        text.push_str("Define VALUE \"some value\"\n# generated \\\n continued comment\n");
        for _ in 0..2 + self.dice.below(6) {
            self.item(&mut text, 0, false);
        }
        if self.dice.one_in(3) {
            for _ in 0..=self.dice.below(2) {
                text.push_str("<VirtualHost *:80>\n");
                for _ in 0..self.dice.below(4) {
                    self.item(&mut text, 1, false);
                }
                text.push_str("</VirtualHost>\n");
            }
        }
        if self.dice.one_in(5) {
            text = self.mutated(text);
        }
        self.files.insert(0, ("apache2.conf".into(), text));
        self.files
    }

    fn item(&mut self, text: &mut String, depth: usize, inside: bool) {
        match self.dice.below(20) {
            0..=2 if depth < 4 => self.section(text, depth, inside),
            3..=5 if depth < 4 => self.condition(text, depth, inside),
            6 => self.include(text, depth, inside),
            7 if self.dice.one_in(6) => {
                let wrong = self.dice.pick(WRONG);
                text.push_str(&format!("{wrong}\n"));
            }
            _ => {
                let mut line = self.dice.pick(if inside { INSIDE } else { SERVER }).to_string();
                if self.dice.one_in(8) {
                    line = line.replacen(' ', " \\\n  ", 1);
                }
                let before = self.dice.pick(&["", "  ", "\t", "# x\n", "\n"]);
                let after = self.dice.pick(&["\n", "  \n", "\r\n", "\n\n"]);
                text.push_str(&format!("{before}{line}{after}"));
            }
        }
    }

    fn section(&mut self, text: &mut String, depth: usize, inside: bool) {
        let kinds: &[(&str, &str)] = match inside {
            true => {
                &[("Files", "x*"), ("FilesMatch", "\"a|b\""), ("RequireAny", ""), ("Limit", "GET")]
            }
            false => &[
                ("Directory", "/srv"),
                ("Directory", "\"/a b\""),
                ("Location", "/x"),
                ("location", "/y"),
                ("Files", "x*"),
                ("DirectoryMatch", "^/z"),
            ],
        };
        let (name, argument) = kinds[self.dice.below(kinds.len())];
        let gap = if argument.is_empty() { "" } else { " " };
        text.push_str(&format!("<{name}{gap}{argument}>\n"));
        if matches!(name, "RequireAny") {
            text.push_str("Require all granted\n");
        } else if name == "Limit" {
            text.push_str("Require all denied\n");
        } else {
            for _ in 0..self.dice.below(4) {
                self.item(text, depth + 1, name != "Files" || !inside);
            }
        }
        let closing = match self.dice.below(40) {
            0 => "Other".to_string(),
            1..=5 => name.to_uppercase(),
            _ => name.to_string(),
        };
        text.push_str(&format!("</{closing}>\n"));
    }

    fn condition(&mut self, text: &mut String, depth: usize, inside: bool) {
        let condition = self.dice.pick(&[
            "IfModule mod_alias.c",
            "IfModule !mod_alias.c",
            "IfModule alias_module",
            "IfModule mod_ssl.c",
            "IfModule \"!core.c\"",
            "IfModule event.c",
            "IfDefine GIVEN",
            "IfDefine !GIVEN",
            "IfDefine VALUE",
            "IfDefine OTHER",
            "IfFile /etc/passwd-none",
            "IfFile apache2.conf",
            "IfVersion 2.4",
            "IfVersion >= 2.4.6",
            "IfVersion < 2.4",
            "IfVersion !> 3",
            "IfVersion ~ ^2\\.[46]",
            "IfVersion = /^1/",
            "IfDirective Alias",
            "IfDirective !SSLEngine",
            "IfSection Location",
        ]);
        let name = condition.split(' ').next().unwrap();
        text.push_str(&format!("<{condition}>\n"));
        for _ in 0..self.dice.below(4) {
            self.item(text, depth + 1, inside);
        }
        let closing = if self.dice.one_in(60) { "Directory" } else { name };
        text.push_str(&format!("</{closing}>\n"));
    }

    fn include(&mut self, text: &mut String, depth: usize, inside: bool) {
        let name = format!("d{}/f{depth}.conf", self.files.len());
        let mut inner = String::new();
        self.item(&mut inner, depth + 1, inside);
        let (directory, _) = name.split_once('/').unwrap();
        let line = match self.dice.below(6) {
            0 => format!("Include {directory}/*.conf"),
            1 => format!("Include {directory}"),
            2 => "IncludeOptional none/*.conf".to_string(),
            3 => "IncludeOptional none.conf".to_string(),
            4 => format!(
                "IncludeOptional d[0-9]/f?.conf{}",
                if self.dice.one_in(3) { "x" } else { "" }
            ),
            _ => format!("Include \"{name}\""),
        };
        text.push_str(&format!("{line}\n"));
        self.files.push((name, inner));
    }

    /// One byte more or less where it matters.
    fn mutated(&mut self, text: String) -> String {
        let mut bytes = text.into_bytes();
        let start = bytes.windows(9).position(|w| w == b"# generat").unwrap();
        let signs: Vec<usize> =
            (start..bytes.len()).filter(|at| b"<>/\"'\\$ \n{}".contains(&bytes[*at])).collect();
        let at = signs[self.dice.below(signs.len())];
        let new = self.dice.pick(&["<", ">", "\"", "'", "\\", "$", " ", "\n", "#"]).as_bytes()[0];
        match self.dice.below(3) {
            0 => drop(bytes.remove(at)),
            1 => bytes.insert(at, new),
            _ => bytes[at] = new,
        }
        String::from_utf8(bytes).unwrap()
    }
}
