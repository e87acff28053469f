//! The program with files as people have them: byte order marks, UTF-16, padding, damage, ids of nobody.

mod common;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::Output;

use anyhow::Result;
use common::program::{finish, run_config};
use flate2::Compression;
use flate2::write::GzEncoder;

const MINUTE: i64 = 1_511_658_000_000;
const MARK: &[u8] = b"\xef\xbb\xbf";

fn event(user: &str) -> String {
    format!(r#"{{"userId":{user},"itemId":"1","categoryId":"2","behavior":"pv","timestamp":{MINUTE}}}"#)
}

fn events(users: &[&str]) -> Vec<u8> {
    users.iter().flat_map(|user| (event(&format!("\"{user}\"")) + "\n").into_bytes()).collect()
}

fn packed(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut member = GzEncoder::new(Vec::new(), Compression::default());
    member.write_all(bytes)?;
    Ok(member.finish()?)
}

fn config(file: &str, format: &str) -> String {
    format!(
        "source: {{type: files, path: {file}, format: {format}}}\njobs: [user-clicks]\nsinks: [{{type: csv, dir: out}}]\n"
    )
}

fn checkpoints(dir: &Path) -> String {
    format!(
        "execution.checkpointing.interval: 100ms\nstate.checkpoints.dir: file://{}/checkpoints\n",
        dir.display()
    )
}

fn clicks(dir: &Path) -> BTreeMap<String, u64> {
    let text = std::fs::read_to_string(dir.join("out/user_clicks.csv")).unwrap_or_default();
    let rows = text.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
    rows.map(|row| (row[0].to_owned(), row[3].parse().expect("counts are numbers"))).collect()
}

fn of(users: &[&str]) -> BTreeMap<String, u64> {
    users.iter().map(|user| ((*user).to_owned(), 1)).collect()
}

fn letters(dir: &Path) -> String {
    std::fs::read_to_string(dir.join("dead-letter.jsonl")).unwrap_or_default()
}

fn fails(dir: &Path, config: &str) -> Result<(Output, String)> {
    std::fs::write(dir.join("job.yaml"), config)?;
    let output = finish(dir, &["run", "--config", "job.yaml"])?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok((output, said))
}

#[test]
fn byte_order_marks_are_no_part_of_the_data() -> Result<()> {
    let json = events(&["a", "b"]);
    let csv = b"a,1,2,pv,1511658000\nb,1,2,pv,1511658000\n".to_vec();
    for (format, text) in [("jsonl", json), ("taobao-csv", csv)] {
        let marked = [MARK, &text].concat();
        let returns = String::from_utf8(marked.clone())?.replace('\n', "\r\n").into_bytes();
        for (file, bytes) in [("in", marked.clone()), ("in.gz", packed(&marked)?), ("in", returns)] {
            let dir = tempfile::tempdir()?;
            std::fs::write(dir.path().join(file), bytes)?;
            run_config(dir.path(), &config(file, format))?;
            assert_eq!(clicks(dir.path()), of(&["a", "b"]), "{format} in {file}");
            assert_eq!(letters(dir.path()), "");
        }
    }
    // Put together by `cat`.
    let dir = tempfile::tempdir()?;
    std::fs::write(dir.path().join("in"), [MARK, &events(&["a"]), MARK, &events(&["b"])].concat())?;
    run_config(dir.path(), &config("in", "jsonl"))?;
    assert_eq!(clicks(dir.path()), of(&["a", "b"]));
    Ok(())
}

#[test]
fn utf_16_is_one_clear_error() -> Result<()> {
    let text = String::from_utf8(events(&["a", "b"]))?;
    let wide =
        |mark: bool| mark.then_some(0xfeff).into_iter().chain(text.encode_utf16()).collect::<Vec<u16>>();
    for units in [wide(true), wide(false)] {
        let dir = tempfile::tempdir()?;
        std::fs::write(
            dir.path().join("in"),
            units.into_iter().flat_map(u16::to_le_bytes).collect::<Vec<_>>(),
        )?;
        let (output, said) = fails(dir.path(), &config("in", "jsonl"))?;
        assert_eq!(output.status.code(), Some(4), "{said}");
        assert_eq!(said.matches("UTF-16 text: convert it to UTF-8").count(), 1, "{said}");
        assert_eq!(letters(dir.path()), "");
    }
    Ok(())
}

#[test]
fn what_comes_before_damage_is_counted_and_each_start_names_the_same_place() -> Result<()> {
    let (a, b) = (packed(&events(&["a"]))?, packed(&events(&["b"]))?);
    let place = a.len();
    for (bytes, at) in [
        ([a.as_slice(), b"junk\n"].concat(), place),
        ([a.as_slice(), &b[..b.len() - 20]].concat(), place + b.len() - 20),
    ] {
        for with_checkpoints in [false, true] {
            let dir = tempfile::tempdir()?;
            let checkpoints = if with_checkpoints { checkpoints(dir.path()) } else { String::new() };
            std::fs::write(dir.path().join("in.gz"), &bytes)?;
            for _ in 0..2 {
                let (output, said) = fails(dir.path(), &(config("in.gz", "jsonl") + &checkpoints))?;
                assert_eq!(output.status.code(), Some(4), "{said}");
                assert!(said.contains(&format!("in.gz is damaged at byte {at}: ")), "{said}");
                assert_eq!(clicks(dir.path()), of(&["a"]), "{said}");
                assert_eq!(letters(dir.path()), "");
            }
        }
    }
    Ok(())
}

#[test]
fn zeros_behind_gzip_are_padding() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let bytes = [packed(&events(&["a"]))?, packed(&events(&["b"]))?, vec![0; 512]].concat();
    std::fs::write(dir.path().join("in.gz"), bytes)?;
    run_config(dir.path(), &config("in.gz", "jsonl"))?;
    assert_eq!(clicks(dir.path()), of(&["a", "b"]));
    Ok(())
}

