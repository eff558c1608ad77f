//! Timestamps of logs: fixed-offset parsers, missing years, zones given by the caller.
