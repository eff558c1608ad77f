//! What holds in every block: its own directives, and those that nginx takes over from outside.
//!
//! A directive with one value comes from the innermost block that has it. One whose values add up is
//! taken over only as a whole: a location with one `add_header` has none of its server's.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::{Map, Value, json};

use super::Nginx;
use super::known::{Context, Found, Inheritance, find};
use crate::config::directives::Directive;
use crate::config::problems::Problems;
use crate::config::settings::{Overridden, Rule, SETTINGS_MAX, Setting};
use crate::place::{Place, Placed};

/// What holds in one block.
#[derive(Clone, Debug)]
pub struct Block {
    /// The blocks from outside in: `["http", "server www.example.org", "location /x"]`; empty outside
    /// of every block.
    pub path: Vec<String>,
    /// Where it opens.
    pub place: Place,
    /// By name of directive; values as written, quoted where they have to be.
    pub settings: BTreeMap<String, Rc<Setting>>,
}

/// What holds in every block, in the order of the files.
#[derive(Clone, Debug, Default)]
pub struct Effective {
    /// The blocks; the first is what stands outside of all.
    pub blocks: Vec<Block>,
    /// Told when there is more than is kept.
    pub problems: Problems,
    kept: usize,
}

impl Effective {
    /// `{"blocks":[{"block":[…],"file","line","column","settings":{NAME:…}}]}`, settings as
    /// [`Setting::to_json`] shows them.
    pub fn to_json(&self) -> Value {
        let blocks: Vec<Value> = self.blocks.iter().map(Block::to_json).collect();
        json!({ "blocks": blocks })
    }

    /// The block with a path.
    pub fn block(&self, path: &[&str]) -> Option<&Block> {
        self.blocks.iter().find(|block| block.path == path)
    }
}

impl Block {
    fn to_json(&self) -> Value {
        let settings: Map<String, Value> =
            self.settings.iter().map(|(name, setting)| (name.clone(), setting.to_json())).collect();
        json!({
            "block": self.path,
            "file": &*self.place.file,
            "line": self.place.line,
            "column": self.place.column,
            "settings": settings,
        })
    }

    /// The only or last value of a directive.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.settings.get(name).and_then(|setting| setting.value())
    }
}

pub(super) fn of(nginx: &Nginx) -> Effective {
    let mut all = Effective::default();
    let place = Place::whole(nginx.files.first().cloned().unwrap_or_else(|| "".into()));
    let root = Inherited::default();
    all.enter(&nginx.directives, nginx.context(), Vec::new(), place, &root);
    all
}

/// What a block may take over: the setting and how.
type Inherited = BTreeMap<String, (Rc<Setting>, Inheritance)>;

impl Effective {
    fn enter(
        &mut self,
        directives: &[Directive],
        context: Context,
        path: Vec<String>,
        place: Place,
        outer: &Inherited,
    ) {
        if self.kept > SETTINGS_MAX {
            return;
        }
        let mut own: BTreeMap<&str, (Setting, Inheritance)> = BTreeMap::new();
        for directive in directives.iter().filter(|directive| directive.block.is_none()) {
            if directive.name == "include" {
                continue;
            }
            let inheritance = match find(&directive.name, context) {
                Found::Here(known) => known.inheritance,
                _ => Inheritance::Own,
            };
            let entry = own.entry(group(&directive.name));
            let (setting, _) = entry.or_insert_with(|| (Setting::default(), inheritance));
            let value = Placed {
                value: written(directive),
                place: directive.place.clone(),
                text: String::new(),
            };
            match inheritance {
                // nginx refuses the second one, so the first is what a reader should see.
                Inheritance::Once if !setting.values.is_empty() => {
                    setting.lose(Overridden { value, rule: Rule::FirstWins });
                }
                Inheritance::Last => setting.replace(value, Rule::LastWins),
                _ => setting.values.push(value),
            }
        }
        let lost = own.keys().filter_map(|name| outer.get(*name));
        let lost: usize = lost.map(|(setting, _)| setting.values.len()).sum();
        self.kept += 1 + own.len() + outer.len() + lost;
        if self.kept > SETTINGS_MAX {
            if self.problems.is_empty() {
                let message = format!("more than {SETTINGS_MAX} settings; this block is not shown");
                self.problems.push(place, message);
            }
            return;
        }
        let settings = merged(own, outer);
        let shown = settings.iter().map(|(name, (setting, _))| (name.clone(), Rc::clone(setting)));
        self.blocks.push(Block { path: path.clone(), place, settings: shown.collect() });
        let mut inherited = settings;
        inherited.retain(|_, (_, inheritance)| *inheritance != Inheritance::Own);
        for directive in directives {
            let Some(children) = &directive.block else { continue };
            let inside = context.inside(&directive.name);
            if matches!(inside, Context::Entries | Context::Unknown) {
                continue;
            }
            let mut path = path.clone();
            path.push(title(directive));
            let nothing = Inherited::new();
            // `events` and the like take nothing over from outside; logs of errors are the exception.
            let outer = if context == Context::Main { &logs(&inherited) } else { &inherited };
            let outer = match inside {
                Context::Upstream | Context::StreamUpstream => &nothing,
                _ => outer,
            };
            self.enter(children, inside, path, directive.place.clone(), outer);
        }
    }
}

/// What holds in a block, of its own and from outside.
fn merged(own: BTreeMap<&str, (Setting, Inheritance)>, outer: &Inherited) -> Inherited {
    let mut settings = outer.clone();
    for (name, (mut setting, inheritance)) in own {
        if let Some((lost, _)) = outer.get(name) {
            let rule = match inheritance {
                Inheritance::List => Rule::NotInherited,
                _ => Rule::MoreSpecific,
            };
            for value in lost.values.iter().cloned() {
                setting.lose(Overridden { value, rule });
            }
        }
        settings.insert(name.to_string(), (Rc::new(setting), inheritance));
    }
    settings
}

fn logs(inherited: &Inherited) -> Inherited {
    let log = inherited.get_key_value("error_log");
    log.map(|(name, setting)| (name.clone(), setting.clone())).into_iter().collect()
}

/// Directives that are taken over together are shown together.
fn group(name: &str) -> &str {
    match name {
        "allow" | "deny" => "allow/deny",
        "root" | "alias" => "root/alias",
        name => name,
    }
}

/// The arguments as written; of a group, the name too.
fn written(directive: &Directive) -> String {
    let mut words: Vec<String> = Vec::new();
    if group(&directive.name) != directive.name {
        words.push(directive.name.clone());
    }
    words.extend(directive.arguments.iter().map(|argument| quoted(&argument.value)));
    words.join(" ")
}

fn quoted(word: &str) -> String {
    let needs = word.is_empty() || word.contains([' ', '\t', '\r', '\n', ';', '{', '"', '\'']);
    if !needs {
        return word.to_string();
    }
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
}

/// `location ~ \.php$`; a server is told by its first name or address.
fn title(directive: &Directive) -> String {
    let mut words = vec![directive.name.clone()];
    words.extend(directive.arguments.iter().map(|argument| quoted(&argument.value)));
    if directive.name == "server" {
        let name = directive.named("server_name").chain(directive.named("listen")).next();
        words.extend(name.and_then(|name| name.argument(0)).map(quoted));
    }
    words.join(" ")
}
