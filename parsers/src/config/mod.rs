//! Configuration formats, one file a grammar. Each returns values with their places.

pub mod accounts;
pub mod apache;
pub mod apt_sources;
pub mod cron;
pub mod directives;
pub mod dpkg;
pub(crate) mod expand;
pub mod glob;
pub mod keyvalue;
pub mod limits;
pub mod lines;
pub mod logrotate;
pub mod mounts;
pub mod my_cnf;
pub mod nginx;
pub mod os_release;
pub mod pam;
pub mod postgres;
pub mod problems;
pub mod redis;
pub mod settings;
pub mod sshd;
pub mod sudoers;
pub mod sysctl;
pub mod systemd_unit;
pub mod yaml;
