//! Which part of the configuration file an operator of the pipeline comes from.

use crate::options::{Options, SinkOptions};

/// The part, such as `sinks.1` for `user-clicks-to-redis`; none for what every job has.
pub fn part_of(options: &Options, operator: &str) -> Option<String> {
    match operator {
        "clicks" => Some("source".to_owned()),
        "parse" => Some("event".to_owned()),
        "event-time" => Some("watermark".to_owned()),
        "dead-letters" => Some("dead-letter".to_owned()),
        _ => {
            let store = operator.split_once("-to-").map(|(_, store)| store)?;
            let number =
                (0..options.sinks.len()).find(|number| store_name(&options.sinks, *number) == store)?;
            Some(format!("sinks.{number}"))
        }
    }
}

/// What a store is called in the names of operators: its kind, with a number from the second one of a kind
/// on.
pub fn store_name(stores: &[SinkOptions], number: usize) -> String {
    let kind = stores[number].kind();
    match stores[..number].iter().filter(|store| store.kind() == kind).count() {
        0 => kind.to_owned(),
        before => format!("{kind}-{}", before + 1),
    }
}

#[cfg(test)]
mod tests {
    use millstream::connectors::kafka::KafkaSinkOptions;

    use super::*;
    use crate::options::CsvOptions;

    #[test]
    fn stores_of_one_kind_are_numbered() {
        let csv = || SinkOptions::Csv(CsvOptions { dir: "out".into() });
        let stores = [csv(), SinkOptions::Kafka(KafkaSinkOptions::default()), csv()];
        let names: Vec<_> = (0..3).map(|number| store_name(&stores, number)).collect();
        assert_eq!(names, ["csv", "kafka", "csv-2"]);
    }
}
