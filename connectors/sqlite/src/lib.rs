//! millstream-sqlite
