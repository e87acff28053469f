//! millstream-derive
