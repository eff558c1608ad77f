//! Configuration formats, one file a grammar. Each returns values with their places.

pub mod accounts;
pub mod apache;
pub mod certificates;
pub mod cron;
pub mod directives;
pub mod docker;
pub mod dpkg;
pub(crate) mod expand;
pub mod glob;
pub mod iptables;
pub mod json;
pub mod keyvalue;
pub mod lines;
pub mod mounts;
pub mod nftables;
pub mod nginx;
pub mod os_release;
pub mod pam;
pub mod problems;
pub mod settings;
pub mod sshd;
pub mod sudoers;
pub mod sysctl;
pub mod yaml;
