//! millstream-testkit
