//! What httpd's own modules know: directives, where they may stand, how many arguments they take.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

/// One line of the table.
pub(super) struct Known {
    /// As httpd spells it, sections with their `<`.
    pub name: &'static str,
    contexts: &'static str,
    form: &'static str,
    /// The module without `mod_`.
    pub module: &'static str,
}

static TABLE: LazyLock<HashMap<String, Vec<Known>>> = LazyLock::new(|| {
    let mut table: HashMap<String, Vec<Known>> = HashMap::new();
    for line in include_str!("directives.txt").lines().filter(|line| !line.starts_with('#')) {
        let mut fields = line.split(' ');
        let mut field = || fields.next().unwrap_or_default();
        let known = Known { name: field(), contexts: field(), form: field(), module: field() };
        table.entry(known.name.to_ascii_lowercase()).or_default().push(known);
    }
    table
});

static MODULES: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| TABLE.values().flatten().map(|known| known.module).collect());

/// Modules that Debian builds into the program.
pub(super) const BUILT_IN: [&str; 8] =
    ["core", "so", "watchdog", "http", "log_config", "logio", "version", "unixd"];

/// What is known of a name, any case, by every module that has it.
pub(super) fn find(name: &str) -> &'static [Known] {
    TABLE.get(&name.to_ascii_lowercase()).map_or(&[], Vec::as_slice)
}

/// Whether the directives of a module are in the table; modules without directives are not known.
pub(super) fn is_known_module(module: &str) -> bool {
    MODULES.contains(module) || WITHOUT_DIRECTIVES.contains(&module)
}

const WITHOUT_DIRECTIVES: [&str; 30] = [
    "asis",
    "auth_digest",
    "authz_host",
    "authz_owner",
    "authz_user",
    "bucketeer",
    "case_filter",
    "case_filter_in",
    "data",
    "lbmethod_bybusyness",
    "lbmethod_byrequests",
    "lbmethod_bytraffic",
    "mpm_event",
    "mpm_prefork",
    "mpm_worker",
    "proxy_ajp",
    "proxy_balancer",
    "proxy_fdpass",
    "proxy_http",
    "proxy_http2",
    "proxy_uwsgi",
    "proxy_wstunnel",
    "ratelimit",
    "slotmem_plain",
    "slotmem_shm",
    "socache_dbm",
    "socache_shmcb",
    "status",
    "suexec",
    "unique_id",
];

/// Sections that apply to a part of the requests, by the letter of the table.
pub(super) fn letter(section: &str) -> Option<char> {
    Some(match section.to_ascii_lowercase().as_str() {
        "virtualhost" => 'v',
        "directory" | "directorymatch" => 'D',
        "location" | "locationmatch" => 'L',
        "files" | "filesmatch" | "if" | "elseif" | "else" => 'F',
        "limit" | "limitexcept" => 'm',
        "proxy" | "proxymatch" => 'P',
        _ => return None,
    })
}

impl Known {
    /// Whether it may stand inside of these sections.
    pub fn fits(&self, around: &[char]) -> bool {
        let (contexts, refused) = self.contexts.split_once('!').unwrap_or((self.contexts, ""));
        if around.iter().any(|section| refused.contains(*section)) {
            return false;
        }
        match around.iter().any(|section| *section != 'v') {
            true => contexts.contains('d') || (contexts.contains('p') && around.contains(&'P')),
            false => contexts.contains('s'),
        }
    }

    /// Whether it is obeyed while the file is read, and so is no part of the tree.
    pub fn is_obeyed_at_once(&self) -> bool {
        self.contexts.split('!').next().is_some_and(|contexts| contexts.contains('r'))
    }

    /// What is wrong with the arguments. Empty ones count for nothing, as in httpd.
    pub fn refuses(&self, arguments: &[&str]) -> Option<&'static str> {
        let has = |index: usize| arguments.get(index).is_some_and(|text| !text.is_empty());
        let count = arguments.len();
        let (is_fine, message) = match self.form {
            "no_args" => (count == 0, "takes no arguments"),
            "take1" => (count == 1 && has(0), "takes one argument"),
            "take2" => (count == 2 && has(0) && has(1), "takes two arguments"),
            "take12" => (count <= 2 && has(0), "takes one or two arguments"),
            "take3" => (count == 3 && (0..3).all(has), "takes three arguments"),
            "take23" => (count <= 3 && has(0) && has(1), "takes two or three arguments"),
            "take123" => (count <= 3 && has(0), "takes one to three arguments"),
            "take13" => {
                let is_two = count == 2 && has(1);
                (count <= 3 && has(0) && !is_two, "takes one or three arguments")
            }
            "iterate" => (has(0), "requires at least one argument"),
            "iterate2" => (has(0) && count >= 2, "requires at least two arguments"),
            "flag" => {
                let first = arguments.first().copied().unwrap_or_default();
                let is_flag = ["on", "off"].iter().any(|word| word.eq_ignore_ascii_case(first));
                (is_flag, "must be On or Off")
            }
            _ => return None,
        };
        (!is_fine).then_some(message)
    }
}

/// The file that a module is built from, as `<IfModule>` names it.
pub(super) fn source_file(module: &str) -> String {
    match module {
        "core" => "core.c".into(),
        "http" => "http_core.c".into(),
        "mpm_event" => "event.c".into(),
        "mpm_prefork" => "prefork.c".into(),
        "mpm_worker" => "worker.c".into(),
        other => format!("mod_{other}.c"),
    }
}

/// Names of every directive, for those who write configurations.
pub fn names() -> impl Iterator<Item = (&'static str, &'static str, &'static str, &'static str)> {
    TABLE.values().flatten().map(|known| (known.name, known.contexts, known.form, known.module))
}
