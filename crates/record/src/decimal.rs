//! Decimals as records.

use rust_decimal::Decimal;

use crate::record::{Names, Record, decode_text, encode_bytes};
use crate::{Error, Result};

/// As its text, so that `1.50` keeps its two digits after the point. Avro's own decimals all have the same
/// number of them.
impl Record for Decimal {
    fn schema(_: &mut Names) -> String {
        "\"string\"".into()
    }
    fn encode(&self, out: &mut Vec<u8>) {
        encode_bytes(self.to_string().as_bytes(), out);
    }
    fn decode(bytes: &mut &[u8]) -> Result<Self> {
        let text = decode_text(bytes)?;
        let refused = |error| Error::data(format!("{text:?} is not a decimal number")).caused_by(error);
        Self::from_str_exact(text).map_err(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{from_bytes, to_bytes};

    #[test]
    fn decimals_come_back_with_all_their_digits() {
        for text in ["0", "1.50", "-0.000000000000000000000000001", "79228162514264337593543950335"] {
            let decimal = Decimal::from_str_exact(text).unwrap();
            assert_eq!(from_bytes::<Decimal>(&to_bytes(&decimal)).unwrap().to_string(), text);
        }
        let error = from_bytes::<Decimal>(&to_bytes(&"1,5".to_owned())).unwrap_err();
        assert_eq!(error.to_string(), "\"1,5\" is not a decimal number");
    }
}
