//! What the files source does with the files that people have.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use millstream_files::{Compression, FilesSource, FilesSourceOptions, Paths};
use millstream_record::{ErrorKind, Result};
use millstream_sim::{DrivenReader, Harness, Reading, Simulated, TokioWorld, World};
use millstream_stage::Rows;
use millstream_stage::dead_letter::DeadLetter;
use millstream_stage::decode::Refused;
use millstream_stage::raw::RawBatch;
use millstream_stage::source::{EnumeratorContext, EnumeratorEvent, Source, Split};
use proptest::prelude::*;

// Lines by their numbers, and what was refused.
#[derive(Debug, Default, PartialEq)]
struct ReadLines {
    lines: Vec<(i64, Vec<u8>)>,
    refused: Vec<DeadLetter>,
    damage: Option<String>,
}

impl ReadLines {
    fn numbers(&self) -> Vec<i64> {
        self.lines.iter().map(|(number, _)| *number).collect()
    }

    fn texts(&self) -> Vec<&str> {
        self.lines.iter().map(|(_, line)| std::str::from_utf8(line).unwrap()).collect()
    }
}

fn splits(source: &FilesSource, world: &Arc<dyn World>) -> Result<Vec<Split>> {
    let context = EnumeratorContext {
        job: "test".to_owned(),
        parallelism: 1,
        clock: world.clock(),
        troubles: Arc::default(),
    };
    let assignments = source.enumerator().on(&context, EnumeratorEvent::Start { restored: None })?;
    Ok(assignments.into_iter().flat_map(|assignment| assignment.splits).collect())
}

fn read_in(world: Arc<dyn World>, options: FilesSourceOptions) -> Result<ReadLines> {
    let source = FilesSource::new(options);
    source.validate()?;
    let splits = splits(&source, &world)?;
    let (mut seen, mut open) = (ReadLines::default(), splits.len());
    let mut reader = DrivenReader::open(&source, Harness::new(world))?;
    reader.add_splits(splits)?;
    while open > 0 {
        match reader.next(100)? {
            Reading::Finished(_) => open -= 1,
            Reading::Pending => unreachable!("next waits"),
            Reading::Rows(_, rows) => {
                for batch in &rows.rec {
                    seen.lines.extend(batch.iter().map(|line| (line.position, line.bytes.to_vec())));
                    let mut letters = Rows::default();
                    Refused::new("files", batch, 0, &mut letters);
                    seen.refused.extend(letters.rec);
                }
            }
        }
    }
    if let Some(error) = reader.damage() {
        assert_eq!(error.kind(), ErrorKind::Data);
        seen.damage = Some(error.to_string());
    }
    reader.close();
    Ok(seen)
}

fn read(options: FilesSourceOptions) -> Result<ReadLines> {
    read_in(Arc::new(Simulated::default()), options)
}

fn options(path: &Path) -> FilesSourceOptions {
    FilesSourceOptions { path: Paths::from(path.to_str().unwrap()), ..FilesSourceOptions::default() }
}

fn file(name: &str, bytes: &[u8]) -> (tempfile::TempDir, FilesSourceOptions) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    fs::write(&path, bytes).unwrap();
    let options = options(&path);
    (directory, options)
}

#[test]
fn line_ends_of_all_kinds() {
    let (_directory, options) = file("a.txt", b"one\r\ntwo\n\n\r\nfive\rstill five\nsix");
    let seen = read(options).unwrap();
    assert_eq!(seen.texts(), ["one", "two", "five\rstill five", "six"]);
    assert_eq!(seen.numbers(), [1, 2, 5, 6]);
}

#[test]
fn a_header_is_no_message() {
    let (_directory, options) = file("a.csv", b"user,item\n1,2\n3,4\n");
    let seen = read(FilesSourceOptions { header: true, chunk_size: 3, ..options }).unwrap();
    assert_eq!((seen.texts(), seen.numbers()), (vec!["1,2", "3,4"], vec![2, 3]));
}

#[test]
fn empty_files_of_both_kinds_end() {
    for name in ["a.csv", "a.csv.gz"] {
        let (_directory, options) = file(name, b"");
        assert_eq!(read(options).unwrap(), ReadLines::default(), "{name}");
    }
}

