use super::*;
use crate::config::settings::Rule;
use crate::tree::MemoryTree;

const LIB: &str = "/usr/lib/systemd/system";
const ETC: &str = "/etc/systemd/system";

fn load(tree: &MemoryTree, name: &str) -> Unit {
    Unit::load(tree, &UnitFiles::list(tree), name)
}

fn values(unit: &Unit, key: &str) -> Vec<String> {
    unit.settings.get(key).map_or(vec![], |s| s.values.iter().map(|v| v.value.clone()).collect())
}

#[test]
fn dropins_come_in_the_order_of_their_names_and_mask_by_name() {
    let tree = MemoryTree::new()
        .file(&format!("{LIB}/a-b.service"), "[Unit]\nAfter=x.service\n[Service]\nUser=one\n")
        .file(&format!("{LIB}/a-b.service.d/20.conf"), "[Service]\nUser=lib\n")
        .file(&format!("{ETC}/a-b.service.d/20.conf"), "[Service]\nUser=etc\n")
        .file("/run/systemd/system/a-.service.d/30.conf", "[Service]\nUser=prefix\n")
        .file(&format!("{LIB}/service.d/10.conf"), "[Unit]\nAfter=\nAfter=y.service\n")
        .file(&format!("{ETC}/a-b.service.d/README"), "[Service]\nUser=no\n")
        .file(&format!("{ETC}/a-b.service.d/.hidden.conf"), "[Service]\nUser=no\n");
    let unit = load(&tree, "a-b.service");
    assert_eq!(unit.settings.value("Service.User"), Some("prefix"));
    let old = &unit.settings.get("Service.User").unwrap().overrides;
    let old: Vec<_> = old.iter().map(|o| o.value.place.to_string()).collect();
    assert_eq!(old, [format!("{LIB}/a-b.service:4:1"), format!("{ETC}/a-b.service.d/20.conf:2:1")]);
    assert_eq!(values(&unit, "Unit.After"), ["x.service", "y.service"]);
    assert_eq!(unit.masked_dropins.len(), 1);
    assert_eq!(unit.dropins.len(), 3);
}

#[test]
fn empty_assignments_reset_lists_and_are_ignored_by_what_takes_none() {
    let text = "[Unit]\nConditionHost=a\nConditionPathExists=/x\nConditionUser=\nConditionUser=root\n\
        [Service]\nExecStart=/a\nExecStart=/b\nEnvironment=A=1\nEnvironment=\nNoNewPrivileges=yes\n\
        NoNewPrivileges=\nUser=x\nUser=\nCapabilityBoundingSet=\n";
    let unit = load(&MemoryTree::new().file(&format!("{ETC}/a.service"), text), "a.service");
    assert_eq!(unit.load, Load::Loaded);
    assert!(values(&unit, "Unit.ConditionHost").is_empty());
    assert_eq!(values(&unit, "Unit.ConditionUser"), ["root"]);
    assert_eq!(values(&unit, "Service.ExecStart"), ["/a", "/b"]);
    let environment = unit.settings.get("Service.Environment").unwrap();
    assert_eq!(environment.overrides[0].rule, Rule::EmptyResets);
    assert_eq!(unit.settings.value("Service.NoNewPrivileges"), Some("yes"));
    assert_eq!(unit.settings.value("Service.User"), Some(""));
    assert_eq!(unit.settings.get("Service.CapabilityBoundingSet").unwrap().values.len(), 0);
    assert_eq!(unit.settings.problems.len(), 1);
}

