//! Gives up every right of this process, for good: what it may still do is in [`syscalls`](super::syscalls).
//!
//! Everything is tried; what cannot be reached is said in the [`Level`], and somebody else decides whether
//! that is enough. To be called while the process has one thread.

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, LandlockStatus, Ruleset, RulesetAttr as _,
    RulesetStatus, Scope,
};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::Level;
use super::syscalls;

/// Most memory that it may write to, in bytes (`RLIMIT_DATA`). Not its address space: a log that is mapped
/// counts there, however large it is, and so does what an allocator only reserves.
const DATA_BYTES_MAX: u64 = 1 << 30;
/// Most descriptors.
const DESCRIPTORS_MAX: u64 = 1_024;
/// Newest interface of landlock that is asked for; older kernels give what they have.
const NEWEST: ABI = ABI::V9;
/// Bits of a set of capabilities that may have a meaning.
const CAPABILITIES_MAX: u32 = 63;

/// Gives up everything.
pub fn close() -> Level {
    let mut level = Level::default();
    let mut note = |what: &str, done: Result<(), String>| match done {
        Ok(()) => true,
        Err(why) => {
            level.missing.push(format!("{what} ({why})"));
            false
        }
    };
    let limits = note("limits", limit().map_err(|errno| errno.to_string()));
    let no_capabilities =
        note("no capabilities", drop_capabilities().map_err(|errno| errno.to_string()));
    let landlock = landlock();
    note("landlock", landlock.clone().map(drop));
    let seccomp = note("seccomp", syscalls::filter());
    Level { landlock_abi: landlock.ok(), seccomp, no_capabilities, limits, ..level }
}

/// Bounds, and nobody who looks into it, and an end when the broker ends.
fn limit() -> Result<(), Errno> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    for (resource, most) in
        [(Resource::Core, 0), (Resource::Data, DATA_BYTES_MAX), (Resource::Nofile, DESCRIPTORS_MAX)]
    {
        let held = rustix::process::getrlimit(resource);
        let most = held.maximum.map_or(most, |held| held.min(most));
        rustix::process::setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    Ok(())
}

/// Empties all sets. The bounding and the inheritable set only matter to who starts a program, which this
/// process can no longer do; emptying the one takes a capability that the service has not, emptying the other a
/// call that its unit's filter refuses: they are emptied where that works.
fn drop_capabilities() -> Result<(), Errno> {
    for bit in 0..=CAPABILITIES_MAX {
        let one = CapabilitySet::from_bits_retain(1 << bit);
        if rustix::thread::capability_is_in_bounding_set(one).unwrap_or(false) {
            let _ = rustix::thread::remove_capability_from_bounding_set(one);
        }
    }
    rustix::thread::clear_ambient_capability_set()?;
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    let set = rustix::thread::set_capabilities(None, sets);
    rustix::thread::set_no_new_privs(true)?;
    let held = rustix::thread::capabilities(None)?;
    match held.effective.is_empty() && held.permitted.is_empty() {
        true => Ok(()),
        false => Err(set.err().unwrap_or(Errno::PERM)),
    }
}

/// Handles every right that landlock knows and allows none; the version of its interface.
pub(super) fn landlock() -> Result<u32, String> {
    let restrict = || {
        Ruleset::default()
            .handle_access(AccessFs::from_all(NEWEST))?
            .handle_access(AccessNet::from_all(NEWEST))?
            .scope(Scope::from_all(NEWEST))?
            .create()?
            .restrict_self()
    };
    let status = restrict().map_err(|error| error.to_string())?;
    match (status.ruleset, status.landlock) {
        (RulesetStatus::NotEnforced, LandlockStatus::NotImplemented) => {
            Err("not in this kernel".into())
        }
        (RulesetStatus::NotEnforced, _) => Err("not enabled in this kernel".into()),
        (_, LandlockStatus::Available { effective_abi, .. }) => Ok(effective_abi as u32),
        _ => Err("not available".into()),
    }
}