#[test]
fn a_line_beyond_the_limit_is_a_dead_letter_and_the_others_are_read() {
    let long = vec![b'x'; 300_000];
    let bytes = [b"one\n".as_slice(), &long, b"\nthree\n", &long].concat();
    let (directory, options) = file("a.txt", &bytes);
    let seen = read(FilesSourceOptions { max_line_size: 200_000, chunk_size: 1000, ..options }).unwrap();
    assert_eq!((seen.texts(), seen.numbers()), (vec!["one", "three"], vec![1, 3]));
    let path = directory.path().join("a.txt");
    let letters: Vec<_> = seen.refused.iter().map(|letter| (letter.position, letter.raw.len())).collect();
    assert_eq!(letters, [(2, 65536), (4, 65536)]);
    assert_eq!(seen.refused[0].id, format!("files/{}/2/decode", path.display()));
    assert!(seen.refused[0].reason.contains("300000 bytes long"), "{}", seen.refused[0].reason);
}

#[test]
fn a_long_line_within_the_limit_is_whole() {
    let long = vec![b'x'; 5 << 20];
    let (_directory, options) = file("a.txt", &long);
    assert_eq!(read(options).unwrap().lines, [(1, long)]);
}

#[test]
fn a_missing_file_is_known_before_the_job_starts() {
    let error = read(options(Path::new("/nowhere/a.csv"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("/nowhere/a.csv does not exist"), "{error}");
}

#[test]
fn what_is_no_gzip_though_it_should_be_is_damaged() {
    let (_directory, options) = file("a.csv.gz", b"this is no gzip");
    let damage = read(options).unwrap().damage.unwrap();
    assert!(damage.contains("a.csv.gz is damaged at byte 0: it is no gzip"), "{damage}");
    let (_directory, options) = file("a.csv", b"plain\n");
    assert!(read(FilesSourceOptions { compression: Compression::Gzip, ..options }).unwrap().damage.is_some());
}

#[test]
fn gzip_is_known_by_its_beginning_too() {
    let (_directory, options) = file("a.csv", &[pack(b"one\n"), vec![0; 512]].concat());
    let seen = read(options).unwrap();
    assert_eq!((seen.texts(), &seen.damage), (vec!["one"], &None));
}

#[test]
fn what_comes_before_damage_is_read_once_and_its_place_is_named_each_time() {
    let whole: String = (0..3000).map(|n| format!("line {n} of the first member\n")).collect();
    let bytes = [pack(whole.as_bytes()), pack(b"this\nis cut off\n")].concat();
    let (directory, options) = file("a.gz", &bytes[..bytes.len() - 9]);
    let other = directory.path().join("b.gz");
    fs::write(&other, pack(b"of another file\n")).unwrap();
    let path = Paths(vec![options.path.0[0].clone(), other.to_str().unwrap().to_owned()]);
    let options = FilesSourceOptions { path, chunk_size: 1000, ..options };
    let seen = read(options.clone()).unwrap();
    assert_eq!(seen.lines.len(), 3001, "both files");
    let damage = seen.damage.clone().unwrap();
    let place = format!("a.gz is damaged at byte {}: ", bytes.len() - 9);
    assert!(damage.contains(&place) && damage.contains("Its first 3000 lines"), "{damage}");

    // Whoever goes on from the end meets the same place again.
    let (source, world) = (FilesSource::new(options), Arc::new(Simulated::default()) as Arc<dyn World>);
    let mut reader = DrivenReader::open(&source, Harness::new(Arc::clone(&world))).unwrap();
    reader.add_splits(splits(&source, &world).unwrap()).unwrap();
    let end = |reader: &mut DrivenReader<_>, mut open: usize| {
        let mut lines = 0;
        while open > 0 {
            match reader.next(1000).unwrap() {
                Reading::Finished(_) => open -= 1,
                Reading::Pending => unreachable!("next waits"),
                Reading::Rows(_, rows) => lines += rows.rec.iter().map(RawBatch::len).sum::<usize>(),
            }
        }
        lines
    };
    assert_eq!(end(&mut reader, 2), 3001);
    let left = reader.snapshot(1).unwrap();
    assert_eq!(left.len(), 1, "the damaged one");
    let mut again = DrivenReader::open(&source, Harness::new(world)).unwrap();
    again.add_splits(left).unwrap();
    assert_eq!(end(&mut again, 1), 0);
    assert_eq!(again.damage().map(|error| error.to_string()), Some(damage));
}

#[test]
fn text_that_is_not_utf_8_by_its_beginning_is_one_error() {
    let utf16: Vec<u8> = "\u{feff}1,2\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (name, bytes) in [("a.csv", utf16.clone()), ("a.csv.gz", pack(&utf16))] {
        let (_directory, options) = file(name, &bytes);
        let seen = read(options).unwrap();
        assert!(seen.lines.is_empty());
        assert!(seen.damage.as_ref().is_some_and(|damage| damage.contains("UTF-16")), "{:?}", seen.damage);
    }
}

#[test]
fn a_byte_order_mark_before_a_line_is_no_part_of_it() {
    let (_directory, options) = file("a.txt", "\u{feff}\none\n\0\u{feff}two\n\u{feff}".as_bytes());
    let seen = read(options).unwrap();
    assert_eq!((seen.texts(), seen.numbers()), (vec!["one", "two"], vec![2, 3]));
}

#[test]
fn zeros_before_a_line_are_no_part_of_it() {
    let zeros = [0; 5000];
    let bytes = [&zeros, b"one\n".as_slice(), &zeros, b"\ntwo\0\n", &zeros].concat();
    let (_directory, options) = file("a.txt", &bytes);
    let seen = read(FilesSourceOptions { chunk_size: 777, ..options }).unwrap();
    assert_eq!((seen.texts(), seen.numbers()), (vec!["one", "two\0"], vec![1, 3]));
    assert_eq!(seen.refused, []);
}

#[test]
fn a_file_that_became_shorter_is_named() {
    let (directory, options) = file("a.txt", b"one\ntwo\n");
    let (source, world) = (FilesSource::new(options), Arc::new(Simulated::default()) as Arc<dyn World>);
    let mut reader = DrivenReader::open(&source, Harness::new(Arc::clone(&world))).unwrap();
    reader.add_splits(splits(&source, &world).unwrap()).unwrap();
    assert!(matches!(reader.next(100).unwrap(), Reading::Rows(..)));
    let left = reader.snapshot(1).unwrap();
    fs::write(directory.path().join("a.txt"), "one\n").unwrap();
    let mut again = DrivenReader::open(&source, Harness::new(world)).unwrap();
    again.add_splits(left).unwrap();
    assert!(matches!(again.next(100).unwrap(), Reading::Finished(_)));
    let damage = again.damage().unwrap().to_string();
    assert!(damage.contains("at byte 8: it is shorter than it was"), "{damage}");
}

#[test]
fn a_pipe_is_read_as_data_comes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let writer = std::process::Command::new("sh")
        .args(["-c", "exec 3>\"$0\"; echo one >&3; echo two >&3; printf three >&3"])
        .arg(&path)
        .spawn();
    let seen = read_in(Arc::new(TokioWorld::new().unwrap()), options(&path)).unwrap();
    assert!(writer.unwrap().wait().unwrap().success());
    assert_eq!((seen.texts(), seen.numbers()), (vec!["one", "two", "three"], vec![1, 2, 3]));
}

