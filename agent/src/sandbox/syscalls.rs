//! The system calls that the child may make: none that takes a path, makes a socket, starts a program,
//! signals or looks into another process, or makes memory executable.
//!
//! Three filters, of which the strictest answer counts: a list of what is allowed (all else is refused with
//! `EPERM`), a list of what nobody calls by mistake (that ends the process), and `clone3`, whose arguments no
//! filter can see (it is "not there", so that threads are made with `clone`).

use std::collections::BTreeMap;

use seccompiler::SeccompCmpArgLen::{Dword, Qword};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

/// Allowed as they are.
const ALLOWED: &[i64] = &[
    // What is open already, or was sent.
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_lseek,
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_fadvise64,
    libc::SYS_readahead,
    libc::SYS_ppoll,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    // Memory.
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_mincore,
    // Threads and time.
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_membarrier,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // About itself.
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getrandom,
    libc::SYS_uname,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_time,
];

/// Whoever calls one of these in here is an attacker.
const DEADLY: &[i64] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_open_by_handle_at,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
];

/// Applies the filters, to every thread there is and will be.
pub fn filter() -> Result<(), String> {
    let programs = programs().map_err(|error| error.to_string())?;
    for program in &programs {
        seccompiler::apply_filter_all_threads(program).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// The list of what is allowed comes last: applying a filter is nothing that it allows.
fn programs() -> Result<[BpfProgram; 3], seccompiler::BackendError> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let made = |rules, other, these| -> Result<BpfProgram, seccompiler::BackendError> {
        SeccompFilter::new(rules, other, these, arch)?.try_into()
    };
    let errno = |errno: i32| SeccompAction::Errno(errno.unsigned_abs());
    let plain = |calls: &[i64]| calls.iter().map(|call| (*call, Vec::new())).collect();
    let deadly = made(plain(DEADLY), SeccompAction::Allow, SeccompAction::KillProcess)?;
    let clone3 = made(plain(&[libc::SYS_clone3]), SeccompAction::Allow, errno(libc::ENOSYS))?;
    let mut allowed: BTreeMap<i64, Vec<SeccompRule>> = plain(ALLOWED);
    allowed.extend(bounded()?);
    // These come to their own filters.
    allowed.extend(plain(DEADLY));
    allowed.extend(plain(&[libc::SYS_clone3]));
    let list = made(allowed, errno(libc::EPERM), SeccompAction::Allow)?;
    Ok([deadly, clone3, list])
}

/// Calls that are allowed with some arguments.
fn bounded() -> Result<BTreeMap<i64, Vec<SeccompRule>>, seccompiler::BackendError> {
    let own = u64::from(std::process::id());
    let bits = |mask: i32| SeccompCmpOp::MaskedEq(u64::from(mask.unsigned_abs()));
    let number = |number: i32| u64::from(number.unsigned_abs());
    let arg = |place, op, value| SeccompCondition::new(place, Dword, op, value);
    let not_executable = || -> Result<_, seccompiler::BackendError> {
        Ok(vec![SeccompRule::new(vec![arg(2, bits(libc::PROT_EXEC), 0)?])?])
    };
    let duplicate = [libc::F_DUPFD_CLOEXEC, libc::F_GETFD, libc::F_SETFD, libc::F_GETFL];
    let thread = libc::CLONE_THREAD | libc::CLONE_VM;
    let mut rules = BTreeMap::new();
    rules.insert(libc::SYS_mmap, not_executable()?);
    rules.insert(libc::SYS_mprotect, not_executable()?);
    let clone = arg(0, bits(thread), number(thread))?;
    rules.insert(libc::SYS_clone, vec![SeccompRule::new(vec![clone])?]);
    let mut fcntl = Vec::new();
    for command in duplicate {
        fcntl.push(SeccompRule::new(vec![arg(1, SeccompCmpOp::Eq, number(command))?])?);
    }
    rules.insert(libc::SYS_fcntl, fcntl);
    let name = arg(0, SeccompCmpOp::Eq, number(libc::PR_SET_NAME))?;
    rules.insert(libc::SYS_prctl, vec![SeccompRule::new(vec![name])?]);
    // What abort(3) does.
    let itself = arg(0, SeccompCmpOp::Eq, own)?;
    rules.insert(libc::SYS_tgkill, vec![SeccompRule::new(vec![itself])?]);
    // Its own limits, and only to read them.
    let reads = SeccompCondition::new(2, Qword, SeccompCmpOp::Eq, 0)?;
    let itself = arg(0, SeccompCmpOp::Eq, 0)?;
    rules.insert(libc::SYS_prlimit64, vec![SeccompRule::new(vec![itself, reads])?]);
    Ok(rules)
}
