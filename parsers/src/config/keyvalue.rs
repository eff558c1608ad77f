//! Plain `key value` and `key = value` files: login.defs, pwquality.conf, faillock.conf.
