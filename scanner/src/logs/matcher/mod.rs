//! Rules over single events: routed by log source, prefiltered by literals, then decided exactly.
//!
//! A rule that needs one of some texts to be in the line is only looked at when a search for the texts
//! of all rules found one; the others are always looked at. The prefilter only ever skips rules that
//! could not match (a test compares with the plain evaluation).

mod evaluate;
mod jails;
mod possible;
mod route;

use std::sync::OnceLock;

use parsers::place::{Place, Problem};
use parsers::rules::sigma::{Collection, Correlation, Document, Rule};

use super::event::{Class, Event};
use super::fail2ban::Jail;
use super::prefilter::Prefilter;
pub use super::prefilter::Scratch;
use super::web::request::SUSPECT;
pub use evaluate::{held, holds};
pub use jails::Jails;
use possible::Needs;
use route::Route;

/// Most rules and correlations together.
pub const RULES_MAX: usize = 20_000;

/// Programs whose canonical name is part of every name under which they write.
const WRITTEN: [&str; 6] = ["sshd", "sudo", "cron", "crontab", "systemd", "postfix"];

/// Rules and correlations, ready to be asked.
pub struct RuleSet {
    /// Rules over single events.
    pub rules: Vec<Compiled>,
    /// Correlations, in an order in which each comes after what it refers to.
    pub correlations: Vec<Correlated>,
    /// By class, each built when the first event of it is met.
    filters: [OnceLock<Prefilter>; 5],
    /// fail2ban's jails.
    pub jails: Jails,
}

/// A rule and what follows from it.
pub struct Compiled {
    /// The rule.
    pub rule: Rule,
    /// Whether its hits are shown by themselves.
    pub shown: bool,
    /// The fields that correlations group or count by.
    pub wanted: Vec<String>,
    /// The canonical service that its log source belongs to; empty for the host.
    pub service: &'static str,
    route: Route,
    /// Made when it is first asked about a shape.
    needs: OnceLock<Needs>,
}

/// A correlation and what it refers to.
pub struct Correlated {
    /// The correlation.
    pub correlation: Correlation,
    /// What it reads, in its order.
    pub reads: Vec<Reference>,
    /// Whether it is shown by itself.
    pub shown: bool,
    /// The service of the rules below it.
    pub service: &'static str,
}

/// A rule or correlation by its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reference {
    /// In [`RuleSet::rules`].
    Rule(usize),
    /// In [`RuleSet::correlations`].
    Correlation(usize),
}

impl RuleSet {
    /// Resolves the references between rules and builds the prefilters. What does not fit together
    /// (a reference to nothing, two of one name, a circle) is an error; nothing is dropped silently.
    pub fn new(documents: Vec<Document>) -> Result<Self, Vec<Problem>> {
        if documents.len() > RULES_MAX {
            let message = format!("more than {RULES_MAX} rules");
            return Err(vec![Problem { place: Place::whole("rules"), message }]);
        }
        let Collection { rules, correlations } = Collection::of(documents)?;
        let mut problems = twins(&rules, &correlations);
        let correlations = in_order(&rules, correlations).unwrap_or_else(|mut found| {
            problems.append(&mut found);
            Vec::new()
        });
        if !problems.is_empty() {
            return Err(problems);
        }
        let rules = rules.into_iter().map(compile).collect();
        let mut set =
            Self { rules, correlations, filters: Default::default(), jails: Jails::default() };
        set.connect();
        Ok(set)
    }

    /// The same with jails: each becomes a rule named `fail2ban-NAME`, decided by its filter, and a
    /// correlation that fires where it would ban.
    pub fn with_jails(
        mut documents: Vec<Document>,
        jails: Vec<Jail>,
    ) -> Result<Self, Vec<Problem>> {
        for jail in &jails {
            documents.extend(jails::documents(jail));
        }
        let mut set = Self::new(documents)?;
        let rule_of = |jail: Jail| {
            let name = jails::rule_name(&jail.name);
            let rule = set.rules.iter().position(|one| one.rule.header.is_called(&name))?;
            Some((jail, rule))
        };
        set.jails = Jails::new(jails.into_iter().filter_map(rule_of).collect());
        Ok(set)
    }

