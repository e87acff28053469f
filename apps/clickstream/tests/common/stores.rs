//! Reads results back from every store and compares them with what they must be.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use millstream_testkit::http;
use serde_json::Value;

use super::brute_force::{HotItems, PvUv, UserClicks, assert_same};

/// All three tables.
pub type Results = (UserClicks, HotItems, PvUv);

pub fn compare(store: &str, got: &Results, wanted: &Results) {
    assert_same(&format!("user_clicks in {store}"), &got.0, &wanted.0);
    assert_same(&format!("hot_items in {store}"), &got.1, &wanted.1);
    assert_same(&format!("pv_uv in {store}"), &got.2, &wanted.2);
}

pub fn text(row: &Value, column: &str) -> String {
    match &row[column] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

pub fn number<T: TryFrom<i64, Error: std::fmt::Debug>>(row: &Value, column: &str) -> T {
    let number = text(row, column).parse::<i64>().expect("a column of numbers");
    T::try_from(number).expect("a number in range")
}

// Rows as JSON objects, from whatever store. A row that is there twice is a mistake.
fn results(user_clicks: &[Value], hot_items: &[Value], pv_uv: &[Value]) -> Results {
    let mut results = Results::default();
    for row in user_clicks {
        assert_eq!(number::<i64>(row, "window_end"), number::<i64>(row, "window_start") + 60_000);
        let key = (text(row, "user_id"), number(row, "window_start"));
        assert_eq!(results.0.insert(key, number(row, "count")), None, "twice: {row}");
    }
    for row in hot_items {
        let place = (number(row, "window_end"), number(row, "rank"));
        assert_eq!(
            results.1.insert(place, (text(row, "item_id"), number(row, "count"))),
            None,
            "twice: {row}"
        );
    }
    for row in pv_uv {
        let (granularity, dimension) = (text(row, "granularity"), text(row, "dimension"));
        let key = (granularity, dimension, text(row, "value"), number(row, "window_start"));
        assert_eq!(results.2.insert(key, (number(row, "pv"), number(row, "uv"))), None, "twice: {row}");
    }
    results
}

pub fn in_elasticsearch(url: &str, prefix: &str) -> Result<Results> {
    let index = |table: &str| all_documents(url, &format!("{prefix}{table}"));
    Ok(results(&index("user_clicks")?, &index("hot_items")?, &index("pv_uv")?))
}

fn all_documents(url: &str, index: &str) -> Result<Vec<Value>> {
    post(url, &format!("/{index}/_refresh"), "")?;
    let mut page = post(url, &format!("/{index}/_search?scroll=1m&size=10000"), r#"{"sort": ["_doc"]}"#)?;
    let mut documents = Vec::new();
    loop {
        let hits = page["hits"]["hits"].as_array().context("a search answers with hits")?;
        if hits.is_empty() {
            return Ok(documents);
        }
        documents.extend(hits.iter().map(|hit| hit["_source"].clone()));
        let next = serde_json::json!({ "scroll": "1m", "scroll_id": page["_scroll_id"] });
        page = post(url, "/_search/scroll", &next.to_string())?;
    }
}

fn post(url: &str, path: &str, body: &str) -> Result<Value> {
    let port = url.rsplit(':').next().context("a URL with a port")?.parse()?;
    let answer = http::request(port, "POST", path, None, body)?;
    ensure!(answer.status == 200, "{path}: {} {}", answer.status, answer.body);
    Ok(serde_json::from_str(&answer.body)?)
}

pub fn in_sqlite(path: &Path) -> Result<Results> {
    let database = rusqlite::Connection::open(path)?;
    let table = |table: &str| -> Result<Vec<Value>> {
        let mut statement = database.prepare(&format!("select * from {table}"))?;
        let names: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
        let rows = statement.query_map([], |row| {
            names
                .iter()
                .enumerate()
                .map(|(index, name)| Ok((name.clone(), json(row.get_ref(index)?))))
                .collect()
        })?;
        Ok(rows
            .collect::<rusqlite::Result<Vec<serde_json::Map<_, _>>>>()?
            .into_iter()
            .map(Value::Object)
            .collect())
    };
    Ok(results(&table("user_clicks")?, &table("hot_items")?, &table("pv_uv")?))
}

fn json(value: rusqlite::types::ValueRef<'_>) -> Value {
    match value {
        rusqlite::types::ValueRef::Integer(number) => number.into(),
        other => other.as_str().expect("a column of text or numbers").into(),
    }
}

pub fn in_csv(dir: &Path) -> Result<Results> {
    let table = |table: &str| -> Result<Vec<Value>> {
        let mut reader = csv::Reader::from_path(dir.join(format!("{table}.csv")))?;
        let rows = reader.deserialize::<BTreeMap<String, String>>();
        rows.map(|row| Ok(serde_json::to_value(row?)?)).collect()
    };
    Ok(results(&table("user_clicks")?, &table("hot_items")?, &table("pv_uv")?))
}

/// Whether a first result has come to Redis.
pub fn has_results(url: &str) -> bool {
    let keys = redis::Client::open(url).and_then(|client| {
        redis::cmd("KEYS").arg("user_clicks:*").query::<Vec<String>>(&mut client.get_connection()?)
    });
    keys.is_ok_and(|keys| !keys.is_empty())
}

pub fn compare_redis(url: &str, wanted: &Results) -> Result<()> {
    let mut redis = redis::Client::open(url)?.get_connection()?;
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut redis)?;
    let count = |table: &str| keys.iter().filter(|key| key.starts_with(&format!("{table}:"))).count();
    assert_eq!(count("user_clicks"), wanted.0.len());
    assert_eq!(count("pv_uv"), wanted.2.len());
    for ((user, start), clicks) in &wanted.0 {
        let key = format!("user_clicks:{user}:{start}");
        let got: Option<u64> = redis::cmd("HGET").arg(&key).arg("count").query(&mut redis)?;
        assert_eq!(got, Some(*clicks), "{key}");
    }
    for ((granularity, dimension, value, start), (pv, uv)) in &wanted.2 {
        let key = format!("pv_uv:{granularity}:{dimension}:{value}:{start}");
        let got: (Option<u64>, Option<u64>) =
            redis::cmd("HMGET").arg(&key).arg(&["pv", "uv"]).query(&mut redis)?;
        assert_eq!(got, (Some(*pv), Some(*uv)), "{key}");
    }
    let mut rankings: BTreeMap<i64, BTreeMap<String, u64>> = BTreeMap::new();
    for ((end, _), (item, clicks)) in &wanted.1 {
        rankings.entry(*end).or_default().insert(item.clone(), *clicks);
    }
    for (end, ranking) in rankings {
        let key = format!("hot_items:{end}");
        let got: Vec<(String, f64)> =
            redis::cmd("ZRANGE").arg(&key).arg(&["0", "-1", "WITHSCORES"]).query(&mut redis)?;
        let got: BTreeMap<_, _> = got.into_iter().map(|(item, score)| (item, score as u64)).collect();
        assert_eq!(got, ranking, "{key}");
    }
    Ok(())
}
