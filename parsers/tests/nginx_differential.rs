//! Asks the real `nginx -T` about generated configurations: what it accepts, and which files it reads
//! in which order. Nothing is started; the only socket is a unix one in a scratch directory.
//!
//! More by hand: `WARDMOTE_NGINX_SEEDS=0..20000 cargo test -p parsers --test nginx_differential`.

#![allow(clippy::unwrap_used)] // a test's helpers, too, should stop at the first surprise

mod differential;

use std::path::Path;
use std::process::Command;

use differential::{Agreement, Dice, all_agree, run, seeds, skip};
use parsers::config::nginx::{Context, Nginx, names, shape};
use parsers::tree::MemoryTree;

const NGINX: &str = "/usr/sbin/nginx";

#[test]
fn generated_configurations_agree_with_nginx() {
    let scratch = tempfile::Builder::new().prefix("ng").tempdir().unwrap();
    if let Err(missing) = peer(scratch.path()) {
        return skip(&missing);
    }
    all_agree(seeds("WARDMOTE_NGINX_SEEDS", 400), scratch.path(), |seed, place| {
        let case = Generator::new(seed, place).case();
        agree(place, &case)
    });
}

/// Every directive whose value nginx's own slots check, in every context: a right and a wrong value.
#[test]
fn every_typed_directive_agrees_with_nginx_in_every_context() {
    let scratch = tempfile::Builder::new().prefix("ng").tempdir().unwrap();
    if let Err(missing) = peer(scratch.path()) {
        return skip(&missing);
    }
    let mut cases = Vec::new();
    for (context, open, close) in FRAMES {
        let mut known: Vec<_> = names(*context).collect();
        known.sort_unstable();
        for name in known.into_iter().filter(|name| is_comparable(name)) {
            let (arguments, has_block, value) = shape(name, *context).unwrap();
            if has_block || value == "any" || arguments == "0" {
                continue;
            }
            cases.push((format!("{open} {name} {}; {close}", right(value, 0)), true));
            cases.push((format!("{open} {name} {}; {close}", wrong(value)), false));
        }
    }
    assert!(cases.len() > 1_000, "{}", cases.len());
    // Many in one run would hide one another; a sample by default, all of them by the variable.
    let all = seeds("WARDMOTE_NGINX_TYPED", 300);
    let step = cases.len() as u64 / (all.end - all.start).min(cases.len() as u64);
    let refused_wrongly = |text: &str, place: &Path| -> Result<bool, String> {
        let case = Case { files: vec![("nginx.conf".into(), text.into())] };
        let theirs = ask(place, &case);
        let ours = accepts(&read(place, &case));
        match theirs.is_ok() == ours {
            true => Ok(ours),
            false => Err(format!("{text}: nginx {theirs:?}, ours {ours}")),
        }
    };
    let differences: Vec<String> = std::thread::scope(|scope| {
        let halves = [0, 1].map(|half| {
            let (cases, scratch, check) = (&cases, scratch.path(), &refused_wrongly);
            scope.spawn(move || {
                let mine = cases.iter().step_by(step as usize).enumerate();
                let mine = mine.filter(|(index, _)| index % 2 == half);
                mine.filter_map(|(index, (text, is_right))| {
                    let place = scratch.join(format!("t{index}"));
                    std::fs::create_dir_all(&place).unwrap();
                    let text = format!("{} {text}", preamble(&place));
                    let agreed = check(&text, &place);
                    let _ = std::fs::remove_dir_all(&place);
                    match agreed {
                        Ok(accepted) if accepted && !is_right => Some(format!("accepted: {text}")),
                        Ok(_) => None,
                        Err(difference) => Some(difference),
                    }
                })
                .collect::<Vec<_>>()
            })
        });
        halves.into_iter().flat_map(|half| half.join().unwrap()).collect()
    });
    assert!(differences.is_empty(), "{}: {:#?}", differences.len(), differences);
}

