//! A schema as a graph: named types may refer to themselves, so types are numbers.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::{Error, Result};

/// A type's place in its [`Schema`].
pub(super) type TypeId = usize;

#[derive(Debug)]
pub(super) struct Schema {
    types: Vec<Type>,
    pub(super) root: TypeId,
}

#[derive(Debug)]
pub(super) enum Type {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Array(TypeId),
    Union(Vec<TypeId>),
    Enum(EnumType),
    Record(RecordType),
}

/// The names that a type or a field goes by.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) aliases: Vec<String>,
}

#[derive(Debug)]
pub(super) struct EnumType {
    pub(super) named: Named,
    pub(super) symbols: Vec<String>,
    /// What a symbol that the reader does not know becomes.
    pub(super) default: Option<usize>,
}

#[derive(Debug)]
pub(super) struct RecordType {
    pub(super) named: Named,
    pub(super) fields: Vec<Field>,
}

#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) aliases: Vec<String>,
    pub(super) default: Option<Value>,
    pub(super) of: TypeId,
}

impl Schema {
    pub(super) fn get(&self, id: TypeId) -> &Type {
        &self.types[id]
    }

    pub(super) fn root_fields(&self) -> &[Field] {
        match self.get(self.root) {
            Type::Record(record) => &record.fields,
            _ => &[],
        }
    }

    /// The type in a word or two, for people.
    pub(super) fn describe(&self, id: TypeId) -> String {
        match self.get(id) {
            Type::Array(items) => format!("array of {}", self.describe(*items)),
            Type::Union(branches) => {
                let branches: Vec<_> = branches.iter().map(|branch| self.describe(*branch)).collect();
                format!("[{}]", branches.join(", "))
            }
            Type::Enum(symbols) => format!("enum {}", symbols.named),
            Type::Record(record) => record.named.to_string(),
            plain => plain.plain_name().to_owned(),
        }
    }
}

impl Type {
    /// Avro's name of a type without parts; of the others, their kind.
    pub(super) fn plain_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Int => "int",
            Self::Long => "long",
            Self::Float => "float",
            Self::Double => "double",
            Self::Bytes => "bytes",
            Self::String => "string",
            Self::Array(_) => "array",
            Self::Union(_) => "union",
            Self::Enum(_) => "enum",
            Self::Record(_) => "record",
        }
    }
}

impl Named {
    /// Whether data of the type `written` may be read as this one, by their names.
    pub(super) fn accepts(&self, written: &Self) -> bool {
        let written_name = plain(&written.name);
        plain(&self.name) == written_name
            || self.aliases.iter().any(|alias| alias == written_name)
            || (self.is_tuple() && written.is_tuple())
    }

    /// Whether the name is that of a tuple: made from a hash of its members.
    pub(super) fn is_tuple(&self) -> bool {
        self.name.split_once('_').is_some_and(|(kind, hash)| {
            matches!(kind, "Pair" | "Triple" | "Quadruple")
                && !hash.is_empty()
                && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        })
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_tuple() { "a tuple" } else { &self.name })
    }
}

/// A name without the number that tells it from another type of the same name ([`crate::record::Names`]).
fn plain(name: &str) -> &str {
    match name.rsplit_once("__") {
        Some((plain, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => plain,
        _ => name,
    }
}

/// Reads a schema of the kinds that [`crate::Record`] writes: all of Avro but maps, fixed and namespaces.
///
/// # Errors
/// [`ErrorKind::Data`](crate::ErrorKind::Data) when it is none.
pub(super) fn parse(text: &str) -> Result<Schema> {
    let json: Value = serde_json::from_str(text).map_err(|error| Error::data("no JSON").caused_by(error))?;
    let mut parser = Parser { types: Vec::new(), names: BTreeMap::new() };
    let root = parser.add(&json)?;
    Ok(Schema { types: parser.types, root })
}

struct Parser {
    types: Vec<Type>,
    names: BTreeMap<String, TypeId>,
}

impl Parser {
    fn add(&mut self, json: &Value) -> Result<TypeId> {
        match json {
            Value::String(name) => self.by_name(name),
            Value::Array(branches) => {
                let branches = branches.iter().map(|branch| self.add(branch)).collect::<Result<_>>()?;
                Ok(self.push(Type::Union(branches)))
            }
            Value::Object(_) => self.complex(json),
            other => Err(Error::data(format!("{other} is no Avro type"))),
        }
    }

    fn push(&mut self, of: Type) -> TypeId {
        self.types.push(of);
        self.types.len() - 1
    }

    fn by_name(&mut self, name: &str) -> Result<TypeId> {
        if let Some(known) = self.names.get(name) {
            return Ok(*known);
        }
        let plain = match name {
            "null" => Type::Null,
            "boolean" => Type::Boolean,
            "int" => Type::Int,
            "long" => Type::Long,
            "float" => Type::Float,
            "double" => Type::Double,
            "bytes" => Type::Bytes,
            "string" => Type::String,
            other => return Err(Error::data(format!("`{other}` is no Avro type that is known here"))),
        };
        Ok(self.push(plain))
    }

    fn complex(&mut self, json: &Value) -> Result<TypeId> {
        match &json["type"] {
            Value::String(kind) if kind == "array" => {
                let items = self.add(&json["items"])?;
                Ok(self.push(Type::Array(items)))
            }
            Value::String(kind) if kind == "enum" => self.enumeration(json),
            Value::String(kind) if kind == "record" => self.record(json),
            inner => self.add(inner),
        }
    }

    fn enumeration(&mut self, json: &Value) -> Result<TypeId> {
        let symbols = texts(json, "symbols")?;
        let default = json["default"].as_str();
        let default = default.and_then(|default| symbols.iter().position(|symbol| symbol == default));
        let id = self.push(Type::Null);
        let named = self.name(json, id)?;
        self.types[id] = Type::Enum(EnumType { named, symbols, default });
        Ok(id)
    }

    // The name is known before the fields are read: they may refer to it.
    fn record(&mut self, json: &Value) -> Result<TypeId> {
        let id = self.push(Type::Null);
        let named = self.name(json, id)?;
        let fields = json["fields"].as_array();
        let fields = fields.ok_or_else(|| Error::data(format!("record `{}` has no fields", named.name)))?;
        let fields = fields.iter().map(|field| self.field(field)).collect::<Result<_>>()?;
        self.types[id] = Type::Record(RecordType { named, fields });
        Ok(id)
    }

    fn name(&mut self, json: &Value, id: TypeId) -> Result<Named> {
        let name = text(json, "name")?;
        self.names.insert(name.clone(), id);
        Ok(Named { name, aliases: texts(json, "aliases")? })
    }

    fn field(&mut self, json: &Value) -> Result<Field> {
        let (name, aliases) = (text(json, "name")?, texts(json, "aliases")?);
        let of = self.add(&json["type"]).map_err(|error| error.in_context(format!("field `{name}`")))?;
        Ok(Field { name, aliases, default: json.get("default").cloned(), of })
    }
}

fn text(json: &Value, key: &str) -> Result<String> {
    let text = json[key].as_str();
    Ok(text.ok_or_else(|| Error::data(format!("`{key}` is missing in {json}")))?.to_owned())
}

fn texts(json: &Value, key: &str) -> Result<Vec<String>> {
    let list = json[key].as_array().into_iter().flatten();
    let texts = list.map(|item| item.as_str().map(str::to_owned));
    texts
        .collect::<Option<_>>()
        .ok_or_else(|| Error::data(format!("`{key}` holds more than texts in {json}")))
}
