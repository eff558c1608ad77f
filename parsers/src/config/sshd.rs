//! sshd_config(5): what the daemon would do, and who overrode whom.