#[test]
fn behaviors_that_nobody_has_are_said() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let events: Vec<_> = (0..12).map(|_| event("\"a\"").replace("\"pv\"", "\"page_view\"")).collect();
    std::fs::write(dir.path().join("in"), events.join("\n"))?;
    let said = run_config(dir.path(), &config("in", "jsonl"))?;
    assert_eq!(said.matches("WARN most records are dropped by counted: 12 of 12").count(), 1, "{said}");
    assert!(said.contains("behaviors: all") && said.contains("page_view"), "{said}");
    assert!(said.contains("other behavior 12"), "{said}");

    // Few of many may be what is wanted.
    let one = events.iter().cloned().chain([event("\"a\"")]).rev().collect::<Vec<_>>();
    std::fs::write(dir.path().join("in"), one.join("\n"))?;
    let said = run_config(dir.path(), &config("in", "jsonl"))?;
    assert!(!said.contains("WARN"), "{said}");
    Ok(())
}

#[test]
fn ids_of_nobody_count_nowhere_and_whole_numbers_are_one_id() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let users =
        ["\"null\"", "\"Undefined\"", "0", "null", "\"\"", "\"00000000-0000-0000-0000-000000000000\"", "0.0"];
    let ids = ["42", "42.0", "4.2e1", "\"42\"", "\"guest\""];
    let lines: Vec<_> = users.iter().chain(&ids).map(|user| event(user)).collect();
    std::fs::write(dir.path().join("in"), lines.join("\n"))?;
    let said = run_config(dir.path(), &config("in", "jsonl"))?;
    assert!(said.contains("without user 7"), "{said}");
    assert_eq!(said.matches("WARN most records are dropped by with-user: 7 of 12").count(), 1, "{said}");
    let wanted: BTreeMap<_, _> = [("42".to_owned(), 4), ("guest".to_owned(), 1)].into();
    assert_eq!(clicks(dir.path()), wanted);

    let own = format!("event: {{placeholder-users: [guest]}}\n{}", config("in", "jsonl"));
    let said = run_config(dir.path(), &own)?;
    assert!(said.contains("without user 3"), "missing, empty and the guest: {said}");
    Ok(())
}

#[test]
fn a_format_that_is_mistaken_is_said_once_with_the_likely_cause() -> Result<()> {
    let csv: String = (0..500).map(|n| format!("{n},1,2,pv,1511658000\n")).collect();
    let seconds: String =
        (0..500).map(|_| event("\"a\"").replace(&MINUTE.to_string(), "1511658000") + "\n").collect();
    let names: String = (0..500).map(|_| event("\"a\"").replace("itemId", "item_id") + "\n").collect();
    for (text, cause) in [
        (csv, "it looks like a line of CSV: check the source's format"),
        (seconds, "it is plausible as seconds"),
        (names, "field itemId: is missing; the message has userId, item_id, categoryId, behavior, timestamp"),
    ] {
        let dir = tempfile::tempdir()?;
        std::fs::write(dir.path().join("in"), text)?;
        let said = run_config(dir.path(), &config("in", "jsonl"))?;
        assert_eq!(said.matches("WARN most records are refused by parse: 500 of 500").count(), 1, "{said}");
        assert!(said.contains(cause), "{said}");
    }
    Ok(())
}
