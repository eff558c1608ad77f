//! From lines to the tree of directives: sections, conditions, defines, and what httpd would refuse.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::known::{BUILT_IN, Known, find, is_known_module, letter};
use super::lines::{Logical, logical, word, words};
use super::{Apache, BYTES_MAX, Facts, NOTES_MAX};
use crate::config::directives::{DEPTH_MAX, DIRECTIVES_MAX, Directive};
use crate::config::expand::{ENTRIES_MAX, Expander};
use crate::place::{Place, Placed, Problem};
use crate::tree::Tree;

/// Most words of one directive that are kept.
const WORDS_MAX: usize = 10_000;

/// Conditions that are decided while reading.
const CONDITIONS: [&str; 6] =
    ["<ifmodule", "<ifdefine", "<iffile", "<ifdirective", "<ifsection", "<ifversion"];

/// A directive that is looked at again when every module is known.
struct Pending {
    place: Place,
    name: String,
    /// Each module that has it, and what it would say.
    said: Vec<(&'static str, Option<&'static str>)>,
}

pub(super) struct Reader<'a> {
    pub tree: &'a dyn Tree,
    pub facts: &'a Facts,
    pub expander: Expander<'a>,
    pub read: Apache,
    pub open: Vec<String>,
    pub bytes_left: usize,
    pub names_left: usize,
    pub server_root: String,
    pub defined: BTreeSet<String>,
    pub loaded: BTreeSet<String>,
    variables: BTreeMap<String, String>,
    pending: Vec<Pending>,
    /// The sections around, by their letter; `?` for one of an unknown module.
    around: Vec<char>,
    depth: usize,
    kept: usize,
}

type Lines = std::vec::IntoIter<Logical>;

impl<'a> Reader<'a> {
    pub fn new(tree: &'a dyn Tree, facts: &'a Facts) -> Self {
        let built_in = BUILT_IN.iter().map(|name| (*name).to_string());
        Self {
            tree,
            facts,
            expander: Expander::new(tree),
            read: Apache::default(),
            open: Vec::new(),
            bytes_left: BYTES_MAX,
            names_left: ENTRIES_MAX,
            server_root: facts.server_root.clone(),
            defined: facts.defined.clone(),
            loaded: facts.modules.iter().cloned().chain(built_in).collect(),
            variables: facts.variables.clone(),
            pending: Vec::new(),
            around: Vec::new(),
            depth: 0,
            kept: 0,
        }
    }

    pub fn run(mut self, path: &str, bytes: &[u8]) -> Apache {
        let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
        let is_part = !["loadmodule", "include"].iter().any(|word| text.contains(word));
        if is_part && self.facts.modules.is_empty() {
            let all = super::known::names().map(|(.., module)| module.to_string());
            self.loaded.extend(all);
        }
        let mut directives = Vec::new();
        self.file(path, bytes, &mut directives);
        self.read.directives = directives;
        self.settle();
        self.read.unread.append(&mut self.expander.unread);
        self.read
    }

    pub fn wrong(&mut self, place: Place, message: impl Into<String>) {
        self.read.problems.push(place, message);
    }

    fn note(&mut self, place: Place, message: String) {
        let message = match self.read.notes.len() {
            count if count + 1 < NOTES_MAX => message,
            NOTES_MAX.. => return,
            _ => format!("more than {NOTES_MAX} remarks; the rest is not kept"),
        };
        self.read.notes.push(Problem { place, message });
    }

    pub fn file(&mut self, path: &str, bytes: &[u8], into: &mut Vec<Directive>) {
        let file: Arc<str> = path.into();
        self.bytes_left -= bytes.len().min(self.bytes_left);
        self.read.files.push(Arc::clone(&file));
        self.open.push(path.to_string());
        let mut lines = logical(&file, bytes, &mut self.read.problems).into_iter();
        // A file begins anew: its sections do not count those around the `Include`.
        self.build(&file, &mut lines, None, into);
        self.open.pop();
    }

