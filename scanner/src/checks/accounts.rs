//! Accounts: passwd, shadow, group, gshadow, login.defs, and what stands in the homes.
//!
//! Accounts that NSS knows besides the files are used where the caller asked `getent`; a directory that
//! was not asked is said once, by `accounts-directory`. A shadow file that cannot be read makes the
//! checks that need it "not run". Lines are shown without their password field.

use consensus::{Kind, Privilege, Severity};

use super::Check;

mod defaults;
mod homes;
mod identity;
pub(in crate::checks) mod known;
mod passwords;

pub use known::is_login_shell;

const ACCOUNTS: Check = Check {
    techniques: &[],
    id: "",
    title: "",
    why: "",
    kind: Kind::Posture,
    level: Severity::Medium,
    privilege: Privilege::User,
    services: &[],
    remediation: "",
    snippet: "",
    references: &["passwd(5)", "shadow(5)", "CIS Benchmark: User and Group Settings"],
    run: identity::malformed,
};

/// The checks of this area.
pub const CHECKS: &[Check] = &[
    Check {
        id: "accounts-empty-password",
        techniques: &["attack.t1110"],
        title: "Account without a password",
        why: "Whoever knows the name is in, wherever PAM allows empty passwords.",
        level: Severity::High,
        remediation: "Lock the account, or give it a password with passwd(1).",
        snippet: "passwd -l NAME",
        run: passwords::empty,
        ..ACCOUNTS
    },
    Check {
        id: "accounts-hash-in-passwd",
        techniques: &["attack.t1110"],
        title: "Password hash in the world-readable passwd file",
        why: "Every local user and every leaked backup can guess the password offline.",
        level: Severity::High,
        remediation: "Move the hashes to the shadow file, then change the passwords concerned.",
        snippet: "pwconv",
        run: passwords::in_passwd,
        ..ACCOUNTS
    },
    Check {
        id: "accounts-weak-hash",
        techniques: &["attack.t1110"],
        title: "Password is hashed with a weak scheme",
        why: "Hashes of this scheme are guessed at billions a second; a stolen file is a list of \
              passwords.",
        level: Severity::High,
        remediation: "Set ENCRYPT_METHOD to YESCRYPT or SHA512 and have the password changed.",
        snippet: "chage -d 0 NAME",
        references: &["crypt(5)", "shadow(5)"],
        run: passwords::weak_hash,
        ..ACCOUNTS
    },
    Check {
        id: "accounts-uid-zero",
        techniques: &["attack.t1078"],
        title: "Another account than root has user id 0",
        why: "It is root under another name, and often left behind by an intruder.",
        level: Severity::High,
        privilege: Privilege::Root,
        remediation: "Find out who made it; remove it or give it an id of its own.",
        snippet: "userdel NAME",
        references: &["passwd(5)", "CIS Benchmark: Ensure root is the only UID 0 account"],
        run: identity::uid_zero,
        ..ACCOUNTS
    },
    Check {
        id: "accounts-duplicate-uid",
        title: "Two accounts share a user id",
        why: "They own each other's files, and logs cannot tell them apart.",
        remediation: "Give one of them a new id and hand over its files.",
        snippet: "usermod -u NEWID NAME",
        run: identity::duplicate_uid,
        ..ACCOUNTS
    },
    Check {
        id: "accounts-duplicate-name",
        title: "An account or group name stands twice",
        why: "Only the first line counts, so that changes to the other silently do nothing.",
        remediation: "Remove the line that is wrong.",
        snippet: "pwck -r; grpck -r",
        run: identity::duplicate_name,
        ..ACCOUNTS
    },
    Check {
        id: "accounts-system-login",
        title: "System account with a login shell and a password",
        why: "Nobody should log in as a service; its password is often weak and never changed.",
        remediation: "Lock the password and set the shell to nologin.",
        snippet: "usermod -L -s /usr/sbin/nologin NAME",
        run: passwords::system_login,
        ..ACCOUNTS
    },
    Check {
        id: "accounts-no-shadow",
        title: "Account without a line in shadow",
        why: "Its password and its ageing are undefined, and tools may set them anywhere.",
        level: Severity::Low,
        remediation: "Let pwck(8) and pwconv(8) make the missing lines.",
        snippet: "pwck -r && pwconv",
        run: passwords::no_shadow,
        ..ACCOUNTS
    },
    Check {
        id: "accounts-gid-zero",
        techniques: &["attack.t1078"],
        title: "Account in root's group",
        why: "Group 0 may read, and sometimes write, files meant for root alone.",
        privilege: Privilege::Root,
        remediation: "Take the account out of the group.",
        snippet: "gpasswd -d NAME root",
        references: &["group(5)", "CIS Benchmark: Ensure group root is the only GID 0 group"],
        run: identity::gid_zero,
        ..ACCOUNTS
    },
    Check {
        id: "accounts-group-password",
        title: "Group with a password",
        why: "Whoever knows the shared password becomes a member with newgrp(1), unseen.",
        level: Severity::Low,
        remediation: "Remove the password and list the members instead.",
        snippet: "gpasswd -r GROUP",
        references: &["gshadow(5)", "gpasswd(1)"],
        run: passwords::of_groups,
        ..ACCOUNTS
    },
    Check {
        id: "accounts-password-dates",
        title: "Password dates make no sense",
        why: "A change in the future or a limit that cannot be kept switches ageing off.",
        level: Severity::Low,
        remediation: "Look at the dates with chage(1) and correct them.",
        snippet: "chage -l NAME",
        references: &[
            "shadow(5)",
            "chage(1)",
            "CIS Benchmark: last password change is in the past",
        ],
        run: passwords::dates,
        ..ACCOUNTS
    },
    Check {
        id: "accounts-home",
        title: "Home directory that others control",
        why: "Who may write to a home may plant keys and start-up files, and so become its owner.",
        remediation: "Give the directory to its owner and take write permission from others.",
        snippet: "chown NAME: DIR && chmod go-w DIR",
        references: &[
            "CIS Benchmark: Ensure local interactive user home directories are configured",
        ],
        run: homes::directories,
        ..ACCOUNTS
    },
    Check {
        id: "accounts-authorized-keys",
        techniques: &["attack.t1098"],
        title: "SSH keys that others may change",
        why: "Whoever can write the file, or a directory on the way, can add a key and log in.",
        level: Severity::High,
        services: &["ssh"],
        remediation: "Give .ssh and authorized_keys to the owner; nobody else may write them.",
        snippet: "chown -R NAME: ~NAME/.ssh && chmod 700 ~NAME/.ssh && chmod 600 ~NAME/.ssh/authorized_keys",
        references: &["sshd(8) AUTHORIZED_KEYS FILE FORMAT", "sshd_config(5) StrictModes"],
        run: homes::keys,
        ..ACCOUNTS
    },
    Check {
        id: "accounts-trust-files",
        techniques: &["attack.t1098"],
        title: "Files that grant or store access without a password",
        why: ".rhosts and hosts.equiv trust names and addresses; .netrc holds passwords in the clear.",
        remediation: "Remove them; use keys and a password manager or agent.",
        snippet: "rm ~NAME/.rhosts",
        references: &["hosts.equiv(5)", "netrc(5)", "CIS Benchmark: dot files"],
        run: homes::trust,
        ..ACCOUNTS
    },
    Check {
        id: "accounts-encrypt-method",
        title: "New passwords are hashed with a weak scheme",
        why: "A stolen shadow file then gives the passwords away within hours.",
        privilege: Privilege::Root,
        remediation: "Set ENCRYPT_METHOD YESCRYPT (or SHA512) in /etc/login.defs.",
        snippet: "sed -i 's/^ENCRYPT_METHOD.*/ENCRYPT_METHOD YESCRYPT/' /etc/login.defs",
        references: &["login.defs(5)", "crypt(5)"],
        run: defaults::encrypt_method,
        ..ACCOUNTS
    },
    Check {
        id: "accounts-password-age",
        title: "Passwords never have to be changed",
        why: "Some policies ask for a limit; NIST SP 800-63B advises against one.",
        level: Severity::Info,
        remediation: "Set PASS_MAX_DAYS where your policy asks for it.",
        snippet: "sed -i 's/^PASS_MAX_DAYS.*/PASS_MAX_DAYS 365/' /etc/login.defs",
        references: &[
            "login.defs(5)",
            "NIST SP 800-63B",
            "CIS Benchmark: Ensure password expiration is configured",
        ],
        run: defaults::password_age,
        ..ACCOUNTS
    },
    Check {
        id: "accounts-umask",
        title: "New files are open to others",
        why: "What a user makes without thinking about it can be read, or changed, by all others.",
        level: Severity::Info,
        remediation: "Set UMASK 027 (or 077) in /etc/login.defs.",
        snippet: "sed -i 's/^UMASK.*/UMASK 027/' /etc/login.defs",
        references: &[
            "login.defs(5)",
            "umask(2)",
            "CIS Benchmark: Ensure default user umask is configured",
        ],
        run: defaults::umask,
        ..ACCOUNTS
    },
    Check {
        id: "accounts-malformed",
        title: "Line of an account file that the system reads otherwise than it looks",
        why: "Malformed and NIS lines can hide an account, or let in everybody a server names.",
        level: Severity::Low,
        remediation: "Correct the line with vipw(8) or vigr(8).",
        snippet: "pwck -r; grpck -r",
        references: &["passwd(5)", "nsswitch.conf(5)", "pwck(8)"],
        run: identity::malformed,
        ..ACCOUNTS
    },
    Check {
        id: "accounts-directory",
        title: "Accounts of a directory service were not looked at",
        why: "An account that only the directory knows can be root all the same.",
        level: Severity::Info,
        remediation: "Run on the live host, so that NSS can be asked, with enumeration allowed.",
        references: &["nsswitch.conf(5)", "sssd.conf(5)"],
        run: identity::directory,
        ..ACCOUNTS
    },
];

#[cfg(test)]
mod tests;
