//! Empty: the crate exists for its lock file.