/// A context, and what opens and closes it.
const FRAMES: &[(Context, &str, &str)] = &[
    (Context::Main, "events {}", ""),
    (Context::Events, "events {", "}"),
    (Context::Http, "events {} http {", "}"),
    (Context::Server, "events {} http { server { listen unix:@DIR@/s;", "} }"),
    (Context::Location, "events {} http { server { listen unix:@DIR@/s; location / {", "} } }"),
    (Context::ServerIf, "events {} http { server { listen unix:@DIR@/s; if ($host) {", "} } }"),
    (
        Context::LocationIf,
        "events {} http { server { listen unix:@DIR@/s; location / { if ($host) {",
        "} } } }",
    ),
    (
        Context::LimitExcept,
        "events {} http { server { listen unix:@DIR@/s; location / { limit_except GET {",
        "} } } }",
    ),
    (Context::Upstream, "events {} http { upstream u { server unix:/x;", "} }"),
];

/// Directives whose acceptance hangs on more than their own line: on other settings (sizes of buffers),
/// on files, on the platform, or on modules that Debian builds apart.
fn is_comparable(name: &str) -> bool {
    const APART: &[&str] = &["image_filter", "xslt", "xml_", "perl", "geoip"];
    const TOGETHER: &[&str] = &[
        "_buffers",
        "_buffer_size",
        "busy_buffers_size",
        "temp_file_write_size",
        "max_temp_file_size",
        "_hash_bucket_size",
        "_pool_size",
        "_cache_use_stale",
    ];
    const OTHER: &[&str] = &[
        "aio_write",
        "master_process",
        "daemon",
        "use",
        "ssl",
        "ssl_verify_client",
        "ssl_stapling",
        "ssl_ocsp",
        "proxy_ssl_verify",
        "grpc_ssl_verify",
        "uwsgi_ssl_verify",
        "gzip_static",
        "postpone_output",
        "http2_max_field_size",
        "http2_streams_index_size",
        "gzip_window",
        "gzip_hash",
        "output_buffers",
        "worker_connections",
        "include",
        "subrequest_output_buffer_size",
        "pid",
    ];
    !(APART.iter().any(|start| name.starts_with(start))
        || TOGETHER.iter().any(|end| name.ends_with(end))
        || OTHER.contains(&name))
}

fn right(value: &str, roll: usize) -> &str {
    let from: &[&str] = match value {
        "flag" => &["on", "off", "ON", "\"off\"", "'on'"],
        "num" => &["1", "5", "\"3\""],
        "status" => &["400", "599"],
        "size" => &["8k", "16K", "1m", "\"65536\""],
        "off" => &["8k", "1g", "2M"],
        "msec" => &["5s", "1500ms", "1m", "\"1h 30m\"", "10"],
        "sec" => &["5s", "1y", "1M", "\"1d 2h\"", "10"],
        "bufs" => &["8 8k", "4 16K"],
        other => {
            let (_, list) = other.split_once(':').unwrap();
            let names: Vec<&str> = list.split('|').collect();
            return names[roll % names.len()];
        }
    };
    from[roll % from.len()]
}

fn wrong(value: &str) -> &'static str {
    match value {
        "flag" => "yes",
        "num" => "-1",
        "status" => "399",
        "size" => "1g",
        "off" => "1t",
        "msec" => "1y",
        "sec" => "5ms",
        "bufs" => "0 8k",
        _ => "nonsense",
    }
}

fn preamble(place: &Path) -> String {
    // Nothing outside of the scratch directory is written.
    format!("error_log stderr; pid {}/pid;", place.display())
}

struct Case {
    files: Vec<(String, String)>,
}

fn read(place: &Path, case: &Case) -> Nginx {
    let mut tree = MemoryTree::new();
    let place = place.to_str().unwrap();
    for (name, text) in &case.files {
        tree = tree.file(&format!("{place}/{name}"), text.replace("@DIR@", place));
    }
    Nginx::read_in(&tree, &format!("{place}/nginx.conf"), Context::Main).unwrap()
}

/// nginx refuses a name that it does not know; with the modules of this build we know as much.
fn accepts(read: &Nginx) -> bool {
    read.problems.is_empty() && read.unread.is_empty() && read.unknown.is_empty()
}

