use parsers::tree::Tree;
use scanner::files::*;
fn main() {
    let tree = scanner::RootedTree::open(std::path::Path::new("/")).unwrap();
    for _ in 0..3 {
        let t = std::time::Instant::now();
        let table = MountTable::read(&tree);
        let walk = Walk::read(&tree, &table);
        println!("walk {:?} {}", t.elapsed(), walk.coverage());
        println!(
            "{:?} setid {} writable {} keys {} odd {}",
            walk.unseen,
            walk.set_id.len(),
            walk.writable.len(),
            walk.keys.len(),
            walk.odd.len()
        );
        let t = std::time::Instant::now();
        let i = std::sync::Arc::new(scanner::packages::Installed::read(&tree));
        println!("installed {:?}", t.elapsed());
        let t = std::time::Instant::now();
        let p = scanner::packages::Packages::read(&tree, i);
        println!("index {:?} {}", t.elapsed(), p.files());
        let t = std::time::Instant::now();
        println!(
            "load {:?} {:?}",
            scanner::packages::Packages::load(&tree, &["/usr/sbin/sshd".into()]),
            t.elapsed()
        );
        let _ = tree.read_config("/etc/passwd");
    }
}