#[test]
fn a_pipe_cannot_be_read_again_from_its_middle() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.txt");
    fs::write(&path, "one\ntwo\n").unwrap();
    let (source, world) = (FilesSource::new(options(&path)), Arc::new(Simulated::default()));
    let dynamic: Arc<dyn World> = world;
    let mut reader = DrivenReader::open(&source, Harness::new(Arc::clone(&dynamic))).unwrap();
    reader.add_splits(splits(&source, &dynamic).unwrap()).unwrap();
    assert!(matches!(reader.next(1).unwrap(), Reading::Rows(..)));
    let snapshot = reader.snapshot(1).unwrap();
    fs::remove_file(&path).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    // A reader and writer of its own keeps the opening from waiting.
    let _open = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let mut reader = DrivenReader::open(&source, Harness::new(dynamic)).unwrap();
    reader.add_splits(snapshot).unwrap();
    let error = reader.next(1).unwrap_err();
    assert!(error.to_string().contains("cannot be read again from its middle"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    // Against a naive reading of the whole text.
    #[test]
    fn any_text_in_any_chunks(text in "[ab\r\n]{0,120}", chunk_size in 1_usize..40, gzip in any::<bool>()) {
        let bytes = if gzip { pack(text.as_bytes()) } else { text.clone().into_bytes() };
        let (_directory, options) = file(if gzip { "a.gz" } else { "a" }, &bytes);
        let seen = read(FilesSourceOptions { chunk_size, ..options }).unwrap();
        let lines = (1..).zip(text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)));
        let expected: Vec<_> = lines.filter(|(_, line)| !line.is_empty()).collect();
        prop_assert_eq!(seen.numbers().into_iter().zip(seen.texts()).collect::<Vec<_>>(), expected);
    }
}

fn pack(text: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut member = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    member.write_all(text).unwrap();
    member.finish().unwrap()
}
