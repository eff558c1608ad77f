//! PAM: what is asked before somebody is let in, and what a new password must be.
//!
//! Every service below `/etc/pam.d` is resolved with its includes (Debian's `common-*`, RHEL's
//! `system-auth` and `password-auth`); a line that several services share is one observation.

use consensus::{Kind, Privilege, Severity};

use super::Check;

mod judge;

const PAM: Check = Check {
    techniques: &[],
    id: "",
    title: "",
    why: "",
    kind: Kind::Posture,
    level: Severity::Low,
    privilege: Privilege::User,
    services: &[],
    remediation: "",
    snippet: "",
    references: &["pam.d(5)", "CIS Benchmark: Configure Pluggable Authentication Modules"],
    run: judge::problems,
};

/// The checks of this area.
pub const CHECKS: &[Check] = &[
    Check {
        id: "pam-nullok",
        techniques: &["attack.t1110"],
        title: "Empty passwords are accepted",
        why: "An account whose password field is empty then lets everybody in.",
        remediation: "Take `nullok` off the pam_unix line (on Debian through pam-auth-update).",
        snippet: "sed -i '/pam_unix\\.so/s/ nullok\\(_secure\\)\\?//' /etc/pam.d/common-auth",
        references: &["pam_unix(8)", "CIS Benchmark: Ensure pam_unix does not include nullok"],
        run: judge::nullok,
        ..PAM
    },
    Check {
        id: "pam-permit",
        techniques: &["attack.t1556"],
        title: "Everybody is let in without being asked",
        why: "`sufficient pam_permit` ends authentication with success, whatever was typed.",
        level: Severity::Critical,
        privilege: Privilege::Root,
        remediation: "Remove the line; compare the file with the package's own.",
        references: &["pam_permit(8)", "pam.d(5)"],
        run: judge::permit,
        ..PAM
    },
    Check {
        id: "pam-hash",
        title: "New passwords are hashed with a weak scheme",
        why: "An argument of pam_unix overrides login.defs; MD5 hashes are guessed in no time.",
        level: Severity::High,
        remediation: "Write `yescrypt` (or `sha512`) instead.",
        snippet: "sed -i '/^password.*pam_unix\\.so/s/ \\(md5\\|bigcrypt\\)\\>/ yescrypt/' /etc/pam.d/common-password",
        references: &["pam_unix(8)", "crypt(5)"],
        run: judge::hash,
        ..PAM
    },
    Check {
        id: "pam-lockout",
        techniques: &["attack.t1110"],
        title: "Wrong passwords may be tried without end",
        why: "Without pam_faillock only the network limits the rate of guessing.",
        remediation: "Set up pam_faillock (on Debian a profile for pam-auth-update, on RHEL `authselect enable-feature with-faillock`).",
        references: &[
            "pam_faillock(8)",
            "faillock.conf(5)",
            "CIS Benchmark: Ensure pam_faillock module is enabled",
        ],
        run: judge::lockout,
        ..PAM
    },
    Check {
        id: "pam-quality",
        techniques: &["attack.t1110"],
        title: "New passwords are not checked for quality",
        why: "`123456` is accepted as a new password.",
        level: Severity::Info,
        remediation: "Install pam_pwquality.",
        snippet: "apt-get install libpam-pwquality",
        references: &["pam_pwquality(8)", "CIS Benchmark: Ensure pam_pwquality module is enabled"],
        run: judge::quality,
        ..PAM
    },
    Check {
        id: "pam-su-wheel",
        title: "Every user may use su",
        why: "With pam_wheel only members of a group may try root's password.",
        level: Severity::Info,
        remediation: "Add pam_wheel to /etc/pam.d/su after making sure that you are in the group.",
        snippet: "auth required pam_wheel.so use_uid group=sudo",
        references: &[
            "pam_wheel(8)",
            "CIS Benchmark: Ensure access to the su command is restricted",
        ],
        run: judge::su_wheel,
        ..PAM
    },
    Check {
        id: "pam-syntax",
        title: "PAM line that cannot be understood",
        why: "libpam treats it as a module that always fails, or skips what should be included.",
        remediation: "Correct the line; keep a root shell open while you test.",
        run: judge::problems,
        ..PAM
    },
];

#[cfg(test)]
mod tests;