    /// Calls `hit` with the position of each rule that matches, lowest first.
    pub fn each_match(&self, event: &Event<'_>, scratch: &mut Scratch, hit: impl FnMut(usize)) {
        let filter = self.filter(event.class());
        self.begin(event.class(), scratch);
        // Escapes hide texts in a JSON line itself: its values are looked through.
        if event.class() != Class::Json {
            filter.mark(event.raw, scratch);
        }
        self.mark_unwritten(event, scratch);
        self.each_of(event, scratch, hit);
    }

    /// Adds the rules whose texts stand in what was read of a line and not in the line.
    pub(super) fn mark_unwritten(&self, event: &Event<'_>, scratch: &mut Scratch) {
        let filter = self.filter(event.class());
        if let Some(decoded) = event.decoded() {
            filter.mark(decoded, scratch);
        }
        if event.is_suspect() || event.class() == Class::Json {
            filter.mark(SUSPECT, scratch);
        }
    }

    /// The prefilter of events of a class.
    pub(super) fn filter(&self, class: Class) -> &Prefilter {
        self.filters[class as usize].get_or_init(|| Prefilter::new(&self.rules, class))
    }

    /// Begins with the candidates that every event of the class has.
    pub(super) fn begin(&self, class: Class, scratch: &mut Scratch) {
        scratch.begin(self.rules.len());
        for rule in &self.filter(class).always {
            scratch.add(*rule);
        }
    }

    /// Calls `hit` with each candidate that matches, lowest first.
    pub(super) fn each_of(
        &self,
        event: &Event<'_>,
        scratch: &mut Scratch,
        mut hit: impl FnMut(usize),
    ) {
        scratch.candidates.sort_unstable();
        for index in &scratch.candidates {
            let compiled = &self.rules[*index as usize];
            if compiled.route.admits(event) && holds(&compiled.rule, event) {
                hit(*index as usize);
            }
        }
    }

    /// Every text of which some rule or jail needs one in a line, in lower case and compared without
    /// case, sorted: what a search for them all has to find. Rules that need none are not among them.
    pub fn required_texts(&self) -> std::collections::BTreeSet<Vec<u8>> {
        let classes = [Class::Syslog, Class::Web, Class::Audit, Class::Joined, Class::Json];
        let rules = classes.into_iter().flat_map(|class| self.filter(class).texts());
        rules.chain(self.jails.texts()).map(<[u8]>::to_vec).collect()
    }

    /// What [`Self::each_match`] finds, found without the prefilter: for tests of it.
    pub fn each_match_plainly(&self, event: &Event<'_>) -> Vec<usize> {
        let matches =
            |compiled: &Compiled| compiled.route.admits(event) && holds(&compiled.rule, event);
        (0..self.rules.len()).filter(|index| matches(&self.rules[*index])).collect()
    }

    /// Rules that no log of this host's kind can ever fire (their log source is not read).
    pub fn dormant(&self) -> usize {
        self.rules.iter().filter(|compiled| compiled.route == Route::Elsewhere).count()
    }

    /// Those rules: for reports that say what can never fire on this host.
    pub fn dormant_rules(&self) -> impl Iterator<Item = &Compiled> {
        self.rules.iter().filter(|compiled| compiled.route == Route::Elsewhere)
    }

    /// Rules that nothing on this host feeds: `has` says which classes of events its logs hold, `writes`
    /// which programs write to its syslog (by canonical names).
    pub fn unfed(
        &self,
        has: &dyn Fn(Class) -> bool,
        writes: &dyn Fn(&str) -> bool,
    ) -> impl Iterator<Item = &Compiled> {
        self.rules.iter().filter(move |compiled| !compiled.route.is_fed(has, writes))
    }

    /// Whether a rule is shown audit events that are joined of several records.
    pub fn joins_audit(&self) -> bool {
        self.rules.iter().any(|compiled| matches!(compiled.route, Route::Joined(_)))
    }

