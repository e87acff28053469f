//! Stored tables of keyed state, read as the tables that an operator has today.

use millstream_record::key_group::KeyGroup;
use millstream_record::schema::{Compatibility, Resolution};
use millstream_record::{Error, Result};

use super::keyed::{Emit, KeyedPart, TableSchema};

/// The field of an entry that holds the key of a table that has one.
const KEY: &str = "key";

/// How entries of a stored table become entries of the operator's.
///
/// # Errors
/// [`ErrorKind::Data`](millstream_record::ErrorKind::Data) when one of the schemas is none.
pub fn resolve_table(written: &TableSchema, read: &TableSchema) -> Result<Resolution> {
    let resolution = Resolution::between(&written.schema, &read.schema)
        .map_err(|error| error.in_context(format_args!("table `{}`", read.name)))?;
    Ok(resolution.keeping(KEY))
}

/// The tables of one part, each with what becomes of it: the position of the operator's table and the
/// resolution, or why there is none.
pub(super) struct ResolvedTables(Vec<Result<(u16, Resolution), String>>);

impl ResolvedTables {
    pub(super) fn of(part: &dyn KeyedPart, tables: &[TableSchema]) -> Result<Self> {
        part.tables().iter().map(|written| resolve(written, tables)).collect::<Result<_>>().map(Self)
    }

    /// Hands an entry over in today's form. `spare` is kept from entry to entry.
    pub(super) fn take(
        &self,
        (group, table, entry): (KeyGroup, u16, &[u8]),
        spare: &mut Vec<u8>,
        take: &mut Emit<'_>,
    ) -> Result<()> {
        let resolved = self.0.get(usize::from(table)).ok_or_else(|| {
            Error::data(format!("the snapshot has an entry of table {table}, which it does not define"))
        })?;
        let (place, resolution) = resolved.as_ref().map_err(|reason| Error::data(reason.clone()))?;
        if resolution.is_same() {
            return take(group, *place, entry);
        }
        spare.clear();
        resolution.migrate(entry, spare)?;
        take(group, *place, spare)
    }
}

fn resolve(written: &TableSchema, tables: &[TableSchema]) -> Result<Result<(u16, Resolution), String>> {
    let Some((read, place)) = tables.iter().zip(0..).find(|(read, _)| read.name == written.name) else {
        return Ok(Err(format!("the snapshot has a table `{}`, the operator has none", written.name)));
    };
    let resolution = resolve_table(written, read)?;
    Ok(match resolution.compatibility() {
        Compatibility::Incompatible(_) => {
            Err(format!("table `{}`: {}", written.name, resolution.compatibility()))
        }
        Compatibility::Same | Compatibility::Migrates(_) => Ok((place, resolution)),
    })
}