    /// Reads lines up to the end of the file, or of the condition `until`.
    fn build(
        &mut self,
        file: &Arc<str>,
        lines: &mut Lines,
        until: Option<(&str, &Place)>,
        into: &mut Vec<Directive>,
    ) {
        let mut sections: Vec<Directive> = Vec::new();
        let closing = until.map(|(name, _)| format!("</{}>", &name[1..]));
        let mut is_closed = false;
        while let Some(line) = lines.next() {
            let ends = closing.as_ref().is_some_and(|end| line.text.eq_ignore_ascii_case(end));
            if ends && sections.is_empty() {
                is_closed = true;
                break;
            }
            if line.text.starts_with('#') {
                continue;
            }
            let place = line.place(file, 0);
            let mut unset = Vec::new();
            let resolved = line.resolved(&self.variables, |_, name| unset.push(name.to_string()));
            for name in unset.into_iter().filter(|name| !name.contains(':')).take(NOTES_MAX) {
                self.note(place.clone(), format!("the variable ${{{name}}} has no value"));
            }
            match resolved {
                Some(line) => self.line(file, &line, lines, &mut sections, into),
                None => self.wrong(place, "the line is too long with its variables put in"),
            }
        }
        if let (Some((name, place)), false) = (until, is_closed) {
            let message =
                format!("`{name}>` is never closed; httpd reads on to the end of the file");
            self.note(place.clone(), message);
        }
        while let Some(section) = sections.pop() {
            if until.is_none() {
                self.wrong(section.place.clone(), format!("<{}> was not closed", section.name));
            }
            self.leave(section, &mut sections, into);
        }
    }

    fn line(
        &mut self,
        file: &Arc<str>,
        line: &Logical,
        lines: &mut Lines,
        sections: &mut Vec<Directive>,
        into: &mut Vec<Directive>,
    ) {
        let (first, rest) = word(&line.text, 0);
        let place = line.place(file, first.at);
        let mut name = first.text;
        if name.is_empty() {
            return;
        }
        let mut arguments = &line.text[rest..];
        if name.as_bytes().get(1) != Some(&b'/') {
            if name.ends_with('>') {
                name.pop();
            }
            if name.starts_with('<') && arguments.is_empty() {
                arguments = ">";
            }
        }
        let lower = name.to_ascii_lowercase();
        if CONDITIONS.contains(&lower.as_str()) {
            return self.condition(file, &lower, arguments, place, lines, sections, into);
        }
        if name.starts_with("</") {
            return self.close(&name, place, sections, into);
        }
        let is_section = name.starts_with('<');
        let known = find(&lower);
        let directive = self.directive(file, line, &name, arguments, rest);
        if is_section && self.depth >= DEPTH_MAX {
            let place = directive.place;
            self.wrong(place.clone(), "sections are nested too deeply; this one is skipped");
            return self.soak(file, &lower, &place, lines);
        }
        if is_section {
            return self.enter(directive, &lower, sections);
        }
        let obeyed = known.iter().any(Known::is_obeyed_at_once);
        let path = directive.argument(0).unwrap_or_default().to_string();
        let place = directive.place.clone();
        let single = directive.arguments.len() == 1 && !path.is_empty();
        if obeyed {
            self.obey(&lower, &directive);
        }
        let list = match sections.last_mut() {
            Some(section) => section.block.get_or_insert_default(),
            None => &mut *into,
        };
        let is_include = matches!(lower.as_str(), "include" | "includeoptional");
        if !is_include {
            return self.keep(directive, list);
        }
        if single {
            self.include(&path, lower == "includeoptional", &place, list);
        }
    }

    /// A directive or the opening of a section, with its words; faults of its line are told.
    fn directive(
        &mut self,
        file: &Arc<str>,
        line: &Logical,
        name: &str,
        arguments: &str,
        rest: usize,
    ) -> Directive {
        let (lower, place) = (name.to_ascii_lowercase(), line.place(file, 0));
        let is_section = name.starts_with('<');
        let cut = if is_section { arguments.rfind('>') } else { Some(arguments.len()) };
        let found = words(&arguments[..cut.unwrap_or(arguments.len())], 0, WORDS_MAX + 1);
        if found.len() > WORDS_MAX {
            self.wrong(place.clone(), format!("more than {WORDS_MAX} words"));
        }
        let values = found.into_iter().take(WORDS_MAX).map(|word| Placed {
            value: word.text,
            place: line.place(file, rest + word.at),
            text: String::new(),
        });
        let known = find(&lower);
        let shown = known.first().map_or(name, |known| known.name);
        let directive = Directive {
            name: shown.trim_start_matches('<').to_string(),
            place: place.clone(),
            arguments: values.collect(),
            block: is_section.then(Vec::new),
        };
        if is_section && cut.is_none() {
            self.wrong(place, format!("`{name}>` lacks its closing `>`"));
        } else if is_section && let Some(message) = section_fault(&lower, &directive) {
            self.wrong(place, message);
        }
        self.pend(name, &directive, known);
        directive
    }

