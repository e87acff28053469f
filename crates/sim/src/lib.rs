//! millstream-sim
