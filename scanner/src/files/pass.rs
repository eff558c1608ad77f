//! One pass of the walk: directories are handed around between a few threads until none is left.
//!
//! A worker goes down its own directories depth first and gives some away only when another waits, so
//! that the lock is taken a few dozen times and not once a directory. Stopping at a limit is seen by
//! all workers before their next directory.

use std::path::Path;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

use parsers::tree::{FileKind, Links, Tree, Visited, Why};

use super::{
    DEPTH_MAX, DIRECTORIES_ONLY, Entering, Gathered, MountTable, SHARED, TIME_MAX, of_interest,
};

/// A directory to visit.
struct Task {
    path: PathBuf,
    levels: u32,
    device: u64,
    shared: bool,
    data: bool,
}

/// What the workers share.
struct Queue {
    tasks: Vec<Task>,
    busy: usize,
    waiting: usize,
}

pub(super) struct Pass<'a> {
    tree: &'a dyn Tree,
    table: &'a MountTable,
    queue: Mutex<Queue>,
    changed: Condvar,
    /// Somebody waits for directories: whoever has some left over gives them away.
    hungry: AtomicBool,
    entries: AtomicU64,
    entries_max: u64,
    stopped: AtomicBool,
    deadline: Instant,
}

/// A worker that has directories. Counted down when dropped, also by a panic: the others must not wait
/// for one that is gone.
struct Busy<'a, 'b>(&'a Pass<'b>);

impl Drop for Busy<'_, '_> {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        queue.busy -= 1;
        if queue.busy == 0 {
            self.0.changed.notify_all();
        }
    }
}

impl<'a> Pass<'a> {
    pub(super) fn new(tree: &'a dyn Tree, table: &'a MountTable, entries_max: u64) -> Self {
        Self {
            tree,
            table,
            queue: Mutex::new(Queue { tasks: Vec::new(), busy: 0, waiting: 0 }),
            hungry: AtomicBool::new(false),
            changed: Condvar::new(),
            entries: AtomicU64::new(0),
            entries_max,
            stopped: AtomicBool::new(false),
            deadline: Instant::now() + TIME_MAX,
        }
    }

    pub(super) fn run(self, scopes: &[(&str, u32)], threads: usize) -> Gathered {
        let mut gathered = Gathered::default();
        let tasks = self.start(scopes, &mut gathered);
        self.lock().tasks = tasks;
        std::thread::scope(|scope| {
            let workers: Vec<_> = (1..threads).map(|_| scope.spawn(|| self.work())).collect();
            gathered.add(self.work());
            for worker in workers {
                gathered.add(worker.join().expect("a walk does not panic"));
            }
        });
        let walk = &mut gathered.walk;
        walk.entries = self.entries.load(Ordering::Relaxed);
        if self.stopped.load(Ordering::Relaxed) {
            walk.unseen.push(format!(
                "files: the walk stopped after {} entries (limits: {} entries, {} s)",
                walk.entries,
                self.entries_max,
                TIME_MAX.as_secs()
            ));
        }
        gathered
    }

    /// The starting directories that exist; the last of the list is visited first.
    fn start(&self, scopes: &[(&str, u32)], gathered: &mut Gathered) -> Vec<Task> {
        let mut tasks = Vec::new();
        for (name, levels) in scopes {
            let path = Path::new(name);
            if let Some(why) = self.table.refuses(path) {
                gathered.walk.passed_by.push(format!("{name} ({why})"));
                continue;
            }
            match self.tree.stat(path, Links::Keep) {
                Ok(stat) if stat.kind == FileKind::Directory => {
                    gathered.walk.covered.push((*name).to_string());
                    let shared = SHARED.contains(name);
                    gathered.consider(path, &stat, false);
                    let (path, device) = (path.to_path_buf(), stat.device);
                    tasks.push(Task { path, levels: *levels, device, shared, data: false });
                }
                // A merged /usr: where the link leads is a starting path itself.
                Ok(stat) if stat.kind == FileKind::Link && levels == &DEPTH_MAX => {}
                Ok(stat) if stat.kind == FileKind::Link => {
                    gathered.walk.passed_by.push(format!("{name} (a link)"));
                }
                Ok(_) => {}
                Err(error) if error.not_found() => {}
                Err(error) => gathered.failed.push(error),
            }
        }
        tasks.reverse();
        tasks
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) -> Gathered {
        let mut gathered = Gathered::default();
        let mut mine = Vec::new();
        while let Some(task) = self.next() {
            let _busy = Busy(self);
            mine.push(task);
            while let Some(task) = mine.pop() {
                if self.stopped.load(Ordering::Relaxed) || Instant::now() > self.deadline {
                    self.stopped.store(true, Ordering::Relaxed);
                    mine.clear();
                    break;
                }
                self.visit(&task, &mut gathered, &mut mine);
                if mine.len() > 1 && self.hungry.load(Ordering::Relaxed) {
                    self.give(&mut mine);
                }
            }
        }
        gathered
    }

