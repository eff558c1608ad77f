//! Asset role: what the host is there for, and what the evidence touches.
//!
//! The operator may declare the role; otherwise it is inferred where exactly one is served to others.
//! Evidence about the service that the host is there for weighs more, and so does what touches the
//! things that everything else on a host rests on: the accounts, the kernel, the logs, root. It never
//! lowers: what is not the host's main purpose is a way in all the same.

use crate::context::Role;
use crate::experts::{KERNEL, OPERATOR, RULES, around, opinion, shown_by, uses};
use crate::gate::Needs;
use crate::{Context, Evidence, Expert, Exposure, Kind, Opinion, Severity};

/// The services of each role that is inferred; a bastion cannot be told from any host with SSH.
const SERVED: &[(Role, &[&str])] = &[
    (Role::Web, &["http"]),
    (Role::Database, &["postgresql", "mysql", "mongodb", "redis", "elasticsearch"]),
    (Role::Mail, &["smtp", "imap"]),
    (Role::Dns, &["dns"]),
    (Role::Files, &["smb", "nfs", "ftp"]),
];

/// Files that everything else rests on, by the beginning of their path.
const FILES: &[(&str, &str)] = &[
    ("/etc/shadow", "the passwords of all accounts"),
    ("/etc/gshadow", "the passwords of all groups"),
    ("/etc/passwd", "who has an account"),
    ("/etc/group", "who belongs to which group"),
    ("/etc/sudoers", "who may act as root"),
    ("/etc/pam.d/", "how everybody is let in"),
    ("/etc/ld.so.preload", "code that runs in every program"),
    ("/root/.ssh/", "the keys that open root"),
    ("/boot/", "what the host starts with"),
];

/// Techniques that go for what everything else rests on.
const TECHNIQUES: &[(&str, &str)] = &[
    ("attack.t1547.006", "the kernel itself"),
    ("attack.t1014", "what the host can see of itself"),
    ("attack.t1562", "the logs that would tell"),
    ("attack.t1070", "the logs that would tell"),
    ("attack.t1136", "who has an account"),
    ("attack.t1098", "what an account may do"),
];

/// The expert.
pub struct Touched;

impl Expert for Touched {
    fn name(&self) -> &'static str {
        "role"
    }

    fn needs(&self) -> Needs {
        Needs::NOTHING.raised()
    }

    fn judge(&self, evidence: &Evidence, context: &Context) -> Option<Opinion> {
        if evidence.level == Severity::Info {
            return None;
        }
        let distribution = around(evidence.level, 0.0, 0.25);
        if let Some((role, source)) = role(context)
            && let Some(service) = evidence.services.iter().filter(|s| serves(role, s)).min()
        {
            let how = if source == OPERATOR { "declared" } else { "inferred" };
            let rationale = format!("{service} is what this {} is for ({how})", named(role));
            return opinion(self.name(), distribution, 0.5, rationale, &[source]);
        }
        if let Some((where_, what)) = file(evidence) {
            let rationale = format!("it touches {where_}: {what}");
            let files = shown_by(evidence);
            let files: Vec<&str> = files.iter().map(String::as_str).collect();
            return opinion(self.name(), distribution, 0.5, rationale, &files);
        }
        let (tag, what) = TECHNIQUES.iter().find(|(tag, _)| uses(evidence, &[tag]))?;
        let rationale = format!("it goes for {what} ({tag})");
        opinion(self.name(), distribution, 0.5, rationale, &[RULES])
    }
}

/// The role, and who says so; `None` where nobody does, or several are served.
fn role(context: &Context) -> Option<(Role, &'static str)> {
    if let Some(role) = context.operator.role {
        return Some((role, OPERATOR));
    }
    if !context.services_known {
        return None;
    }
    let open = |service: &&str| {
        let known = context.services.get(*service);
        known.is_some_and(|service| service.exposure > Exposure::Loopback)
    };
    let mut served = SERVED.iter().filter(|(_, services)| services.iter().any(open));
    let (role, _) = served.next()?;
    served.next().is_none().then_some((*role, KERNEL))
}

