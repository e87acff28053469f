//! millstream-api
