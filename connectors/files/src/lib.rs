//! millstream-files