fn serves(role: Role, service: &str) -> bool {
    match role {
        Role::Bastion => service == "ssh",
        _ => SERVED.iter().any(|(one, services)| *one == role && services.contains(&service)),
    }
}

fn named(role: Role) -> &'static str {
    match role {
        Role::Web => "web server",
        Role::Database => "database server",
        Role::Mail => "mail server",
        Role::Dns => "name server",
        Role::Files => "file server",
        Role::Bastion => "bastion",
    }
}

/// The file, or the account of root, that the evidence is about.
fn file(evidence: &Evidence) -> Option<(String, &'static str)> {
    let shown = (evidence.kind != Kind::Activity).then(|| evidence.sources.first()).flatten();
    let path = evidence.subject.path.as_deref().or(shown.map(|source| source.file.as_str()));
    let touched = path.and_then(|path| {
        let (_, what) = FILES.iter().find(|(start, _)| path.starts_with(start))?;
        Some((path.to_string(), *what))
    });
    let is_root = evidence.subject.user.as_deref() == Some("root");
    touched.or_else(|| is_root.then(|| ("root".to_string(), "whoever is root is everybody")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experts::tests::{activity, listening, mean, posture};
    use crate::{Service, Subject};

    fn serving(services: &[(&str, Exposure)]) -> Context {
        let service = |(name, exposure): &(&str, Exposure)| {
            let because = "bound".to_string();
            let service = Service { exposure: *exposure, because, ports: vec![1], uid: None };
            ((*name).to_string(), service)
        };
        let services = services.iter().map(service).collect();
        Context { services, ..listening(Exposure::World) }
    }

    fn about(service: &str) -> Evidence {
        Evidence { services: vec![service.into()], ..posture(Severity::Medium) }
    }

    #[test]
    fn the_service_that_the_host_is_for_weighs_more() {
        let context = serving(&[("ssh", Exposure::World), ("http", Exposure::World)]);
        let said = Touched.judge(&about("http"), &context).unwrap();
        assert_eq!(said.rationale, "http is what this web server is for (inferred)");
        assert!(mean(&said) > 2.0);
        assert!(Touched.judge(&about("ssh"), &context).is_none());
        let mut bastion = context;
        bastion.operator.role = Some(Role::Bastion);
        let said = Touched.judge(&about("ssh"), &bastion).unwrap();
        assert_eq!(said.rationale, "ssh is what this bastion is for (declared)");
        assert!(Touched.judge(&about("http"), &bastion).is_none(), "the operator knows better");
    }

    #[test]
    fn no_role_is_inferred_where_it_could_be_several() {
        let both = serving(&[("postgresql", Exposure::Private), ("http", Exposure::World)]);
        assert!(Touched.judge(&about("http"), &both).is_none());
        let behind = serving(&[("postgresql", Exposure::Loopback), ("http", Exposure::World)]);
        assert!(Touched.judge(&about("http"), &behind).is_some());
        let blind = Context { services_known: false, ..behind };
        assert!(Touched.judge(&about("http"), &blind).is_none());
    }

    #[test]
    fn what_everything_rests_on_is_named() {
        let bare = Evidence { tags: Vec::new(), services: Vec::new(), ..activity(Severity::High) };
        let rationale = |evidence: &Evidence| {
            Touched.judge(evidence, &Context::default()).map(|said| said.rationale)
        };
        let tagged = |tag: &str| Evidence { tags: vec![tag.into()], ..bare.clone() };
        let kernel = rationale(&tagged("attack.t1547.006")).unwrap();
        assert_eq!(kernel, "it goes for the kernel itself (attack.t1547.006)");
        assert!(rationale(&tagged("attack.t1562.001")).unwrap().contains("the logs"));
        let path = Subject { path: Some("/etc/shadow".into()), ..Subject::default() };
        let shadow = rationale(&Evidence { subject: path, ..bare.clone() }).unwrap();
        assert_eq!(shadow, "it touches /etc/shadow: the passwords of all accounts");
        let root = Subject { user: Some("root".into()), ..Subject::default() };
        assert!(rationale(&Evidence { subject: root, ..bare.clone() }).unwrap().contains("root"));
        assert_eq!(rationale(&bare), None);
    }
}
