//! Sigma rules and correlations: the YAML form to a typed rule.
