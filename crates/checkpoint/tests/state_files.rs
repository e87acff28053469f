//! State files: whatever is written comes back by key group, and no damage goes unseen.

use std::collections::BTreeMap;
use std::ops::Range;

use anyhow::{Result, ensure};
use bytes::Bytes;
use futures::TryStreamExt;
use millstream_checkpoint::format::{FileSummary, SectionSummary, StateFile, StateFileWriter};
use millstream_record::ErrorKind;
use millstream_storage::{Storage, StorageOptions};
use proptest::prelude::*;

type Item = (u16, u16, Vec<u8>);

fn encode(sections: &[Vec<Item>]) -> Result<(Vec<u8>, Vec<SectionSummary>, FileSummary)> {
    let mut bytes = Vec::new();
    let mut writer = StateFileWriter::new(|piece: Bytes| {
        bytes.extend_from_slice(&piece);
        Ok(())
    })?;
    let mut summaries = Vec::new();
    for section in sections {
        for (group, table, entry) in section {
            writer.entry(*group, *table, entry)?;
        }
        summaries.push(writer.end_section()?);
    }
    let file = writer.finish()?;
    Ok((bytes, summaries, file))
}

async fn entries(file: &StateFile, section: u16, wanted: Range<u16>) -> millstream_record::Result<Vec<Item>> {
    let mut found = Vec::new();
    let mut runs = file.blocks(section, &wanted);
    while let Some(run) = runs.try_next().await? {
        for block in run {
            block.emit(&mut |group, table, entry| {
                found.push((group, table, entry.to_vec()));
                Ok(())
            })?;
        }
    }
    Ok(found)
}

fn by_group(
    items: impl IntoIterator<Item = Item>,
    wanted: &Range<u16>,
) -> BTreeMap<u16, Vec<(u16, Vec<u8>)>> {
    let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (group, table, entry) in items.into_iter().filter(|(group, ..)| wanted.contains(group)) {
        groups.entry(group).or_default().push((table, entry));
    }
    groups
}

fn storage(dir: &tempfile::TempDir) -> Result<Storage> {
    Ok(Storage::open(&format!("file://{}", dir.path().display()), &StorageOptions::default())?)
}

fn items() -> impl Strategy<Value = Vec<Vec<Item>>> {
    let entry = prop_oneof![
        9 => prop::collection::vec(any::<u8>(), 0..40),
        2 => (any::<u8>(), 1000_usize..9000).prop_map(|(byte, length)| vec![byte; length]),
        1 => (any::<u8>(), 60_000_usize..150_000).prop_map(|(byte, length)| vec![byte; length]),
    ];
    let item = (0_u16..12, 0_u16..4, entry);
    prop::collection::vec(prop::collection::vec(item, 0..120), 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_is_written_comes_back_by_key_group(sections in items(), from in 0_u16..12, length in 0_u16..12) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let dir = tempfile::tempdir()?;
        let wanted = from..from + length;
        let outcome: Result<()> = runtime.block_on(async {
            let storage = storage(&dir)?;
            let (bytes, summaries, summary) = encode(&sections)?;
            storage.put("a.state", bytes.into()).await?;
            let file = StateFile::open(&storage, "a.state", summary).await?;
            for (items, summary) in sections.iter().zip(summaries) {
                let found = entries(&file, summary.section, wanted.clone()).await?;
                ensure!(by_group(found, &wanted) == by_group(items.clone(), &wanted));
                ensure!(summary.entries == items.len() as u64);
                ensure!(items.iter().all(|(group, ..)| summary.groups.contains(group)));
            }
            Ok(())
        });
        prop_assert!(outcome.is_ok(), "{outcome:?}");
    }
}

/// Pseudo-random bytes that LZ4 cannot shrink.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_is_larger_than_the_tail_is_read_too() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let storage = storage(&dir)?;
    let items: Vec<Item> = (0..20_480_u64).map(|n| ((n % 4096) as u16, 0, noise(n, 500))).collect();
    let (bytes, _, summary) = encode(std::slice::from_ref(&items))?;
    storage.put("a.state", bytes.into()).await?;
    let file = StateFile::open(&storage, "a.state", summary).await?;
    let wanted = 1000..1100;
    let found = entries(&file, 0, wanted.clone()).await?;
    ensure!(by_group(found, &wanted) == by_group(items, &wanted));
    file.verify().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_found_before_any_of_it_is_handed_out() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let storage = storage(&dir)?;
    let items: Vec<Item> = (0..400_u64).map(|n| ((n % 4) as u16, 0, noise(n, 1000))).collect();
    let (bytes, _, summary) = encode(&[items])?;
    let positions = (0..bytes.len()).step_by(7919).chain(0..16).chain(bytes.len() - 300..bytes.len());
    for at in positions {
        let mut bad = bytes.clone();
        bad[at] ^= 0x40;
        storage.put("a.state", bad.into()).await?;
        let error = match StateFile::open(&storage, "a.state", summary).await {
            Ok(file) => file.verify().await.err(),
            Err(error) => Some(error),
        };
        let Some(error) = error else {
            anyhow::bail!("a flipped bit at {at} of {} is not seen", bytes.len())
        };
        ensure!(
            error.kind() == ErrorKind::Data && error.to_string().contains("/a.state"),
            "{}",
            error.chain()
        );
    }
    let mut bad = bytes.clone();
    bad[100_000] ^= 1;
    storage.put("a.state", bad.into()).await?;
    let error = StateFile::open(&storage, "a.state", summary).await?.verify().await.unwrap_err().to_string();
    ensure!(
        error.contains("block at offset") && error.contains("expected") && error.contains("found"),
        "{error}"
    );
    storage.put("a.state", Bytes::copy_from_slice(&bytes[..bytes.len() - 1])).await?;
    ensure!(StateFile::open(&storage, "a.state", summary).await.unwrap_err().kind() == ErrorKind::Data);
    storage.delete(&["a.state"]).await?;
    let error = StateFile::open(&storage, "a.state", summary).await.unwrap_err();
    ensure!(error.kind() == ErrorKind::Data && error.to_string().contains("is missing"), "{}", error.chain());
    Ok(())
}
