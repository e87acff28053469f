//! Positions of a source: where others see them, and what becomes of those that are not there.

use std::time::Duration;

use millstream_kafka::{GroupFallback, KafkaSource, KafkaSourceOptions, MissingOffset, Start};
use millstream_record::record::to_bytes;
use millstream_record::{ErrorKind, Record as _, Result};
use millstream_sim::{DrivenReader, Harness, Reading};
use millstream_stage::raw::RawBatch;
use millstream_stage::source::{EnumeratorEvent, Source as _, Split};
use millstream_testkit::{Kafka, unique_name, wait};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{Offset, TopicPartitionList};

use crate::common::{
    PATIENCE, Read, assert_names, brokers, config, delete_before, delete_topic, enumerator_context, fill,
    grow, note, options, read_all, read_splits, reader, splits, start, texts, topic, values, world,
};

fn in_group(topic: &str, group: &str) -> KafkaSourceOptions {
    KafkaSourceOptions { group_id: Some(group.to_owned()), ..options(brokers(), topic) }
}

// By partition: where a group stands.
fn committed(group: &str, topic: &str, partitions: i32) -> Vec<Offset> {
    let client: BaseConsumer = config(brokers()).set("group.id", group).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_range(topic, 0, partitions - 1);
    let committed = client.committed_offsets(list, PATIENCE).unwrap();
    committed.elements().iter().map(TopicPartitionListElem::offset).collect()
}

fn await_committed(group: &str, topic: &str, expected: &[Offset]) {
    let same = || committed(group, topic, expected.len() as i32) == expected;
    assert!(
        wait::until(Duration::from_secs(30), same),
        "{:?}",
        committed(group, topic, expected.len() as i32)
    );
}

fn read_some(reader: &mut DrivenReader<RawBatch>, messages: usize) {
    let mut read = Read::new();
    while read.values().map(Vec::len).sum::<usize>() < messages {
        note(&mut read, reader.next(5).unwrap());
    }
}

fn next_of(splits: &[Split]) -> Vec<i64> {
    // The third field of the state: a name, a partition, the next offset.
    let next = |split: &Split| <(String, i32, i64)>::decode(&mut split.state.as_slice()).unwrap().2;
    splits.iter().map(next).collect()
}

#[test]
fn a_group_sees_the_positions_of_complete_checkpoints_and_no_others() {
    let (name, group) = (topic("watched", 2), unique_name("watchers"));
    fill(brokers(), &name, 2, 0, 50);
    let source = KafkaSource::new(in_group(&name, &group));
    let mut reader = DrivenReader::open(&source, Harness::new(world())).unwrap();
    reader.add_splits(splits(&source)).unwrap();
    let none = [Offset::Invalid, Offset::Invalid];
    read_some(&mut reader, 20);
    let first = next_of(&reader.snapshot(1).unwrap());
    read_some(&mut reader, 20);
    let second = next_of(&reader.snapshot(2).unwrap());
    assert!(first.iter().sum::<i64>() < second.iter().sum::<i64>());
    assert_eq!(committed(&group, &name, 2), none, "nothing before a checkpoint is complete");
    reader.completed(1).unwrap();
    let offsets = |next: &[i64]| -> Vec<Offset> {
        next.iter().map(|next| if *next < 0 { Offset::Invalid } else { Offset::Offset(*next) }).collect()
    };
    await_committed(&group, &name, &offsets(&first));
    // The first one's news comes again, late: the group does not go back.
    reader.completed(2).unwrap();
    reader.completed(1).unwrap();
    reader.close();
    await_committed(&group, &name, &offsets(&second));
}

