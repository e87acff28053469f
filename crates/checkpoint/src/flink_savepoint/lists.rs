//! Lists and committables in a file of Flink's operator state.

use std::collections::BTreeMap;

use millstream_record::{Error, Result};
use millstream_stage::snapshot::{OperatorList, Redistribute, StageSnapshot};

use super::handles::ListOffsets;
use super::metadata::{damaged, foreign};
use crate::flink_form::{COMMITS, SPLIT_LISTS, UNION_LISTS, read_commit_item, read_list_item};
use crate::wire::WireReader;

/// The version of `OperatorBackendSerializationProxy` that says whether items are compressed.
const VERSION: i32 = 6;

/// Whether there is nothing in these lists that a stage does not write.
///
/// # Errors
/// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration), naming the list.
pub(super) fn check(states: &[ListOffsets], known: &[&str]) -> Result<()> {
    let unknown =
        states.iter().find(|state| !state.items.is_empty() && !known.contains(&state.name.as_str()));
    unknown.map_or(Ok(()), |state| Err(foreign(&format!("the state `{}`", state.name))))
}

/// Reads the file of one subtask.
///
/// # Errors
/// [`ErrorKind::Data`](millstream_record::ErrorKind::Data) for a damaged file,
/// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration) for one that cannot be read.
pub(super) fn read(states: &[ListOffsets], file: &[u8]) -> Result<StageSnapshot> {
    check(states, &[SPLIT_LISTS, UNION_LISTS, COMMITS])?;
    refuse_compressed(file)?;
    let mut all = StageSnapshot::default();
    for state in states {
        let items = state.items.iter().map(|offset| item(file, *offset));
        match state.name.as_str() {
            COMMITS => {
                for item in items {
                    all.commits.push(read_commit_item(item?)?);
                }
            }
            UNION_LISTS => all.lists.extend(lists(items, Redistribute::Union)?),
            _ => all.lists.extend(lists(items, Redistribute::Split)?),
        }
    }
    Ok(all)
}

fn refuse_compressed(file: &[u8]) -> Result<()> {
    let mut header = WireReader(file);
    let version = header.int()?;
    if version != VERSION {
        return Err(Error::configuration(format!(
            "its operator state has version {version}, and only version {VERSION} of Flink 1.20 to 2.3 can be read"
        )));
    }
    if header.bool()? {
        return Err(Error::configuration(
            "its operator state is compressed: set execution.checkpointing.snapshot-compression: false in Flink, and take it again",
        ));
    }
    Ok(())
}

fn item(file: &[u8], offset: u64) -> Result<&[u8]> {
    let item = usize::try_from(offset).ok().and_then(|offset| file.get(offset..));
    WireReader(item.ok_or_else(|| damaged("an item of a list begins behind the end of its file"))?).bytes()
}

fn lists<'a>(
    items: impl Iterator<Item = Result<&'a [u8]>>,
    redistribute: Redistribute,
) -> Result<impl Iterator<Item = OperatorList>> {
    let mut lists: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for item in items {
        let (name, item) = read_list_item(item?)?;
        lists.entry(name).or_default().push(item);
    }
    let list = move |((operator, state), items)| OperatorList { operator, state, items, redistribute };
    Ok(lists.into_iter().map(list))
}