    /// Tells each rule which fields are wanted of it, each correlation its service, and hides what a
    /// correlation refers to unless one of them says `generate`.
    fn connect(&mut self) {
        let mut shown: std::collections::BTreeMap<Reference, bool> = Default::default();
        for position in 0..self.correlations.len() {
            let correlation = self.correlations[position].correlation.clone();
            for reference in self.correlations[position].reads.clone() {
                *shown.entry(reference).or_default() |= correlation.generate;
                let below = match reference {
                    Reference::Rule(rule) => {
                        self.rules[rule].want(&correlation);
                        self.rules[rule].service
                    }
                    Reference::Correlation(below) => self.correlations[below].service,
                };
                if self.correlations[position].service.is_empty() {
                    self.correlations[position].service = below;
                }
            }
        }
        for (reference, shown) in shown {
            match reference {
                Reference::Rule(rule) => self.rules[rule].shown = shown,
                Reference::Correlation(below) => self.correlations[below].shown = shown,
            }
        }
    }
}

impl Compiled {
    /// What feeds it, in words for reports.
    pub fn source(&self) -> &'static str {
        self.route.source()
    }

    /// Whether its log source is that of the event.
    pub fn concerns(&self, event: &Event<'_>) -> bool {
        self.route.admits(event)
    }

    /// Whether it is ever shown events of this class by way of the prefilter.
    pub(super) fn reaches(&self, class: Class) -> bool {
        self.route.reaches(class)
    }

    /// The names of its programs, of which one must be in the line; only programs that always write
    /// theirs, or one that holds it.
    pub(super) fn program_texts(&self) -> Option<Vec<Vec<u8>>> {
        let Route::Programs(names) = self.route else { return None };
        let written = names.iter().all(|name| WRITTEN.contains(name));
        written.then(|| names.iter().map(|name| name.as_bytes().to_ascii_lowercase()).collect())
    }

    fn want(&mut self, correlation: &Correlation) {
        for field in super::window::fields_of(correlation, &self.rule.header) {
            if !self.wanted.contains(&field) {
                self.wanted.push(field);
            }
        }
    }
}

fn compile(rule: Rule) -> Compiled {
    let (route, service) = Route::of(&rule.logsource);
    let needs = OnceLock::new();
    Compiled { rule, shown: true, wanted: Vec::new(), service, route, needs }
}

/// Two rules of one name or id.
fn twins(rules: &[Rule], correlations: &[Correlation]) -> Vec<Problem> {
    let headers =
        rules.iter().map(|rule| &rule.header).chain(correlations.iter().map(|c| &c.header));
    let mut seen = std::collections::HashMap::new();
    let mut problems = Vec::new();
    for header in headers {
        let names = [header.name.as_deref(), (!header.id.is_empty()).then_some(header.id.as_str())];
        for name in names.into_iter().flatten() {
            if let Some(first) = seen.insert(name, &header.place) {
                let message = format!("has the same name or id as the rule at {first}");
                problems.push(Problem { place: header.place.clone(), message });
            }
        }
    }
    problems
}

