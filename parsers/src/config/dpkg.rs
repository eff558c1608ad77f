//! The package database of dpkg and the package lists of apt.