    #[expect(clippy::too_many_arguments, reason = "the state of one reading, not an interface")]
    fn condition(
        &mut self,
        file: &Arc<str>,
        name: &str,
        arguments: &str,
        place: Place,
        lines: &mut Lines,
        sections: &mut [Directive],
        into: &mut Vec<Directive>,
    ) {
        let holds = match self.holds(name, arguments) {
            Ok(holds) => holds,
            Err(message) => {
                self.wrong(place.clone(), message);
                false
            }
        };
        let is_too_deep = self.depth >= DEPTH_MAX;
        if is_too_deep {
            self.wrong(place.clone(), "sections are nested too deeply; this one is skipped");
        }
        if !holds || is_too_deep {
            if self.read.skipped.len() < NOTES_MAX {
                let value = format!("{name} {arguments}");
                self.read.skipped.push(Placed { value, place: place.clone(), text: String::new() });
            } else {
                self.note(place.clone(), "skipped, and past those that are listed".into());
            }
            return self.soak(file, name, &place, lines);
        }
        let list = match sections.last_mut() {
            Some(section) => section.block.get_or_insert_default(),
            None => into,
        };
        self.depth += 1;
        self.build(file, lines, Some((name, &place)), list);
        self.depth -= 1;
    }

    /// Skips to the end of a section; only the nesting of sections is looked at.
    fn soak(&mut self, file: &Arc<str>, name: &str, from: &Place, lines: &mut Lines) {
        let mut open = vec![name.to_string()];
        for line in lines {
            let (first, rest) = word(&line.text, 0);
            let mut name = first.text;
            if name.starts_with("</") {
                name.pop();
                let expected = open.pop().unwrap_or_default();
                if !name[2..].eq_ignore_ascii_case(&expected[1..]) {
                    let message = format!("expected </{}> but saw {name}>", &expected[1..]);
                    self.wrong(line.place(file, 0), message);
                }
                if open.is_empty() {
                    return;
                }
            } else if name.starts_with('<') {
                if rest >= line.text.len() && name.ends_with('>') {
                    name.pop();
                }
                open.push(name);
            }
        }
        self.wrong(from.clone(), format!("`{name}>` is not closed before the end of the file"));
    }

    fn enter(&mut self, section: Directive, lower: &str, sections: &mut Vec<Directive>) {
        let name = lower.trim_start_matches('<');
        let is_known = !find(lower).is_empty();
        // Sections without a letter of their own leave the context as it is.
        self.around.push(letter(name).unwrap_or(if is_known { ' ' } else { '?' }));
        self.depth += 1;
        sections.push(section);
    }

    fn leave(&mut self, section: Directive, sections: &mut [Directive], into: &mut Vec<Directive>) {
        self.around.pop();
        self.depth -= 1;
        let list = match sections.last_mut() {
            Some(outer) => outer.block.get_or_insert_default(),
            None => into,
        };
        self.keep(section, list);
    }

    fn close(
        &mut self,
        name: &str,
        place: Place,
        sections: &mut Vec<Directive>,
        into: &mut Vec<Directive>,
    ) {
        let Some(inner) = name[2..].strip_suffix('>') else {
            return self.wrong(place, format!("`{name}` lacks its closing `>`"));
        };
        let at = sections.iter().rposition(|open| open.name.eq_ignore_ascii_case(inner));
        match (at, sections.last()) {
            (_, None) => self.wrong(place, format!("{name} without a section to close")),
            (Some(at), _) if at + 1 == sections.len() => {}
            (_, Some(open)) => {
                let message = format!("expected </{}> but saw {name}", open.name);
                self.wrong(place, message);
            }
        }
        let Some(at) = at else { return };
        while sections.len() > at {
            let Some(section) = sections.pop() else { return };
            self.leave(section, sections, into);
        }
    }

    fn keep(&mut self, directive: Directive, into: &mut Vec<Directive>) {
        let before = self.kept;
        self.kept += 1 + directive.arguments.len() / 8;
        if self.kept <= DIRECTIVES_MAX {
            into.push(directive);
        } else if before <= DIRECTIVES_MAX {
            let message = format!("more than {DIRECTIVES_MAX} directives; the rest is not kept");
            self.wrong(directive.place, message);
        }
    }