/// Correlations after what they refer to.
fn in_order(
    rules: &[Rule],
    mut waiting: Vec<Correlation>,
) -> Result<Vec<Correlated>, Vec<Problem>> {
    let mut done: Vec<Correlated> = Vec::new();
    while !waiting.is_empty() {
        let before = done.len();
        let mut left = Vec::new();
        for correlation in waiting {
            let find = |name: &String| {
                let rule = rules.iter().position(|rule| rule.header.is_called(name));
                rule.map(Reference::Rule).or_else(|| {
                    let called = |c: &Correlated| c.correlation.header.is_called(name);
                    done.iter().position(called).map(Reference::Correlation)
                })
            };
            match correlation.rules.iter().map(find).collect::<Option<Vec<_>>>() {
                Some(reads) => {
                    done.push(Correlated { correlation, reads, shown: true, service: "" });
                }
                None => left.push(correlation),
            }
        }
        if done.len() == before {
            let message = "refers to a rule that is not loaded, or in a circle to itself";
            return Err(left
                .into_iter()
                .map(|c| Problem { place: c.header.place, message: message.into() })
                .collect());
        }
        waiting = left;
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::event::Form;

    fn set(text: &str) -> Result<RuleSet, Vec<Problem>> {
        let file = std::sync::Arc::from("r.yml");
        RuleSet::new(parsers::rules::sigma::parse(&file, text.as_bytes()).unwrap())
    }

    fn matches(logsource: &str, detection: &str, line: &str) -> bool {
        let text = format!("title: t\nlogsource: {logsource}\ndetection: {detection}\n");
        let rules = set(&text).unwrap_or_else(|problems| panic!("{problems:?}"));
        let event = Event::read(line.as_bytes(), &mut Form::default());
        let mut hits = 0;
        rules.each_match(&event, &mut Scratch::default(), |_| hits += 1);
        assert_eq!(hits, rules.each_match_plainly(&event).len(), "{detection}");
        hits > 0
    }

    const SSH: &str =
        "Dec 10 06:55:46 web sshd[7]: Failed password for root from 192.0.2.7 port 4 ssh2";

    #[test]
    fn conditions_mean_what_the_specification_says() {
        for (detection, expected) in [
            ("{s: {message|startswith: Failed}, condition: s}", true),
            ("{s: {message|startswith: Failed}, condition: not s}", false),
            ("{s: {user: root, src_ip: 192.0.2.7}, condition: s}", true),
            ("{s: {user: root, src_ip: 192.0.2.8}, condition: s}", false),
            ("{s: [{user: bob}, {src_ip: 192.0.2.7}], condition: s}", true),
            ("{s: [{user: bob}, {src_ip: 192.0.2.8}], condition: s}", false),
            ("{s: [nothing, failed password], condition: s}", true),
            ("{s: failed password, condition: s}", true),
            ("{s: ['pass*root'], condition: s}", true),
            ("{s: {'|all': [failed, root]}, condition: s}", true),
            ("{s: {'|all': [failed, bob]}, condition: s}", false),
            ("{a: {user: root}, b: {user: bob}, condition: a and b}", false),
            ("{a: {user: root}, b: {user: bob}, condition: a or b}", true),
            ("{a: {user: root}, b: {user: bob}, condition: a and not b}", true),
            ("{a: {user: root}, b: {user: bob}, condition: not a or b}", false),
            ("{a: {user: root}, b: {user: bob}, condition: not (a and b)}", true),
            ("{a: {user: bob}, b: {user: root}, c: {user: root}, condition: a and b or c}", true),
            (
                "{a: {user: bob}, b: {user: root}, c: {user: root}, condition: a and (b or c)}",
                false,
            ),
            ("{x1: {user: bob}, x2: {user: root}, condition: 1 of x*}", true),
            ("{x1: {user: bob}, x2: {user: root}, condition: all of x*}", false),
            ("{x1: {user: root}, x2: {host: web}, condition: all of x*}", true),
            ("{x1: {user: root}, x2: {host: web}, x3: {user: x}, condition: 2 of x*}", true),
            ("{x1: {user: root}, x2: {host: db}, x3: {user: x}, condition: 2 of x*}", false),
            ("{a: {user: bob}, _b: {user: root}, condition: 1 of them}", false),
            ("{a: {user: root}, _b: {user: bob}, condition: all of them}", true),
            ("{a: {user: root}, b: {user: bob}, condition: not 1 of b*}", true),
            ("{a: {user: root}, b: {user: bob}, condition: [a, b]}", true),
            ("{a: {user: x}, b: {user: bob}, condition: [a, b]}", false),
            ("{s: {none: null}, condition: s}", true),
            ("{s: {user: null}, condition: s}", false),
            ("{s: {none|exists: false}, condition: s}", true),
            ("{s: {none|exists: true}, condition: s}", false),
            ("{s: {user|exists: true}, condition: s}", true),
            ("{s: {none: x}, condition: s}", false),
            ("{s: {none|neq: x}, condition: s}", true),
            ("{s: {message|fieldref: user}, condition: s}", false),
            ("{s: {message|contains|fieldref: user}, condition: s}", true),
            ("{s: {message|startswith|fieldref: auth_method}, condition: s}", false),
            ("{s: {src_ip|cidr: [10.0.0.0/8, 192.0.2.0/24]}, condition: s}", true),
            ("{s: {pid|gte: 7}, condition: s}", true),
            ("{s: {pid|lt: 7}, condition: s}", false),
            ("{s: {message|re: 'port \\d+ ssh2$'}, condition: s}", true),
            ("{s: {message|contains|all: [root, 'port 4']}, condition: s}", true),
        ] {
            let found = matches("{product: linux, service: sshd}", detection, SSH);
            assert_eq!(found, expected, "{detection}");
        }
    }

    #[test]
    fn rules_see_only_the_logs_they_are_about() {
        let keyword = "{s: [root], condition: s}";
        let web =
            "192.0.2.1 - - [10/Oct/2000:13:55:36 +0000] \"GET /root HTTP/1.1\" 404 5 \"-\" \"-\"";
        let audit = "type=EXECVE msg=audit(1364481363.243:1): a0=\"root\"";
        let other = SSH.replace("sshd[7]", "su");
        let session = SSH.replace("sshd[", "sshd-session[");
        let json = "{\"message\":\"root\"}";
        for (logsource, seen) in [
            ("{product: linux, service: sshd}", [true, false, true, false, false, true]),
            ("{product: linux, service: su}", [false, true, false, false, false, true]),
            ("{product: linux, service: auth}", [true, true, true, false, false, true]),
            ("{product: linux}", [true, true, true, false, true, true]),
            ("{product: linux, service: auditd}", [false, false, false, false, true, true]),
            ("{category: webserver}", [false, false, false, true, false, true]),
            ("{product: apache, service: access}", [false, false, false, true, false, true]),
            (
                "{product: linux, category: process_creation}",
                [false, false, false, false, false, true],
            ),
            ("{product: windows, service: sysmon}", [false, false, false, false, false, true]),
        ] {
            let lines = [SSH, &other, &session, web, audit, json];
            let found = lines.map(|line| matches(logsource, keyword, line));
            assert_eq!(found, seen, "{logsource}");
        }
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let rule =
            "title: a\nname: a\nlogsource: {product: linux}\ndetection: {s: [x], condition: s}\n";
        let over = |name: &str, rules: &str| {
            format!(
                "---\ntitle: c\nname: {name}\ncorrelation: {{type: temporal, rules: [{rules}], timespan: 1m}}\n"
            )
        };
        assert!(set(&format!("{rule}{}", over("c", "a"))).is_ok());
        assert!(set(&format!("{rule}{}{}", over("d", "c"), over("c", "a"))).is_ok());
        for wrong in [
            format!("{rule}{}", over("c", "none")),
            format!("{rule}{}", over("c", "c")),
            format!("{rule}{}{}", over("c", "d"), over("d", "c")),
            format!("{rule}---\n{rule}"),
        ] {
            assert_eq!(
                set(&wrong).err().map(|problems| !problems.is_empty()),
                Some(true),
                "{wrong}"
            );
        }
    }

    #[test]
    fn what_a_correlation_reads_is_not_shown_unless_it_says_so() {
        let rule =
            "title: a\nname: a\nlogsource: {product: linux}\ndetection: {s: [x], condition: s}\n";
        for generate in [false, true] {
            let text = format!(
                "{rule}---\ntitle: c\ncorrelation: {{type: temporal, rules: [a], timespan: 1m, generate: {generate}}}\n"
            );
            let rules = set(&text).unwrap_or_else(|problems| panic!("{problems:?}"));
            assert_eq!((rules.rules[0].shown, rules.correlations[0].shown), (generate, true));
        }
    }
}