    /// Gives away the older half: directories further up have more below them.
    fn give(&self, mine: &mut Vec<Task>) {
        let mut queue = self.lock();
        queue.tasks.extend(mine.drain(..mine.len() / 2));
        self.hungry.store(false, Ordering::Relaxed);
        self.changed.notify_all();
    }

    /// The next directory; waits while others may still find some.
    fn next(&self) -> Option<Task> {
        let mut queue = self.lock();
        loop {
            if let Some(task) = queue.tasks.pop() {
                queue.busy += 1;
                self.hungry.store(queue.waiting > 0 && queue.tasks.is_empty(), Ordering::Relaxed);
                return Some(task);
            }
            if queue.busy == 0 {
                return None;
            }
            self.hungry.store(true, Ordering::Relaxed);
            queue.waiting += 1;
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
            queue.waiting -= 1;
        }
    }

    fn visit(&self, task: &Task, gathered: &mut Gathered, below: &mut Vec<Task>) {
        let mut count = 0;
        let result = self.tree.visit(&task.path, &mut |entry| {
            count += 1;
            self.entry(task, &entry, gathered, below);
        });
        let before = self.entries.fetch_add(count, Ordering::Relaxed);
        if before + count > self.entries_max {
            self.stopped.store(true, Ordering::Relaxed);
        }
        match result {
            Ok(()) => {}
            Err(error) if error.why == Why::Denied => gathered.denied.push(error.path),
            // It went away while we looked, or is now something else.
            Err(error) if matches!(error.why, Why::NotFound | Why::NotDirectory) => {}
            Err(error) => gathered.failed.push(error),
        }
    }

    fn entry(
        &self,
        task: &Task,
        entry: &Visited<'_>,
        gathered: &mut Gathered,
        below: &mut Vec<Task>,
    ) {
        match entry.kind {
            FileKind::Regular if task.data => {}
            FileKind::Regular => {
                let Ok(stat) = (entry.stat)() else { return };
                if of_interest(&stat, task.shared, entry.name.as_encoded_bytes()) {
                    gathered.consider(&task.path.join(entry.name), &stat, task.shared);
                }
            }
            FileKind::Directory => {
                let path = task.path.join(entry.name);
                // Before stat: to ask a dead server for the facts of its root would hang.
                let entering = self.table.entering(&path);
                if let Entering::Never(why) = entering {
                    let shown = crate::redact::printable(&path.to_string_lossy());
                    gathered.walk.passed_by.push(format!("{shown} ({why})"));
                    return;
                }
                let Ok(stat) = (entry.stat)() else { return };
                gathered.consider(&path, &stat, task.shared);
                if stat.device != task.device
                    && entering == Entering::Inside
                    && !self.has_subvolumes(&path)
                {
                    gathered.foreign.push(path);
                } else if task.levels > 1 {
                    let (levels, device) = (task.levels - 1, stat.device);
                    let data = task.data || is_data(&path);
                    below.push(Task { path, levels, device, shared: task.shared, data });
                } else if task.path.components().count() > DEPTH_MAX as usize {
                    gathered.too_deep.push(path);
                }
            }
            _ => {}
        }
    }

    /// Subvolumes have device numbers of their own without being mounts.
    fn has_subvolumes(&self, path: &Path) -> bool {
        self.table
            .mount_of(path)
            .is_some_and(|mount| matches!(mount.fs_type.as_str(), "btrfs" | "bcachefs"))
    }
}

fn is_data(path: &Path) -> bool {
    DIRECTORIES_ONLY.iter().any(|tree| path == Path::new(tree))
}
