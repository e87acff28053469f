//! millstream-cli