    /// What changes how the rest is read.
    fn obey(&mut self, lower: &str, directive: &Directive) {
        let first = directive.argument(0).unwrap_or_default();
        match (lower, directive.arguments.len()) {
            ("define" | "undefine", 1 | 2) if first.contains(':') => {
                self.wrong(directive.place.clone(), "the name of a variable has no `:`");
            }
            ("define", 1 | 2) => {
                self.defined.insert(first.to_string());
                if let Some(value) = directive.argument(1).filter(|value| !value.is_empty()) {
                    self.variables.insert(first.to_string(), value.to_string());
                }
            }
            ("undefine", 1) => {
                self.defined.remove(first);
                self.variables.remove(first);
            }
            ("loadmodule", 2) => {
                self.loaded.insert(first.strip_suffix("_module").unwrap_or(first).to_string());
            }
            ("serverroot", 1) => self.server_root = first.to_string(),
            _ => {}
        }
    }

    /// Remembers what each module would say of a directive.
    fn pend(&mut self, name: &str, directive: &Directive, known: &'static [Known]) {
        if self.around.contains(&'?') || self.pending.len() >= DIRECTIVES_MAX {
            return;
        }
        let around: Vec<char> = self.around.iter().copied().filter(|c| *c != ' ').collect();
        let texts: Vec<&str> = directive.arguments.iter().map(|a| a.value.as_str()).collect();
        let said = known.iter().map(|known| {
            // What is obeyed at once is so wherever it stands.
            let fits = known.fits(&around) || known.is_obeyed_at_once();
            let fault = if fits { known.refuses(&texts) } else { Some("is not allowed here") };
            (known.module, fault)
        });
        let said: Vec<_> = said.collect();
        let is_stop = name.eq_ignore_ascii_case("error");
        if !is_stop && said.iter().any(|(m, fault)| fault.is_none() && BUILT_IN.contains(m)) {
            return;
        }
        self.pending.push(Pending { place: directive.place.clone(), name: name.to_string(), said });
    }

    /// Judges every directive by the modules that are loaded in the end.
    fn settle(&mut self) {
        let has_others = self.loaded.iter().any(|module| !is_known_module(module));
        for Pending { place, name, said } in std::mem::take(&mut self.pending) {
            if name.eq_ignore_ascii_case("error") {
                self.wrong(place, "an `Error` directive stops httpd here");
                continue;
            }
            let loaded: Vec<_> =
                said.iter().filter(|(module, _)| self.loaded.contains(*module)).collect();
            if loaded.iter().any(|(_, fault)| fault.is_none()) {
                continue;
            }
            let shown = if name.starts_with('<') { format!("{name}>") } else { name };
            match (loaded.first(), said.first()) {
                (Some((_, fault)), _) => {
                    self.wrong(place, format!("{shown} {}", fault.unwrap_or_default()));
                }
                (None, Some((module, _))) => {
                    self.wrong(place, format!("{shown}: mod_{module} is not loaded"));
                }
                (None, None) if has_others => {
                    if self.read.unknown.len() < NOTES_MAX {
                        let text = String::new();
                        self.read.unknown.push(Placed { value: shown, place, text });
                    } else {
                        self.note(place, "unknown, and past those that are listed".into());
                    }
                }
                (None, None) => self.wrong(place, format!("{shown}: no module has this directive")),
            }
        }
    }
}

/// What is wrong with the argument of a section.
fn section_fault(lower: &str, section: &Directive) -> Option<&'static str> {
    let has_arguments = !section.arguments.is_empty();
    let most = if section.argument(0) == Some("~") { 2 } else { 1 };
    match lower {
        "<directory" | "<directorymatch" | "<location" | "<locationmatch" | "<files"
        | "<filesmatch"
            if section.arguments.len() > most =>
        {
            Some("the section has more than one argument")
        }
        "<else" => has_arguments.then_some("<Else> takes no argument"),
        "<directory" | "<directorymatch" | "<location" | "<locationmatch" | "<files"
        | "<filesmatch" | "<virtualhost" | "<if" | "<elseif" | "<limit" | "<limitexcept" => {
            (!has_arguments).then_some("the section requires an argument")
        }
        _ => None,
    }
}