/// The files that nginx reads, in order, or what it complains of.
fn ask(place: &Path, case: &Case) -> Result<Vec<String>, String> {
    for (name, text) in &case.files {
        let path = place.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text.replace("@DIR@", place.to_str().unwrap())).unwrap();
    }
    let mut command = Command::new(NGINX);
    command.arg("-T").arg("-q").arg("-c").arg(place.join("nginx.conf")).arg("-p").arg(place);
    let output = run(&mut command);
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(said.lines().filter(|line| line.contains("[emerg]")).collect());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mark = "# configuration file ";
    let files = text.lines().filter_map(|line| line.strip_prefix(mark)?.strip_suffix(':'));
    Ok(files.map(str::to_string).collect())
}

fn peer(scratch: &Path) -> Result<(), String> {
    let version =
        Command::new(NGINX).arg("-v").output().map_err(|_| "no nginx here".to_string())?;
    let said = String::from_utf8_lossy(&version.stderr);
    if !said.contains("nginx/1.22.") {
        return Err(format!("nginx is not 1.22: {said}"));
    }
    let text = format!("{} events {{}} http {{ access_log off; }}", preamble(scratch));
    let case = Case { files: vec![("nginx.conf".into(), text)] };
    ask(scratch, &case).map(|_| ()).map_err(|why| format!("nginx does not run here: {why}"))
}

/// Whether nginx and the parser agree.
fn agree(place: &Path, case: &Case) -> Result<Agreement, String> {
    let theirs = ask(place, case);
    let ours = read(place, case);
    let shown = || {
        let texts = case.files.iter().map(|(name, text)| format!("--- {name}\n{text}\n"));
        let problems: Vec<String> = ours.problems.kept.iter().map(ToString::to_string).collect();
        format!("ours {problems:?} {:?}\n{}", ours.unknown, texts.collect::<String>())
    };
    match (theirs, accepts(&ours)) {
        (Ok(theirs), true) => {
            let mut files: Vec<&str> = Vec::new();
            for file in &ours.files {
                if !files.contains(&&**file) {
                    files.push(file);
                }
            }
            match theirs == files {
                true => Ok(Agreement::Accepted),
                false => Err(format!("nginx reads {theirs:?}, we {files:?}\n{}", shown())),
            }
        }
        (Err(_), false) => Ok(Agreement::Refused),
        (Ok(_), false) => Err(format!("only we refuse: {}", shown())),
        (Err(why), true) => match KNOWN.iter().find(|(sign, _)| why.contains(sign)) {
            Some((_, reason)) => Ok(Agreement::Known(reason)),
            None => Err(format!("only nginx refuses: {why}\n{}", shown())),
        },
    }
}

/// What nginx refuses and we do not, by its words, and why.
const KNOWN: &[(&str, &str)] = &[
    ("unknown \"", "whether a variable exists depends on modules and on what is set elsewhere"),
    (
        "invalid variable name",
        "a `$` without a name inside of a value: values are the modules' business",
    ),
    ("invalid parameter", "the parameters of custom directives are the modules' business"),
    ("pcre2_compile() failed", "regular expressions are not compiled"),
    ("no servers are inside upstream", "an empty upstream is refused after reading"),
    ("closing bracket in", "a `${` without its `}` inside of a value"),
    ("invalid port in", "addresses of `listen` are not resolved"),
    ("host not found", "addresses of `listen` are not resolved"),
    ("bind() to", "the operating system refuses a socket"),
    ("invalid unix socket", "addresses of `listen` are not resolved"),
    ("too long path in the unix", "addresses of `listen` are not resolved"),
    ("invalid value", "values of custom directives are the modules' business"),
    ("unknown log format", "whether a format exists is the log module's business"),
    ("invalid server name", "names of servers are not checked"),
    ("invalid log level", "levels of logs are the log module's business"),
    ("open() \"", "logs cannot be opened"),
];

