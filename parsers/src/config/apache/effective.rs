//! What holds for one request, in httpd's order of merging (docs/2.4/sections.html).
//!
//! First the server's own settings, then `<Directory>` from the shortest path to the longest, then
//! `<DirectoryMatch>`, `<Files>`, `<Location>`: each kind in the order of the files, those of the virtual
//! host behind those of the main server. `<If>` is not evaluated: its sections are told as problems.

use std::path::Path;

use super::Apache;
use crate::config::directives::Directive;
use crate::config::glob;
use crate::config::settings::{Rule, Settings};
use crate::place::Placed;

/// For what the configuration is asked.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The name that the client asks for; chooses the virtual host.
    pub host: Option<String>,
    /// The path of the URL.
    pub path: Option<String>,
    /// The file that it comes to.
    pub file: Option<String>,
}

/// How directives of one name go together.
enum Sum {
    /// The last one holds.
    Last,
    /// Values of one section add up; a later section replaces them.
    Section,
    /// All add up.
    All,
    /// As `Last`, for each first argument.
    Keyed,
    /// `Options`: words with signs change what held before.
    Options,
}

fn sum(name: &str) -> Sum {
    match name.to_ascii_lowercase().as_str() {
        "require" | "allow" | "deny" | "rewriterule" | "rewritecond" | "indexignore" => {
            Sum::Section
        }
        "directoryindex" | "proxypassmatch" => Sum::Section,
        "errordocument" | "setenv" | "addtype" | "addhandler" | "addencoding" | "proxypass"
        | "alias" | "scriptalias" | "redirect" | "setoutputfilter" | "addoutputfilter" => {
            Sum::Keyed
        }
        "header" | "requestheader" | "setenvif" | "browsermatch" | "customlog" | "listen"
        | "loadmodule" | "serveralias" | "unsetenv" | "passenv" | "define" | "undefine"
        | "aliasmatch" | "redirectmatch" | "logformat" => Sum::All,
        "options" => Sum::Options,
        _ => Sum::Last,
    }
}

impl Apache {
    /// What holds for a request. Without a path or file only the server's own settings.
    pub fn effective(&self, request: &Request) -> Settings {
        let mut all = Merge { settings: Settings::default(), section: 0 };
        all.settings.files.clone_from(&self.files);
        let host = request.host.as_deref().and_then(|name| self.virtual_host(name));
        let servers: Vec<&[Directive]> =
            std::iter::once(&self.directives[..]).chain(host.map(Directive::children)).collect();
        for server in &servers {
            all.apply(server);
        }
        for step in [Step::Directory, Step::DirectoryMatch, Step::Files, Step::Location] {
            let mut sections = Vec::new();
            for server in &servers {
                matching(step, server, request, &mut sections);
            }
            if step == Step::Directory {
                sections.sort_by_key(|section| depth(section));
            }
            for section in sections {
                all.apply(section.children());
            }
        }
        for server in servers {
            all.conditional(server);
        }
        all.settings
    }

    /// The first virtual host with a name; patterns of `ServerAlias` count.
    fn virtual_host(&self, name: &str) -> Option<&Directive> {
        let name = name.to_ascii_lowercase();
        let hosts = || self.directives.iter().filter(|d| d.name == "VirtualHost");
        let has = |host: &&Directive| {
            let names = host.named("ServerName").chain(host.named("ServerAlias"));
            names.flat_map(|names| &names.arguments).any(|pattern| {
                let pattern = pattern.value.to_ascii_lowercase();
                let pattern = pattern.split_once(':').map_or(&*pattern, |(name, _)| name);
                glob::matches(pattern.as_bytes(), name.as_bytes())
            })
        };
        hosts().find(has).or_else(|| hosts().next())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Directory,
    DirectoryMatch,
    Files,
    Location,
}

/// The sections of a step that fit a request.
fn matching<'a>(
    step: Step,
    server: &'a [Directive],
    request: &Request,
    found: &mut Vec<&'a Directive>,
) {
    let file = request.file.as_deref().unwrap_or_default();
    let name = file.rsplit('/').next().unwrap_or_default();
    let path = request.path.as_deref().unwrap_or_default();
    for section in server.iter().filter(|directive| directive.block.is_some()) {
        let is_regex = section.argument(0) == Some("~") || section.name.ends_with("Match");
        let pattern = match section.argument(0) {
            Some("~") => section.argument(1),
            other => other,
        };
        let Some(pattern) = pattern else { continue };
        let kind = section.name.trim_end_matches("Match");
        let fits = match (step, kind, is_regex) {
            (Step::Directory, "Directory", false) => !file.is_empty() && below(pattern, file),
            (Step::DirectoryMatch, "Directory", true) => {
                Path::new(file).ancestors().skip(1).any(|up| {
                    let up = up.to_string_lossy();
                    regex(pattern, &up) || regex(pattern, &format!("{up}/"))
                })
            }
            (Step::Files, "Files", false) => {
                !name.is_empty() && glob::matches(pattern.as_bytes(), name.as_bytes())
            }
            (Step::Files, "Files", true) => !name.is_empty() && regex(pattern, name),
            (Step::Files, "Directory", false) if !file.is_empty() && below(pattern, file) => {
                matching(step, section.children(), request, found);
                false
            }
            (Step::Location, "Location", false) => !path.is_empty() && location(pattern, path),
            (Step::Location, "Location", true) => !path.is_empty() && regex(pattern, path),
            _ => false,
        };
        if fits {
            found.push(section);
        }
    }
}

