//! Events as JSON.

use crate::config::Field;
use crate::event::ShopEvent;

impl ShopEvent {
    /// Appends the event as one JSON object: some 190 bytes with the default fields. Ids are strings, times
    /// are numbers.
    pub fn write_json(&self, fields: &[Field], out: &mut Vec<u8>) {
        out.push(b'{');
        if fields.contains(&Field::EventId) {
            let (split, position) = self.id;
            key(out, "eventId");
            out.push(b'"');
            number(out, u64::from(split));
            out.push(b'-');
            number(out, position);
            out.push(b'"');
        }
        id(out, "userId", self.user_id);
        id(out, "itemId", self.item_id);
        id(out, "categoryId", self.category_id);
        text(out, "behavior", self.behavior.name());
        key(out, "timestamp");
        signed(out, self.timestamp);
        fields.iter().for_each(|field| self.write_optional(*field, out));
        out.push(b'}');
    }

    fn write_optional(&self, field: Field, out: &mut Vec<u8>) {
        match field {
            Field::EventId => {}
            Field::Page => text(out, "page", self.page),
            Field::Device => text(out, "device", self.device),
            Field::Region => text(out, "region", self.region),
            Field::Ip => self.write_ip(out),
            Field::SessionId => id(out, "sessionId", u64::from(self.session_id)),
            Field::Price => {
                key(out, "price");
                number(out, u64::from(self.price / 100));
                let cents = self.price % 100;
                out.extend([b'.', b'0' + (cents / 10) as u8, b'0' + (cents % 10) as u8]);
            }
        }
    }

    fn write_ip(&self, out: &mut Vec<u8>) {
        key(out, "ip");
        out.extend(b"\"10");
        for part in self.ip {
            out.push(b'.');
            number(out, u64::from(part));
        }
        out.push(b'"');
    }
}

fn key(out: &mut Vec<u8>, name: &str) {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
    out.push(b'"');
    out.extend(name.as_bytes());
    out.extend(b"\":");
}

fn text(out: &mut Vec<u8>, name: &str, value: &str) {
    key(out, name);
    out.push(b'"');
    out.extend(value.as_bytes());
    out.push(b'"');
}

fn id(out: &mut Vec<u8>, name: &str, value: u64) {
    key(out, name);
    out.push(b'"');
    number(out, value);
    out.push(b'"');
}

pub(crate) fn signed(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    number(out, value.unsigned_abs());
}

fn number(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; 20];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend(&digits[first..]);
}