/// Makes one configuration.
struct Generator<'a> {
    dice: Dice,
    place: &'a Path,
    files: Vec<(String, String)>,
    by_context: Vec<(Context, Vec<&'static str>)>,
    once: Vec<&'static str>,
}

impl<'a> Generator<'a> {
    fn new(seed: u64, place: &'a Path) -> Self {
        let by_context = FRAMES.iter().map(|(context, ..)| {
            let mut typed: Vec<_> = names(*context)
                .filter(|name| is_comparable(name))
                .filter(|name| {
                    let (_, has_block, value) = shape(name, *context).unwrap();
                    !has_block && value != "any"
                })
                .collect();
            typed.sort_unstable();
            (*context, typed)
        });
        let by_context = by_context.collect();
        Self { dice: Dice::new(seed), place, files: Vec::new(), by_context, once: Vec::new() }
    }

    fn case(mut self) -> Case {
        let mut text = preamble(self.place);
        text.push_str("\n# generated\nevents {");
        self.fill(Context::Events, &mut text, 2);
        text.push_str("}\n");
        self.fill(Context::Main, &mut text, 3);
        text.push_str("http {\n  access_log off;\n");
        self.fill(Context::Http, &mut text, 6);
        if self.dice.one_in(2) {
            text.push_str("map $host $mapped { default 0; 'a b' 1; \"\" ${host}; }\n");
            text.push_str("types { text/html html htm; text/x-\\;y y; }\n");
        }
        if self.dice.one_in(3) {
            text.push_str("upstream up { server unix:/x weight=2;");
            self.fill(Context::Upstream, &mut text, 1);
            text.push_str("}\n");
        }
        for _ in 0..=self.dice.below(2) {
            self.server(&mut text);
        }
        if self.dice.one_in(6) {
            text.push_str("include conf.d/*.none;\ninclude [a-b]*/*.conf;\n");
            self.files.push(("b1/x.conf".into(), "server { listen unix:@DIR@/s; }\n".into()));
            self.files.push(("a2/y.conf".into(), "default_type 'a/b';".into()));
            self.files.push(("a2/.z.conf".into(), "rubbish }".into()));
        }
        text.push_str("}\n");
        if self.dice.one_in(4) {
            text = self.mutated(text);
        }
        self.files.insert(0, ("nginx.conf".into(), text));
        Case { files: self.files }
    }

    fn server(&mut self, text: &mut String) {
        text.push_str("server {\n listen unix:@DIR@/s; server_name a.example *.b.example;\n");
        let before = std::mem::take(&mut self.once);
        self.fill(Context::Server, text, 5);
        if self.dice.one_in(4) {
            text.push_str("if ($request_method != GET) {");
            self.fill(Context::ServerIf, text, 1);
            text.push_str("return 405; }\n");
        }
        for number in 0..self.dice.below(4) {
            let kinds = ["= /", "/", "^~ /s", "~ \\.p$", "~* ^/i", "=/e", "@n", "\"/q uoted\""];
            let number = if self.dice.one_in(40) { 0 } else { number };
            let name = format!("{}{number}", self.dice.pick(&kinds));
            text.push_str(&format!(" location {name} {{\n"));
            let before = std::mem::take(&mut self.once);
            self.fill(Context::Location, text, 4);
            if self.dice.one_in(10) {
                let inner = self.dice.pick(&["~ x", "~ y", "~* z", "/0/x", "/elsewhere", "@m"]);
                text.push_str(&format!("location {inner} {{ internal; }}\n"));
            }
            if self.dice.one_in(8) {
                let test =
                    ["($host)", "( $host ~* a )", "(-f $uri)", "($host = )", "(host)", "(!-d /x)"];
                text.push_str(&format!("if {} {{", self.dice.pick(&test)));
                self.fill(Context::LocationIf, text, 1);
                text.push_str("}\n");
            }
            if self.dice.one_in(5) {
                text.push_str("limit_except GET POST { deny all; }\n");
            }
            self.once = before;
            text.push_str(" }\n");
        }
        self.once = before;
        text.push_str("}\n");
    }