#[test]
fn a_start_at_the_groups_offsets_goes_on_where_it_stands() {
    let (name, group) = (topic("standing", 3), unique_name("standers"));
    fill(brokers(), &name, 3, 0, 20);
    let client: BaseConsumer = config(brokers()).set("group.id", &group).create().unwrap();
    let mut list = TopicPartitionList::new();
    for (partition, offset) in [(0, 7), (1, 20)] {
        list.add_partition_offset(&name, partition, Offset::Offset(offset)).unwrap();
    }
    client.commit(&list, CommitMode::Sync).unwrap();
    let read = |fallback| -> Result<[Vec<String>; 3]> {
        let options = KafkaSourceOptions {
            start: Start::GroupOffsets,
            on_missing_group_offset: fallback,
            ..in_group(&name, &group)
        };
        let source = KafkaSource::new(options);
        let splits = start(&source, 1)?.into_iter().flat_map(|assignment| assignment.splits).collect();
        let read = read_splits(&source, splits);
        Ok([0, 1, 2].map(|partition| values(&read, &format!("{name}-{partition}"))))
    };
    assert_eq!(read(GroupFallback::Earliest).unwrap(), [texts(0, 7, 20), vec![], texts(2, 0, 20)]);
    assert_eq!(read(GroupFallback::Latest).unwrap(), [texts(0, 7, 20), vec![], vec![]]);
    let error = read(GroupFallback::Fail).unwrap_err();
    assert_names(
        &error,
        ErrorKind::Configuration,
        &[&group, &format!("{name}-2"), "on-missing-group-offset"],
    );
}

#[test]
fn partitions_that_came_while_the_job_was_down_are_read_from_their_beginning() {
    let name = topic("grown", 1);
    let mut settings = options(brokers(), &name);
    (settings.start, settings.bounded) = (Start::Latest, None);
    let source = KafkaSource::new(settings);
    let mut enumerator = source.enumerator();
    enumerator.on(&enumerator_context(1), EnumeratorEvent::Start { restored: None }).unwrap();
    let restored = Some(enumerator.snapshot());
    grow(&name, 3);
    fill(brokers(), &name, 3, 0, 5);
    let found = source.enumerator().on(&enumerator_context(1), EnumeratorEvent::Start { restored }).unwrap();
    let found: Vec<_> = found.into_iter().flat_map(|assignment| assignment.splits).collect();
    let mut reader = reader(&source, found);
    let mut read = Read::new();
    while read.values().map(Vec::len).sum::<usize>() < 10 {
        note(&mut read, reader.next(100).unwrap());
    }
    reader.close();
    assert_eq!(read.keys().collect::<Vec<_>>(), [&format!("{name}-1"), &format!("{name}-2")]);
}

// Unbounded, at offset 30 of 40.
fn at_thirty(name: &str) -> Vec<Split> {
    fill(brokers(), name, 1, 0, 40);
    let source = KafkaSource::new(KafkaSourceOptions { bounded: None, ..options(brokers(), name) });
    let mut reader = reader(&source, splits(&source));
    let mut left = reader.snapshot(1).unwrap();
    while next_of(&left) != [30] {
        reader.next(1).unwrap();
        left = reader.snapshot(1).unwrap();
    }
    reader.close();
    left
}

// What comes of going on from these splits, until there are so many messages.
fn go_on(name: &str, choice: MissingOffset, left: &[Split], messages: usize) -> Result<Vec<String>> {
    let settings =
        KafkaSourceOptions { bounded: None, on_missing_offset: choice, ..options(brokers(), name) };
    let mut reader = reader(&KafkaSource::new(settings), left.to_vec());
    let mut read = Read::new();
    // What comes behind the newest message comes later.
    let mut written = choice != MissingOffset::Latest;
    while read.values().map(Vec::len).sum::<usize>() < messages {
        let reading = reader.poll(100)?;
        if matches!(reading, Reading::Pending) {
            reader.wait()?;
        }
        note(&mut read, reading);
        let jumped = next_of(&reader.snapshot(2)?) != [30];
        if !written && jumped {
            written = true;
            fill(brokers(), name, 1, 100, 103);
        }
    }
    reader.close();
    Ok(values(&read, &format!("{name}-0")))
}

