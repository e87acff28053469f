//! Recorded events: the real ones where they are at hand, else generated ones of the same shape.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use anyhow::Result;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

/// One event of a recording.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub user: String,
    pub item: String,
    pub category: String,
    pub behavior: String,
    pub time: i64,
}

const REAL: &str = "UserBehavior_first110300.csv.gz";

/// A recording in Taobao's columns, and its events. `MILLSTREAM_DATA` names the directory of the real one.
pub fn recording(dir: &Path) -> Result<(PathBuf, Vec<Recorded>)> {
    let real = std::env::var_os("MILLSTREAM_DATA").map(|data| PathBuf::from(data).join(REAL));
    let path = match real.filter(|path| path.exists()) {
        Some(path) => path,
        None => generated(dir)?,
    };
    let lines = BufReader::new(GzDecoder::new(File::open(&path)?)).lines();
    let events = lines.map(|line| Ok(parse(&line?))).collect::<Result<_>>()?;
    Ok((path, events))
}

fn parse(line: &str) -> Recorded {
    let fields: Vec<_> = line.split(',').map(str::to_owned).collect();
    let [user, item, category, behavior, seconds] = fields.try_into().expect("five columns");
    Recorded {
        user,
        item,
        category,
        behavior,
        time: seconds.parse::<i64>().expect("a time in seconds") * 1000,
    }
}

// 14 events a second for two hours, mostly of users and items that are seen once or twice, of few categories.
fn generated(dir: &Path) -> Result<PathBuf> {
    let path = dir.join("generated.csv.gz");
    let mut file = GzEncoder::new(File::create(&path)?, Compression::fast());
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    for n in 0..100_000_u64 {
        let behavior = match random(1000) {
            0..=891 => "pv",
            892..=946 => "cart",
            947..=977 => "fav",
            _ => "buy",
        };
        let (user, item) = (random(66_000) + 1, random(85_000) + 1);
        let below = random(4000) + 1;
        let category = random(below);
        writeln!(file, "{user},{item},{category},{behavior},{}", 1_511_658_000 + n / 14)?;
    }
    file.finish()?;
    Ok(path)
}
