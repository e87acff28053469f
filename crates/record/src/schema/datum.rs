//! One datum, walked by its schema: skipped, shown as JSON, or made from the JSON of a default.

use serde_json::{Map, Value, json};

use super::parse::{Field, RecordType, Schema, Type, TypeId};
use crate::record::{Record, decode_block, decode_bytes, encode_bytes, take, to_bytes};
use crate::{Error, Result};

impl Schema {
    /// Moves `input` behind one value.
    pub(super) fn skip(&self, id: TypeId, input: &mut &[u8]) -> Result<()> {
        match self.get(id) {
            Type::Null => {}
            Type::Boolean => drop(take(input, 1)?),
            Type::Int | Type::Long | Type::Enum(_) => drop(i64::decode(input)?),
            Type::Float => drop(take(input, 4)?),
            Type::Double => drop(take(input, 8)?),
            Type::Bytes | Type::String => drop(decode_bytes(input)?),
            Type::Array(items) => return self.skip_array(*items, input),
            Type::Union(branches) => return self.skip(branch(branches, input)?, input),
            Type::Record(record) => {
                return record.fields.iter().try_for_each(|field| self.skip(field.of, input));
            }
        }
        Ok(())
    }

    fn skip_array(&self, items: TypeId, input: &mut &[u8]) -> Result<()> {
        loop {
            let count = decode_block(input)?;
            if count == 0 {
                return Ok(());
            }
            for _ in 0..count {
                self.skip(items, input)?;
            }
        }
    }
}

/// The type of the branch that a union's value takes.
fn branch(branches: &[TypeId], input: &mut &[u8]) -> Result<TypeId> {
    let number = i64::decode(input)?;
    let branch = usize::try_from(number).ok().and_then(|number| branches.get(number));
    branch
        .copied()
        .ok_or_else(|| Error::data(format!("a union of {} has no branch {number}", branches.len())))
}

/// A value as the JSON of a default: unions without the name of their branch, bytes as a text of their code
/// points.
pub(super) fn to_json(schema: &Schema, id: TypeId, input: &mut &[u8]) -> Result<Value> {
    Ok(match schema.get(id) {
        Type::Null => Value::Null,
        Type::Boolean => bool::decode(input)?.into(),
        Type::Int | Type::Long => i64::decode(input)?.into(),
        Type::Float => f32::from_le_bytes(raw(input)?).into(),
        Type::Double => number_json(f64::decode(input)?),
        Type::Bytes => decode_bytes(input)?.iter().copied().map(char::from).collect::<String>().into(),
        Type::String => String::decode(input)?.into(),
        Type::Array(items) => array_json(schema, *items, input)?,
        Type::Union(branches) => to_json(schema, branch(branches, input)?, input)?,
        Type::Enum(of) => {
            let symbol = usize::try_from(i64::decode(input)?).ok().and_then(|index| of.symbols.get(index));
            json!(symbol)
        }
        Type::Record(record) => {
            let fields = record.fields.iter();
            let fields = fields.map(|field| Ok((field.name.clone(), to_json(schema, field.of, input)?)));
            Value::Object(fields.collect::<Result<Map<_, _>>>()?)
        }
    })
}

fn array_json(schema: &Schema, items: TypeId, input: &mut &[u8]) -> Result<Value> {
    let mut values = Vec::new();
    loop {
        let count = decode_block(input)?;
        if count == 0 {
            return Ok(Value::Array(values));
        }
        for _ in 0..count {
            values.push(to_json(schema, items, input)?);
        }
    }
}

// JSON has no word for these; Avro's readers take the texts.
fn number_json(number: f64) -> Value {
    if number.is_finite() { number.into() } else { format!("{number:?}").into() }
}

fn raw<const LENGTH: usize>(input: &mut &[u8]) -> Result<[u8; LENGTH]> {
    let bytes = take(input, LENGTH)?;
    Ok(bytes.try_into().expect("take returns as many bytes as it was asked for"))
}

/// Appends the binary form of a default.
///
/// # Errors
/// Why the JSON is no value of the type.
pub(super) fn from_json(schema: &Schema, id: TypeId, value: &Value, out: &mut Vec<u8>) -> Result<(), String> {
    match (schema.get(id), value) {
        (Type::Array(items), Value::Array(values)) => array_from(schema, *items, values, out),
        (Type::Union(branches), _) => union_from(schema, branches, value, out),
        (Type::Record(record), Value::Object(fields)) => record_from(schema, record, fields, out),
        (of, _) => {
            let plain =
                plain_from(of, value).ok_or_else(|| format!("{value} is no {}", schema.describe(id)))?;
            out.extend_from_slice(&plain);
            Ok(())
        }
    }
}

fn plain_from(of: &Type, value: &Value) -> Option<Vec<u8>> {
    match (of, value) {
        (Type::Null, Value::Null) => Some(Vec::new()),
        (Type::Boolean, Value::Bool(flag)) => Some(to_bytes(flag)),
        (Type::Int, _) => {
            value.as_i64().and_then(|number| i32::try_from(number).ok()).map(|int| to_bytes(&int))
        }
        (Type::Long, _) => value.as_i64().map(|number| to_bytes(&number)),
        (Type::Float, _) => number(value).map(|number| (number as f32).to_le_bytes().to_vec()),
        (Type::Double, _) => number(value).map(|number| to_bytes(&number)),
        (Type::String, Value::String(text)) => Some(to_bytes(text)),
        (Type::Bytes, Value::String(text)) => code_points(text).map(|bytes| {
            let mut out = Vec::new();
            encode_bytes(&bytes, &mut out);
            out
        }),
        (Type::Enum(of), Value::String(text)) => {
            let index = of.symbols.iter().position(|symbol| symbol == text);
            index.map(|index| to_bytes(&(index as i64)))
        }
        _ => None,
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) if matches!(text.as_str(), "NaN" | "inf" | "-inf") => text.parse().ok(),
        other => other.as_f64(),
    }
}

fn code_points(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|point| u8::try_from(u32::from(point)).ok()).collect()
}

fn array_from(schema: &Schema, items: TypeId, values: &[Value], out: &mut Vec<u8>) -> Result<(), String> {
    if !values.is_empty() {
        (values.len() as i64).encode(out);
    }
    values.iter().try_for_each(|value| from_json(schema, items, value, out))?;
    0_i64.encode(out);
    Ok(())
}

// A default belongs to the first branch that it is a value of.
fn union_from(schema: &Schema, branches: &[TypeId], value: &Value, out: &mut Vec<u8>) -> Result<(), String> {
    for (number, branch) in branches.iter().enumerate() {
        let mut encoded = Vec::new();
        if from_json(schema, *branch, value, &mut encoded).is_ok() {
            (number as i64).encode(out);
            out.append(&mut encoded);
            return Ok(());
        }
    }
    Err(format!("{value} fits no branch"))
}

fn record_from(
    schema: &Schema,
    record: &RecordType,
    values: &Map<String, Value>,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let value = |field: &Field| values.get(&field.name).or(field.default.as_ref()).cloned();
    record.fields.iter().try_for_each(|field| {
        let value = value(field).ok_or_else(|| format!("it has no `{}`", field.name))?;
        from_json(schema, field.of, &value, out)
    })
}
