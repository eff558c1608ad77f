//! PAM stacks (pam.conf(5)): controls, include, substack, `@include`.
