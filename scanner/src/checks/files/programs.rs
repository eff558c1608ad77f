//! Programs by name: those that distributions ship set-id, and those that never may be.

use std::path::Path;

use crate::files::Found;

/// Programs that distributions ship with a set-id bit, by name; consulted where no package database
/// can be. A file of such a name elsewhere than [`PROGRAM_DIRECTORIES`] is not believed.
const KNOWN_SET_ID: &[&str] = &[
    "at",
    "bsd-write",
    "chage",
    "chfn",
    "chrome-sandbox",
    "chsh",
    "cockpit-session",
    "crontab",
    "dbus-daemon-launch-helper",
    "dotlockfile",
    "exim4",
    "expiry",
    "fusermount",
    "fusermount3",
    "gpasswd",
    "grub2-set-bootflag",
    "ksu",
    "locate",
    "lockdev",
    "mail-lock",
    "mail-touchlock",
    "mail-unlock",
    "mount",
    "mount.cifs",
    "mount.nfs",
    "newgidmap",
    "newgrp",
    "newuidmap",
    "ntfs-3g",
    "opensmtpd",
    "pam_extrausers_chkpwd",
    "pam_timestamp_check",
    "passwd",
    "ping",
    "ping6",
    "pkexec",
    "plocate",
    "polkit-agent-helper-1",
    "postdrop",
    "postqueue",
    "pppd",
    "procmail",
    "screen",
    "sendmail",
    "sg",
    "snap-confine",
    "ssh-agent",
    "ssh-keysign",
    "staprun",
    "su",
    "sudo",
    "sudo-rs",
    "sudoedit",
    "traceroute6.iputils",
    "umount",
    "umount.nfs",
    "unix_chkpwd",
    "usernetctl",
    "utempter",
    "vmware-user-suid-wrapper",
    "wall",
    "write",
    "Xorg.wrap",
];

/// Where distributions put such programs.
const PROGRAM_DIRECTORIES: &[&str] =
    &["/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/lib", "/usr/lib64", "/usr/libexec", "/lib"];

/// Programs that give whoever runs them a shell, or let him write any file: with a set-user-id bit of
/// root's on one of them every user is root, whichever package brought it. Versions are cut off.
const NEVER_SET_UID: &[&str] = &[
    "ash",
    "awk",
    "base64",
    "bash",
    "busybox",
    "cat",
    "chmod",
    "chown",
    "chroot",
    "cp",
    "curl",
    "dash",
    "dd",
    "docker",
    "ed",
    "emacs",
    "env",
    "find",
    "fish",
    "gawk",
    "gcc",
    "gdb",
    "git",
    "install",
    "ip",
    "java",
    "ksh",
    "less",
    "lua",
    "make",
    "mawk",
    "more",
    "mv",
    "nano",
    "nice",
    "nmap",
    "node",
    "nohup",
    "nsenter",
    "openssl",
    "perl",
    "php",
    "python",
    "rsync",
    "ruby",
    "run-parts",
    "rvim",
    "sed",
    "setarch",
    "sh",
    "socat",
    "ssh",
    "start-stop-daemon",
    "strace",
    "systemctl",
    "tail",
    "tar",
    "taskset",
    "tclsh",
    "tcsh",
    "tee",
    "time",
    "timeout",
    "unshare",
    "vi",
    "vim",
    "vim.basic",
    "vim.tiny",
    "watch",
    "wget",
    "xargs",
    "zsh",
];

/// A shell or the like that runs as root whoever starts it.
pub(super) fn is_open_door(found: &Found) -> bool {
    let name = found.path.file_name().and_then(|name| name.to_str()).unwrap_or("");
    let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    found.stat.uid == 0 && found.stat.mode & 0o4001 == 0o4001 && NEVER_SET_UID.contains(&name)
}

/// Whether distributions ship a program of this name and place with a set-id bit.
pub(super) fn is_known(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
    KNOWN_SET_ID.contains(&name)
        && PROGRAM_DIRECTORIES.iter().any(|directory| path.starts_with(directory))
}
