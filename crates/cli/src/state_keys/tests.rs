use serde_json::json;

use super::*;

fn read(value: Value) -> Result<StateKeys> {
    let Value::Object(mut map) = value else { return Err(Error::bug("the test gives no keys")) };
    StateKeys::take(&mut map, &ConfigOrigin::default())
}

fn settings(value: Value) -> JobSettings {
    read(value).unwrap().over(&JobSettings::default()).unwrap()
}

#[test]
fn the_settings_of_the_mission_in_todays_words() {
    let read = settings(json!({
        "execution.checkpointing.interval": "30s",
        "execution.checkpointing.mode": "EXACTLY_ONCE",
        "execution.checkpointing.min-pause": "15 s",
        "execution.checkpointing.timeout": 600000,
        "execution.checkpointing.tolerable-failed-checkpoints": 3,
        "execution.checkpointing.externalized-checkpoint-retention": "DELETE_ON_CANCELLATION",
        "execution.checkpointing.incremental": true,
        "state.backend.type": "rocksdb",
        "state.backend.rocksdb.memory.fixed-per-tm": "1gb",
        "state.checkpoints.dir": "hdfs://namenode:8020/flink/checkpoints",
        "state.checkpoints.num-retained": 3,
        "state.savepoints.dir": "s3://bucket/savepoints",
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": 5,
        "restart-strategy.fixed-delay.delay": "10s",
    }));
    let checkpointing = CheckpointOptions {
        interval: Some(Duration::from_secs(30)),
        min_pause: Duration::from_secs(15),
        tolerable_failed: 3,
        retention: Retention::DeleteOnCancellation,
        num_retained: 3,
        ..CheckpointOptions::default()
    };
    assert_eq!(read.checkpointing, checkpointing);
    let strategy = RestartStrategy::FixedDelay { attempts: 5, delay: Duration::from_secs(10) };
    assert_eq!(read.restart, strategy.into());
    assert_eq!(
        (read.backend.kind, read.backend.incremental, read.backend.memory),
        (BackendKind::RocksDb, true, 1 << 30)
    );
    assert_eq!(read.checkpoints_dir.as_deref(), Some("hdfs://namenode:8020/flink/checkpoints"));
}

#[test]
fn a_file_of_flink_1_means_the_same_and_is_told_todays_names() {
    let old = read(json!({
        "state.backend": "rocksdb",
        "state.backend.incremental": true,
        "restart-strategy": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": 5,
        "restart-strategy.fixed-delay.delay": "10 s",
    }))
    .unwrap();
    let read = old.over(&JobSettings::default()).unwrap();
    assert_eq!((read.backend.kind, read.backend.incremental), (BackendKind::RocksDb, true));
    let strategy = RestartStrategy::FixedDelay { attempts: 5, delay: Duration::from_secs(10) };
    assert_eq!(read.restart, strategy.clone().into());
    assert_eq!(old.notes().len(), 3, "{:?}", old.notes());
    assert!(old.notes()[0].contains("`state.backend` is called `state.backend.type` today"));
    let other = settings(json!({
        "restart.strategy": "fixed-delay", "restart.strategy.attempts": 5, "restart.strategy.delay": "10s",
    }));
    assert_eq!(other.restart, strategy.into());
    assert_eq!(settings(json!({"state.backend": "filesystem"})).backend.kind, BackendKind::Heap);
}

#[test]
fn the_file_comes_before_the_program() {
    let code = JobSettings {
        checkpointing: CheckpointOptions {
            interval: Some(Duration::from_secs(60)),
            num_retained: 7,
            ..CheckpointOptions::default()
        },
        restart: RestartStrategy::FixedDelay { attempts: 3, delay: Duration::from_secs(3) }.into(),
        checkpoints_dir: Some("file:///code".into()),
        ..JobSettings::default()
    };
    let file = read(json!({
        "execution.checkpointing.interval": "5s",
        "restart-strategy.fixed-delay.delay": "1s",
        "state.savepoints.dir": "file:///file",
    }))
    .unwrap();
    let alone = file.over(&JobSettings::default()).unwrap_err().chain();
    assert!(alone.contains("unless restart-strategy.type is fixed-delay"), "{alone}");
    let both = file.over(&code).unwrap();
    assert_eq!(
        (both.checkpointing.interval, both.checkpointing.num_retained),
        (Some(Duration::from_secs(5)), 7)
    );
    let strategy = RestartStrategy::FixedDelay { attempts: 3, delay: Duration::from_secs(1) };
    assert_eq!(both.restart, strategy.into());
    assert_eq!(both.checkpoints_dir.as_deref(), Some("file:///code"));
    assert_eq!(both.savepoints_dir.as_deref(), Some("file:///file"));
}

#[test]
fn storages_are_reached_with_flinks_keys() {
    let keys = read(json!({
        "s3.endpoint": "http://127.0.0.1:9000", "s3.path.style.access": true, "s3.access-key": "a", "s3.secret-key": "b",
        "storage": {"timeout": "5s"},
    }))
    .unwrap();
    let storage = keys.storage();
    assert_eq!(storage.s3_endpoint.as_deref(), Some("http://127.0.0.1:9000"));
    assert_eq!((storage.s3_path_style_access, storage.timeout), (Some(true), Duration::from_secs(5)));
}

#[test]
fn mistakes_are_refused_with_what_to_do() {
    let over = |keys: StateKeys| keys.over(&JobSettings::default());
    let refused = |value: Value| read(value).and_then(over).unwrap_err().chain();
    for (value, text) in [
        (
            json!({"execution.checkpointing.intervall": "1s"}),
            "did you mean \"execution.checkpointing.interval\"?",
        ),
        (json!({"state.backend.typ": "heap"}), "did you mean \"state.backend.type\"?"),
        (json!({"s3.acess-key": "x"}), "did you mean \"s3.access-key\"?"),
        (json!({"execution.checkpointing.interval": "1ms"}), "10 ms at least"),
        (json!({"execution.checkpointing.mode": "exactly"}), "EXACTLY_ONCE"),
        (json!({"execution.checkpointing.aligned-checkpoint-timeout": "10s"}), "always aligned"),
        (json!({"execution.checkpointing.unaligned": true}), "always aligned"),
        (json!({"state.backend": "heap", "state.backend.type": "rocksdb"}), "mean the same"),
        (
            json!({"restart-strategy.type": "none", "restart-strategy.fixed-delay.attempts": 5}),
            "does nothing",
        ),
        (json!({"state.checkpoints.num-retained": 0}), "1 at least"),
    ] {
        let error = refused(value.clone());
        assert!(error.contains(text), "{value}: {error}");
    }
    assert!(read(json!({"execution.checkpointing.unaligned": false})).is_ok(), "harmless");
}
