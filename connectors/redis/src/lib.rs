//! millstream-redis