#[test]
fn what_retention_has_deleted_is_passed_over_only_where_the_options_say_so() {
    let name = topic("retained", 1);
    let left = at_thirty(&name);
    delete_before(&name, 35);
    let error = go_on(&name, MissingOffset::Fail, &left, 1).unwrap_err();
    let names = [&*format!("{name}-0"), "offset 30", "35 up to 40", "on-missing-offset"];
    assert_names(&error, ErrorKind::Data, &names);
    assert_eq!(go_on(&name, MissingOffset::Earliest, &left, 5).unwrap(), texts(0, 35, 40));
    assert_eq!(go_on(&name, MissingOffset::Latest, &left, 3).unwrap(), texts(0, 100, 103));
}

#[test]
fn a_topic_created_anew_and_shorter_is_read_only_where_the_options_say_so() {
    let name = topic("anew", 1);
    let left = at_thirty(&name);
    delete_topic(&name);
    Kafka::shared().unwrap().create_topics(&[(&name, 1)]).unwrap();
    fill(brokers(), &name, 1, 0, 10);
    let error = go_on(&name, MissingOffset::Fail, &left, 1).unwrap_err();
    let names = [&*format!("{name}-0"), "offset 30", "deleted and created anew", "on-missing-offset"];
    assert_names(&error, ErrorKind::Data, &names);
    assert_eq!(go_on(&name, MissingOffset::Earliest, &left, 10).unwrap(), texts(0, 0, 10));
    assert_eq!(go_on(&name, MissingOffset::Latest, &left, 3).unwrap(), texts(0, 100, 103));
    assert_eq!(
        values(&read_all(&KafkaSource::new(options(brokers(), &name))), &format!("{name}-0")).len(),
        13
    );
}

// Its ids alone tell it from the old one.
#[test]
fn a_topic_created_anew_and_longer_is_read_from_its_beginning_or_not_at_all() {
    let name = topic("anew_longer", 1);
    let left = at_thirty(&name);
    create_anew(&name);
    fill(brokers(), &name, 1, 200, 250);
    let error = go_on(&name, MissingOffset::Fail, &left, 1).unwrap_err();
    let names = [&*format!("{name}-0"), "offset 30", "deleted and created anew"];
    assert_names(&error, ErrorKind::Data, &names);
    assert_eq!(go_on(&name, MissingOffset::Earliest, &left, 50).unwrap(), texts(0, 200, 250));
    assert_eq!(go_on(&name, MissingOffset::Latest, &left, 3).unwrap(), texts(0, 100, 103));
}

// As the first version of the state was, without an id.
#[test]
fn a_position_of_an_old_savepoint_learns_the_id_of_its_topic() {
    let name = topic("old_state", 1);
    let mut left = at_thirty(&name);
    for split in &mut left {
        let state = &mut split.state.as_slice();
        let (topic, partition, next) = <(String, i32, i64)>::decode(state).unwrap();
        split.state = to_bytes(&(topic, partition, next, None::<i64>));
    }
    let settings = KafkaSourceOptions { bounded: None, ..options(brokers(), &name) };
    let mut reader = reader(&KafkaSource::new(settings), left);
    read_some(&mut reader, 10);
    let learnt = reader.snapshot(1).unwrap();
    reader.close();
    create_anew(&name);
    fill(brokers(), &name, 1, 200, 250);
    let error = go_on(&name, MissingOffset::Fail, &learnt, 1).unwrap_err();
    assert_names(&error, ErrorKind::Data, &["deleted and created anew"]);
}

#[test]
fn a_topic_created_anew_under_a_running_job_is_read_once_and_whole() {
    let name = topic("anew_live", 2);
    fill(brokers(), &name, 2, 0, 40);
    let settings = KafkaSourceOptions {
        bounded: None,
        on_missing_offset: MissingOffset::Earliest,
        ..options(brokers(), &name)
    };
    let source = KafkaSource::new(settings);
    let (mut reader, mut read) = (reader(&source, splits(&source)), Read::new());
    let until = |reader: &mut DrivenReader<RawBatch>, read: &mut Read, messages: usize| {
        while read.values().map(Vec::len).sum::<usize>() < messages {
            note(read, reader.next(100).unwrap());
        }
    };
    until(&mut reader, &mut read, 80);
    create_anew_with(&name, 2);
    fill(brokers(), &name, 2, 200, 300);
    until(&mut reader, &mut read, 280);
    // Nothing of it comes twice.
    fill(brokers(), &name, 2, 300, 301);
    until(&mut reader, &mut read, 282);
    reader.close();
    for partition in 0..2 {
        let expected = [texts(partition, 0, 40), texts(partition, 200, 301)].concat();
        assert_eq!(values(&read, &format!("{name}-{partition}")), expected);
    }
}

