//! From words to the tree of directives: contexts, numbers of arguments, duplicates, includes.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::known::{Context, Found, Inheritance, Known, find};
use super::token::{Ending, Lexer, Word};
use super::{BYTES_MAX, FILES_MAX, INCLUDES_DEPTH_MAX, Nginx};
use crate::config::directives::{DEPTH_MAX, DIRECTIVES_MAX, Directive};
use crate::config::expand::{Expander, is_pattern};
use crate::place::{Place, Placed};
use crate::tree::{CONFIG_BYTES_MAX, LookError, Tree, Why};

/// Most words of one directive that are kept.
const WORDS_MAX: usize = 10_000;

/// Most directives of unknown modules that are listed.
const UNKNOWN_MAX: usize = 10_000;

/// What one block has so far.
struct Scope {
    context: Context,
    depth: usize,
    /// Directives that may stand here once, and where they do.
    once: HashMap<&'static str, Place>,
    /// Locations by kind and name.
    locations: HashMap<(bool, String), Place>,
    /// The location that this block is, for those inside of it.
    location: Option<Location>,
}

impl Scope {
    fn new(context: Context, depth: usize) -> Self {
        Self { context, depth, once: HashMap::new(), locations: HashMap::new(), location: None }
    }
}

/// What a location is for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Location {
    Exact(String),
    Prefix(String),
    Regex(String),
    Named(String),
}

pub(super) struct Reader<'a> {
    tree: &'a dyn Tree,
    expander: Expander<'a>,
    directory: String,
    read: Nginx,
    open: Vec<String>,
    bytes_left: usize,
    kept: usize,
}

