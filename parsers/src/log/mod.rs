//! Log lines to records: syslog, access logs, audit, JSON, journal export. Borrowed slices only.