// Nothing more comes of the partitions that the new topic does not have, and nobody waits for them.
#[test]
fn a_topic_created_anew_with_fewer_partitions_is_read_without_them() {
    let name = topic("anew_fewer", 3);
    fill(brokers(), &name, 3, 0, 20);
    let settings = KafkaSourceOptions {
        bounded: None,
        on_missing_offset: MissingOffset::Earliest,
        ..options(brokers(), &name)
    };
    let source = KafkaSource::new(settings);
    let (mut reader, mut read, mut ended) = (reader(&source, splits(&source)), Read::new(), 0);
    while read.values().map(Vec::len).sum::<usize>() < 60 {
        note(&mut read, reader.next(100).unwrap());
    }
    create_anew(&name);
    fill(brokers(), &name, 1, 200, 250);
    while read.values().map(Vec::len).sum::<usize>() < 110 || ended < 2 {
        ended += usize::from(note(&mut read, reader.next(100).unwrap()));
    }
    assert_eq!(next_of(&reader.snapshot(1).unwrap()), [50]);
    reader.close();
    assert_eq!(values(&read, &format!("{name}-0")), [texts(0, 0, 20), texts(0, 200, 250)].concat());
}

fn create_anew(name: &str) {
    create_anew_with(name, 1);
}

fn create_anew_with(name: &str, partitions: i32) {
    delete_topic(name);
    // The brokers delete a topic in their own time.
    let created = || Kafka::shared().unwrap().create_topics(&[(name, partitions)]).is_ok();
    assert!(wait::until(PATIENCE, created), "{name} cannot be created anew");
}

// Bounded by what the old topic held: nobody will ever write that far.
#[test]
fn a_bounded_read_of_a_topic_created_anew_ends() {
    let name = topic("ends", 1);
    fill(brokers(), &name, 1, 0, 40);
    let settings =
        KafkaSourceOptions { on_missing_offset: MissingOffset::Earliest, ..options(brokers(), &name) };
    let source = KafkaSource::new(settings);
    let mut first = reader(&source, splits(&source));
    let mut left = first.snapshot(1).unwrap();
    while next_of(&left) != [30] {
        first.next(1).unwrap();
        left = first.snapshot(1).unwrap();
    }
    first.close();
    delete_topic(&name);
    Kafka::shared().unwrap().create_topics(&[(&name, 1)]).unwrap();
    fill(brokers(), &name, 1, 0, 10);
    assert_eq!(values(&read_splits(&source, left), &format!("{name}-0")), texts(0, 0, 10));
}

#[test]
fn what_waits_to_be_read_is_counted() {
    let name = topic("pending", 2);
    fill(brokers(), &name, 2, 0, 100);
    let source = KafkaSource::new(KafkaSourceOptions { bounded: None, ..options(brokers(), &name) });
    let harness = Harness::new(world());
    let metrics = harness.metrics().operator("source");
    let mut reader = DrivenReader::open(&source, harness).unwrap();
    reader.add_splits(splits(&source)).unwrap();
    assert_eq!(metrics.pending.get(), -1, "nobody knows yet");
    let both = [0, 1].map(|partition| format!("{name}-{partition}").into());
    let mut read = Read::new();
    for enough in [50, 200] {
        while read.values().map(Vec::len).sum::<usize>() < enough {
            note(&mut read, reader.next(50).unwrap());
        }
        let left = 200 - read.values().map(Vec::len).sum::<usize>() as i64;
        reader.pause(&both);
        // Counted now and then.
        let counted = || matches!(reader.poll(1).unwrap(), Reading::Pending) && metrics.pending.get() == left;
        assert!(wait::until(PATIENCE, counted), "{} and not {left}", metrics.pending.get());
        reader.resume(&both);
    }
    reader.close();
}