impl<'a> Reader<'a> {
    pub fn new(tree: &'a dyn Tree, path: &str) -> Self {
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory).to_string();
        let read = Nginx::default();
        let expander = Expander::new(tree);
        Self {
            tree,
            expander,
            directory,
            read,
            open: vec![path.into()],
            bytes_left: BYTES_MAX,
            kept: 0,
        }
    }

    pub fn run(mut self, bytes: &[u8], context: Context) -> Nginx {
        let path = self.open[0].clone();
        let mut directives = Vec::new();
        self.file(&path, bytes, &mut Scope::new(context, 0), &mut directives);
        self.read.directives = directives;
        self.read.unread.append(&mut self.expander.unread);
        self.read
    }

    fn file(&mut self, path: &str, bytes: &[u8], scope: &mut Scope, into: &mut Vec<Directive>) {
        let file: Arc<str> = path.into();
        self.bytes_left -= bytes.len().min(self.bytes_left);
        self.read.files.push(Arc::clone(&file));
        let mut lexer = Lexer::new(&file, bytes);
        while self.body(&mut lexer, scope, into) == Ending::Close {
            self.wrong(lexer.place(), "unexpected `}`: no block is open in this file");
        }
    }

    fn wrong(&mut self, place: Place, message: impl Into<String>) {
        self.read.problems.push(place, message);
    }

    /// Reads statements up to the end of the block or file.
    fn body(
        &mut self,
        lexer: &mut Lexer<'_>,
        scope: &mut Scope,
        into: &mut Vec<Directive>,
    ) -> Ending {
        loop {
            let mut words = Vec::new();
            let (ending, more) = lexer.statement(&mut words, WORDS_MAX);
            for (place, message) in lexer.faults.drain(..) {
                self.wrong(place, message);
            }
            if more && let Some(first) = words.first() {
                self.wrong(first.place.clone(), format!("more than {WORDS_MAX} words"));
            }
            let has_words = !words.is_empty();
            if has_words || ending == Ending::Open {
                self.statement(lexer, scope, into, words, ending);
            }
            if matches!(ending, Ending::Close | Ending::End) {
                return ending;
            }
        }
    }

    fn statement(
        &mut self,
        lexer: &mut Lexer<'_>,
        scope: &mut Scope,
        into: &mut Vec<Directive>,
        words: Vec<Word>,
        ending: Ending,
    ) {
        let mut words = words.into_iter();
        let name =
            words.next().unwrap_or_else(|| Word { text: String::new(), place: lexer.place() });
        let arguments =
            words.map(|word| Placed { value: word.text, place: word.place, text: String::new() });
        let mut directive = Directive {
            name: name.text,
            place: name.place,
            arguments: arguments.collect(),
            block: None,
        };
        let has_block = ending == Ending::Open;
        let is_lua = has_block && directive.name.ends_with("_by_lua_block");
        if is_lua {
            let code = lexer.lua();
            let code = Placed { value: code.text, place: code.place, text: String::new() };
            directive.arguments.push(code);
        }
        let known = self.check(scope, &directive, has_block && !is_lua);
        if has_block && !is_lua {
            let inside = match known {
                Some(_) => scope.context.inside(&directive.name),
                None => Context::Unknown,
            };
            directive.block = Some(self.block(lexer, scope, inside, &directive));
        }
        let is_include = directive.name == "include"
            && directive.arguments.len() == 1
            && scope.context != Context::Unknown;
        let pattern = is_include.then(|| directive.arguments[0].clone());
        self.keep(directive, into);
        if let Some(pattern) = pattern {
            self.include(&pattern, scope, into);
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

    fn block(
        &mut self,
        lexer: &mut Lexer<'_>,
        scope: &Scope,
        inside: Context,
        opener: &Directive,
    ) -> Vec<Directive> {
        let mut children = Vec::new();
        if scope.depth + 1 >= DEPTH_MAX {
            self.wrong(opener.place.clone(), "blocks are nested too deeply; this one is skipped");
            self.skip(lexer);
            return children;
        }
        let mut inner = Scope::new(inside, scope.depth + 1);
        if inside == Context::Location {
            inner.location = location(opener).ok();
        }
        if self.body(lexer, &mut inner, &mut children) == Ending::End {
            let message = format!("unexpected end of file: the block of `{}` is open", opener.name);
            self.wrong(opener.place.clone(), message);
        }
        children
    }

    /// Reads to the end of a block without keeping anything.
    fn skip(&mut self, lexer: &mut Lexer<'_>) {
        let mut depth = 1_usize;
        while depth > 0 {
            match lexer.statement(&mut Vec::new(), 1).0 {
                Ending::Open => depth += 1,
                Ending::Close => depth -= 1,
                Ending::End => break,
                Ending::Semicolon => {}
            }
            lexer.faults.clear();
        }
    }

    /// Notes what nginx would refuse; what is known of the directive here.
    fn check(
        &mut self,
        scope: &mut Scope,
        directive: &Directive,
        has_block: bool,
    ) -> Option<&'static Known> {
        let place = || directive.place.clone();
        if scope.context == Context::Unknown {
            return None;
        }
        if scope.context == Context::Entries {
            if has_block {
                self.wrong(place(), "unexpected `{`: this block has entries only");
            }
            return None;
        }
        let known = match find(&directive.name, scope.context) {
            Found::Here(known) => known,
            Found::Elsewhere => {
                self.wrong(place(), format!("`{}` is not allowed here", directive.name));
                return None;
            }
            Found::Nowhere => {
                if self.read.unknown.len() < UNKNOWN_MAX {
                    let value = directive.name.clone();
                    self.read.unknown.push(Placed { value, place: place(), text: String::new() });
                } else {
                    self.wrong(place(), "unknown, and past those that are listed");
                }
                return None;
            }
        };
        let name = known.name;
        if known.takes_block != has_block {
            let message = match has_block {
                true => format!("`{name}` is not terminated by `;`"),
                false => format!("`{name}` has no opening `{{`"),
            };
            self.wrong(place(), message);
        } else if !known.accepts(directive.arguments.len()) {
            self.wrong(place(), format!("invalid number of arguments in `{name}`"));
        } else {
            self.values(scope, directive, known);
        }
        Some(known)
    }

    fn values(&mut self, scope: &mut Scope, directive: &Directive, known: &'static Known) {
        let texts: Vec<&str> = directive.arguments.iter().map(|a| a.value.as_str()).collect();
        // Some are duplicates before their values are looked at; for the verdict the order is one.
        self.duplicate(scope, directive, known);
        if let Some(at) = known.refused(&texts) {
            let place = directive.arguments[at].place.clone();
            self.wrong(place, format!("invalid value in `{}`", known.name));
        }
        match (scope.context, known.name) {
            (Context::Server | Context::Location, "location") => self.location(scope, directive),
            (Context::Server | Context::Location, "if") => {
                if let Some(message) = condition(&texts) {
                    self.wrong(directive.arguments[0].place.clone(), message);
                }
            }
            _ => {}
        }
    }

    fn duplicate(&mut self, scope: &mut Scope, directive: &Directive, known: &'static Known) {
        let is_section = scope.context == Context::Main && known.takes_block;
        if known.inheritance != Inheritance::Once && !is_section {
            return;
        }
        let slot = match known.name {
            "alias" => "root", // both set where files are
            name => name,
        };
        let first = scope.once.entry(slot).or_insert_with(|| directive.place.clone());
        if *first != directive.place {
            let message = format!("`{}` is duplicate; the first is at {first}", known.name);
            self.wrong(directive.place.clone(), message);
        }
    }

    fn location(&mut self, scope: &mut Scope, directive: &Directive) {
        let place = directive.place.clone();
        let found = match location(directive) {
            Ok(found) => found,
            Err(message) => return self.wrong(place, message),
        };
        if let Some(outer) = &scope.location {
            let message = match (outer, &found) {
                (Location::Exact(_), _) => Some("a location cannot stand inside an exact one"),
                (Location::Named(_), _) => Some("a location cannot stand inside a named one"),
                (_, Location::Named(_)) => Some("a named location stands in a server only"),
                (Location::Prefix(outer) | Location::Regex(outer), inner) => match inner {
                    Location::Exact(name) | Location::Prefix(name) if !name.starts_with(outer) => {
                        Some("the location lies outside of the one around it")
                    }
                    _ => None,
                },
            };
            if let Some(message) = message {
                return self.wrong(place, message);
            }
        }
        let key = match found {
            Location::Exact(name) => (true, name),
            Location::Prefix(name) | Location::Named(name) => (false, name),
            Location::Regex(_) => return,
        };
        let first = scope.locations.entry(key).or_insert_with(|| place.clone());
        if *first != place {
            let message = format!("duplicate location; the first is at {first}");
            self.wrong(place, message);
        }
    }

    fn include(&mut self, given: &Placed<String>, scope: &mut Scope, into: &mut Vec<Directive>) {
        let path = match given.value.starts_with('/') {
            true => given.value.clone(),
            false => format!("{}/{}", self.directory, given.value),
        };
        if is_pattern(&path) {
            for path in self.expander.expand(&path) {
                let is_full = self.bytes_left == 0 || self.read.files.len() >= FILES_MAX;
                self.one(&path, &given.place, scope, into);
                if is_full {
                    break;
                }
            }
        } else {
            self.one(Path::new(&path), &given.place, scope, into);
        }
    }

    fn one(&mut self, path: &Path, from: &Place, scope: &mut Scope, into: &mut Vec<Directive>) {
        let name = path.to_string_lossy();
        let refused = if self.open.iter().any(|open| *open == name) {
            let chain = self.open.join(" includes ");
            Some(format!("the file includes itself: {chain} includes {name}"))
        } else if self.open.len() > INCLUDES_DEPTH_MAX {
            Some(format!("includes are nested deeper than {INCLUDES_DEPTH_MAX}"))
        } else {
            None
        };
        if let Some(message) = refused {
            return self.wrong(from.clone(), message);
        }
        let read = if self.read.files.len() >= FILES_MAX {
            Err(LookError::new(path, Why::TooMany(FILES_MAX)))
        } else if self.bytes_left == 0 {
            Err(LookError::new(path, Why::TooLarge(BYTES_MAX)))
        } else {
            self.tree.read(path, self.bytes_left.min(CONFIG_BYTES_MAX))
        };
        match read {
            Ok(bytes) => {
                self.open.push(name.to_string());
                self.file(&name, &bytes, scope, into);
                self.open.pop();
            }
            Err(error) if error.not_found() => {
                self.wrong(from.clone(), format!("the included file {name} does not exist"));
            }
            Err(error) => self.read.unread.push(error),
        }
    }
}