#[test]
fn masks_aliases_templates_and_instances_are_found() {
    let tree = MemoryTree::new()
        .link(&format!("{ETC}/null.service"), "/dev/null")
        .file(&format!("{LIB}/null.service"), "[Service]\nExecStart=/a\n")
        .file(&format!("{ETC}/empty.service"), "")
        .file(&format!("{LIB}/real.service"), "[Service]\nExecStart=/real\n")
        .link(&format!("{ETC}/other.service"), "../../../usr/lib/systemd/system/real.service")
        .file(&format!("{ETC}/other.service.d/x.conf"), "[Service]\nUser=alias\n")
        .link(&format!("{ETC}/wrong.socket"), "/usr/lib/systemd/system/real.service")
        .file(&format!("{LIB}/get@.service"), "[Service]\nExecStart=/get %i\n")
        .file(&format!("{ETC}/get@tty1.service.d/x.conf"), "[Service]\nUser=t\n")
        .file(&format!("{ETC}/get@.service.d/a.conf"), "[Service]\nUser=u\nGroup=g\n")
        .file("/opt/linked.service", "[Service]\nExecStart=/l\n")
        .link(&format!("{ETC}/linked.service"), "/opt/linked.service")
        .file(&format!("{ETC}/no.service.d/x.conf"), "[Service]\nUser=no\n");
    assert_eq!(load(&tree, "null.service").load, Load::Masked);
    assert_eq!(load(&tree, "empty.service").load, Load::Masked);
    let unit = load(&tree, "other.service");
    assert_eq!((unit.name.as_str(), unit.aliases), ("real.service", vec!["other.service".into()]));
    assert_eq!(unit.settings.value("Service.User"), Some("alias"));
    let unit = load(&tree, "get@tty1.service");
    assert_eq!(unit.settings.value("Service.ExecStart"), Some("/get %i"));
    assert_eq!(unit.settings.value("Service.User"), Some("t"));
    assert_eq!(unit.settings.value("Service.Group"), Some("g"));
    assert_eq!(load(&tree, "linked.service").settings.value("Service.ExecStart"), Some("/l"));
    let unit = load(&tree, "no.service");
    assert_eq!((unit.load, unit.settings.by_key.len()), (Load::NotFound, 0));
    assert_eq!(UnitFiles::list(&tree).refused.len(), 1);
    let names: Vec<String> = UnitFiles::list(&tree).names().map(str::to_string).collect();
    assert_eq!(names, ["empty.service", "get@.service", "linked.service", "real.service"]);
}

#[test]
fn a_fault_refuses_the_unit_or_ends_the_dropin() {
    let tree = MemoryTree::new()
        .file(&format!("{ETC}/a.service"), "[Service]\nExecStart=/a\n")
        .file(&format!("{ETC}/a.service.d/a.conf"), "[Service]\nUser=a\n[broken\nUser=b\n")
        .file(&format!("{ETC}/a.service.d/b.conf"), "[Service]\nGroup=g\nDynamicUser=\nGroup=h\n")
        .file(&format!("{ETC}/b.service"), "[Service]\nExecStart=/a\n[broken\n");
    let unit = load(&tree, "a.service");
    assert_eq!(unit.load, Load::Loaded);
    assert_eq!(unit.settings.value("Service.User"), Some("a"));
    assert_eq!(unit.settings.value("Service.Group"), Some("g"));
    assert_eq!(load(&tree, "b.service").load, Load::Refused);
}

#[test]
fn what_could_not_be_read_is_told_and_numbers_are_bounded() {
    let mut tree = MemoryTree::new()
        .file(&format!("{ETC}/a.service"), "[Service]\nExecStart=/a\n")
        .special(&format!("{ETC}/a.service.d/f.conf"), FileKind::Fifo)
        .special(&format!("{ETC}/p.service"), FileKind::Fifo)
        .denied(&format!("{ETC}/a.service.d/d.conf"))
        .link(&format!("{ETC}/loop1.service"), "loop2.service")
        .link(&format!("{ETC}/loop2.service"), "loop1.service");
    assert_eq!(load(&tree, "a.service").settings.unread.len(), 2);
    assert_eq!(load(&tree, "p.service").load, Load::Unread);
    assert_eq!(load(&tree, "loop1.service").load, Load::NotFound);
    for number in 0..DROPINS_MAX - 2 {
        tree = tree.file(&format!("{ETC}/a.service.d/{number}.conf"), "[Service]\nUser=x\n");
    }
    assert_eq!(load(&tree, "a.service").settings.unread.len(), 2);
    tree = tree.file(&format!("{ETC}/a.service.d/z.conf"), "[Service]\nUser=z\n");
    let unit = load(&tree, "a.service");
    assert!(unit.settings.unread.iter().any(|e| e.why == Why::TooMany(DROPINS_MAX)));
}

#[test]
fn one_file_alone_is_read_as_its_name_tells() {
    let unit =
        Unit::parse("/etc/systemd/system/a.timer.d/x.conf", b"[Timer]\nOnBootSec=1\n[Service]\n");
    assert_eq!((unit.name.as_str(), unit.settings.problems.len()), ("a.timer", 1));
    assert_eq!(unit.settings.value("Timer.OnBootSec"), Some("1"));
    let shown = unit.to_json();
    assert_eq!(shown["settings"]["Timer.OnBootSec"]["line"], 2);
}