/// How many directories a section's path has; `/` has none.
fn depth(section: &Directive) -> usize {
    let path = section.argument(0).unwrap_or_default();
    path.split('/').filter(|part| !part.is_empty()).count()
}

/// Whether a directory (or a pattern, part by part) holds a file.
fn below(pattern: &str, file: &str) -> bool {
    let pattern = pattern.trim_end_matches('/');
    let parts = pattern.split('/').count();
    let start: Vec<&str> = file.split('/').collect();
    // The file itself is no directory.
    start.len() > parts && glob::parts(pattern, &start[..parts].join("/"), '/')
}

/// `/a` holds `/a` and `/a/b`, not `/ab`; a pattern has to fit as a whole.
fn location(pattern: &str, path: &str) -> bool {
    if pattern.contains(['*', '?', '[']) {
        return glob::parts(pattern, path, '/');
    }
    match path.strip_prefix(pattern) {
        Some(rest) => rest.is_empty() || rest.starts_with('/') || pattern.ends_with('/'),
        None => false,
    }
}

fn regex(pattern: &str, text: &str) -> bool {
    let regex = regex::RegexBuilder::new(pattern).size_limit(1 << 20).build();
    regex.is_ok_and(|regex| regex.is_match(text))
}

struct Merge {
    settings: Settings,
    /// Counts sections: values of the same one add up.
    section: usize,
}

impl Merge {
    /// Takes the directives of one section over what held so far.
    fn apply(&mut self, directives: &[Directive]) {
        self.section += 1;
        let mut begun: Vec<&str> = Vec::new();
        for directive in directives.iter().filter(|directive| directive.block.is_none()) {
            let name = directive.name.as_str();
            let words: Vec<&str> = directive.arguments.iter().map(|a| a.value.as_str()).collect();
            let place = directive.place.clone();
            let value = Placed { value: words.join(" "), place, text: String::new() };
            match sum(name) {
                Sum::Last => self.settings.set(name, value),
                Sum::All => self.settings.add(name, value),
                Sum::Keyed => {
                    let key = format!("{name} {}", words.first().copied().unwrap_or_default());
                    self.settings.set(&key, value);
                }
                Sum::Section => {
                    if !begun.contains(&name) {
                        begun.push(name);
                        self.settings.entry(name).reset(Rule::MoreSpecific);
                    }
                    self.settings.add(name, value);
                }
                Sum::Options => self.options(&words, value),
            }
        }
    }

    fn options(&mut self, words: &[&str], mut value: Placed<String>) {
        let is_change = words.iter().all(|word| word.starts_with(['+', '-']));
        if is_change {
            let before = self.settings.value("Options").unwrap_or("FollowSymLinks").to_string();
            let mut held: Vec<&str> = before.split(' ').filter(|word| !word.is_empty()).collect();
            for word in words {
                let name = &word[1..];
                held.retain(|held| !held.eq_ignore_ascii_case(name) && *held != "None");
                if word.starts_with('+') {
                    held.push(name);
                }
            }
            value.value = if held.is_empty() { "None".into() } else { held.join(" ") };
        }
        self.settings.set("Options", value);
    }

    /// Tells sections whose conditions only a request decides.
    fn conditional(&mut self, directives: &[Directive]) {
        for directive in directives {
            if matches!(directive.name.as_str(), "If" | "ElseIf" | "Else") {
                let message = "whether this section holds is decided at each request";
                self.settings.problems.push(directive.place.clone(), message);
            } else if directive.name != "VirtualHost" {
                self.conditional(directive.children());
            }
        }
    }
}