    /// Directives of a context, some in a file of their own.
    fn fill(&mut self, context: Context, text: &mut String, most: usize) {
        for _ in 0..self.dice.below(most + 1) {
            let directive = self.directive(context);
            if self.dice.one_in(10) {
                let name = format!("i/{}.conf", self.files.len());
                text.push_str(&format!("include {name};\n"));
                let end = self.dice.pick(&["", "\n", " # end", "\r\n"]);
                self.files.push((name, format!("{directive}{end}")));
            } else {
                text.push_str(&directive);
                let end = self.dice.pick(&["\n", " ", "\r\n", "# c }\n", "\n\n\t"]);
                text.push_str(end);
            }
        }
    }

    fn directive(&mut self, context: Context) -> String {
        // Sometimes a directive of another context.
        let of = match self.dice.one_in(250) {
            true => FRAMES[self.dice.below(FRAMES.len())].0,
            false => context,
        };
        let (_, from) = self.by_context.iter().find(|(own, _)| *own == of).unwrap();
        if from.is_empty() || self.dice.one_in(5) {
            return self.custom(context);
        }
        let name = from[self.dice.below(from.len())];
        if self.once.contains(&name) && !self.dice.one_in(120) {
            return self.custom(context);
        }
        self.once.push(name);
        let (_, _, value) = shape(name, of).unwrap();
        let roll = self.dice.below(60);
        let value =
            if roll == 0 && self.dice.one_in(5) { wrong(value) } else { right(value, roll) };
        let gap = self.dice.pick(&[" ", "\t", "  ", "\n   ", " # why\n "]);
        let end = if self.dice.one_in(400) { " extra;" } else { ";" };
        format!("{name}{gap}{value}{end}")
    }

    /// Directives whose values are not checked, with every way to write a word.
    fn custom(&mut self, context: Context) -> String {
        let words: &[&str] = match context {
            Context::Main => &["env A=b;", "env \"X Y=z\";", "env \\$x;"],
            Context::Events => &["debug_connection unix:;"],
            Context::Upstream => &["server unix:/y backup;", "server unix:/z down;"],
            Context::ServerIf => &["set $a b;", "set $a \"${host}x\";", "break;"],
            _ if context == Context::LimitExcept => &["deny all;"],
            _ => &[
                "add_header X-A \"a; b\";",
                "add_header X-B 'it\\'s' always;",
                "add_header X-C ${host}${uri};",
                "add_header X-D a#b;",
                "add_header X-E \"\";",
                "add_header X-F a\\ b;",
                "add_header X-G \\;;",
                "add_header X-H {a};",
                "add_header X-I a{b;",
                "add_header X-J \"a\"b;",
                "add_header X-K 'a\nb';",
                "add_header X-L \"a\\\\\\\"b\";",
                "add_header \"X\"{;",
                "add_header X-M 'a',;",
                "error_page 404 500 /x;",
                "error_page 404 = @n;",
                "add_header X-N 'a')x;",
            ],
        };
        // The odd ones are mostly errors: not too many of them.
        let count = if self.dice.one_in(25) { words.len() } else { words.len().min(7) };
        words[self.dice.below(count)].to_string()
    }

    /// One byte more or less, mostly where it matters.
    fn mutated(&mut self, text: String) -> String {
        let mut bytes = text.into_bytes();
        let signs: Vec<usize> =
            (0..bytes.len()).filter(|at| b"{};\"'#\\$ \n".contains(&bytes[*at])).collect();
        let at = signs[self.dice.below(signs.len())];
        match self.dice.below(3) {
            0 => drop(bytes.remove(at)),
            1 => bytes.insert(
                at,
                self.dice.pick(&["{", "}", ";", "\"", "'", "#", "\\", "\n"]).as_bytes()[0],
            ),
            _ => {
                bytes[at] =
                    self.dice.pick(&["{", "}", ";", "\"", "'", " ", "\n", "x"]).as_bytes()[0]
            }
        }
        String::from_utf8(bytes).unwrap()
    }
}
