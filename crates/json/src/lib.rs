//! millstream-json
