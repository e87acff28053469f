//! millstream-generator