/// What a `location` is for.
fn location(directive: &Directive) -> Result<Location, &'static str> {
    let first = directive.argument(0).unwrap_or_default();
    if let Some(name) = directive.argument(1) {
        let name = name.to_string();
        return match first {
            "=" => Ok(Location::Exact(name)),
            "^~" => Ok(Location::Prefix(name)),
            "~" | "~*" => Ok(Location::Regex(name)),
            _ => Err("invalid location modifier"),
        };
    }
    Ok(if let Some(name) = first.strip_prefix('=') {
        Location::Exact(name.into())
    } else if let Some(name) = first.strip_prefix("^~") {
        Location::Prefix(name.into())
    } else if let Some(regex) = first.strip_prefix('~') {
        Location::Regex(regex.strip_prefix('*').unwrap_or(regex).into())
    } else if first.starts_with('@') {
        Location::Named(first.into())
    } else {
        Location::Prefix(first.into())
    })
}

/// What is wrong with the condition of an `if`.
fn condition(words: &[&str]) -> Option<&'static str> {
    const WRONG: Option<&str> = Some("invalid condition: `($variable operator value)` is expected");
    let mut words = words.to_vec();
    let Some(inner) = words.first().and_then(|first| first.strip_prefix('(')) else { return WRONG };
    if inner.is_empty() {
        words.remove(0);
    } else {
        words[0] = inner;
    }
    match words.pop().map(|last| last.strip_suffix(')')) {
        Some(Some("")) => {}
        Some(Some(last)) => words.push(last),
        _ => return WRONG,
    }
    let is_file_test =
        |word: &str| matches!(word.strip_prefix('!').unwrap_or(word), "-f" | "-d" | "-e" | "-x");
    let is_fine = match &words[..] {
        [variable] => variable.len() > 1 && variable.starts_with('$'),
        [test, _] => is_file_test(test),
        [variable, operator, _] => {
            variable.len() > 1
                && variable.starts_with('$')
                && matches!(*operator, "=" | "!=" | "~" | "!~" | "~*" | "!~*")
        }
        _ => false,
    };
    if is_fine { None } else { WRONG }
}
