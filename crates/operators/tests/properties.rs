//! What must hold for any input: windows, merged watermarks, key groups, the codec of batches.

use std::collections::BTreeSet;
use std::time::Duration;

use millstream_operators::window::{Cumulative, Sliding, Tumbling, Window, WindowAssigner};
use millstream_record::Key;
use millstream_record::key_group::{key_group, owner};
use millstream_stage::batch::{Batch, EdgeCodec, RecordCodec};
use millstream_stage::time::{MAX_TIME, MIN_TIME, Time};
use millstream_stage::watermark::WatermarkMerger;
use millstream_stage::{Rows, WatermarkEvent};
use proptest::prelude::*;

// A hundred thousand years either side of 1970.
const TIMES: std::ops::Range<Time> = -3_155_760_000_000_000..3_155_760_000_000_000;

fn assigned(assigner: &impl WindowAssigner, time: Time) -> Vec<Window> {
    let mut windows = Vec::new();
    assigner.assign(time, &mut windows);
    windows
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

proptest! {
    #[test]
    fn a_time_is_in_exactly_one_tumbling_window(time in TIMES, size in 1..100_000_u64, offset in 0..100_000_u64) {
        let offset = offset % size;
        let windows = assigned(&Tumbling::of(ms(size)).with_offset(ms(offset)), time);
        prop_assert_eq!(windows.len(), 1);
        prop_assert!(windows[0].start <= time && time < windows[0].end);
        prop_assert_eq!(windows[0].end - windows[0].start, size as i64);
        prop_assert_eq!((windows[0].start - offset as i64).rem_euclid(size as i64), 0);
    }

    #[test]
    fn sliding_windows_are_all_that_hold_the_time(time in TIMES, size in 1..5_000_u64, slide in 1..5_000_u64) {
        let got: BTreeSet<_> = assigned(&Sliding::of(ms(size), ms(slide)), time).into_iter().collect();
        let (size, slide) = (size as i64, slide as i64);
        let first = (time - size).div_euclid(slide) * slide;
        let starts = (0..=size / slide + 2).map(|n| first + n * slide);
        let holding = starts.filter(|start| *start <= time && time < start + size);
        let wanted: BTreeSet<_> = holding.map(|start| Window { start, end: start + size }).collect();
        prop_assert_eq!(got, wanted);
    }

    #[test]
    fn cumulating_windows_grow_from_one_start(time in TIMES, step in 1..1_000_u64, steps in 1..50_u64) {
        let windows = assigned(&Cumulative::of(ms(step * steps), ms(step)), time);
        prop_assert!(windows.iter().all(|window| window.start == windows[0].start && window.start <= time && time < window.end));
        prop_assert!(windows.windows(2).all(|pair| pair[1].end - pair[0].end == step as i64));
        prop_assert_eq!(windows[windows.len() - 1].end, windows[0].start + (step * steps) as i64);
    }

    #[test]
    fn a_merged_watermark_never_goes_back_nor_passes_an_active_input(
        watermarks in prop::collection::vec((0..4_usize, prop_oneof![
            (0..1000_i64).prop_map(WatermarkEvent::Watermark), Just(WatermarkEvent::Idle), Just(WatermarkEvent::Active), Just(WatermarkEvent::Watermark(MAX_TIME))
        ]), 1..200)
    ) {
        let mut merge = WatermarkMerger::new(4);
        let mut inputs = [(MIN_TIME, false); 4];
        let mut last = MIN_TIME;
        for (input, watermark) in watermarks {
            match watermark {
                WatermarkEvent::Watermark(time) => inputs[input].0 = inputs[input].0.max(time),
                WatermarkEvent::Idle => inputs[input].1 = true,
                WatermarkEvent::Active => inputs[input].1 = false,
            }
            for watermark in merge.on(input, watermark).into_iter().flatten() {
                let WatermarkEvent::Watermark(time) = watermark else { continue };
                prop_assert!(time > last);
                let active = inputs.iter().filter(|(seen, idle)| !idle && *seen != MAX_TIME);
                prop_assert!(active.clone().all(|(seen, _)| time <= *seen), "{time} passes {inputs:?}");
                prop_assert!(time != MAX_TIME || inputs.iter().all(|(seen, _)| *seen == MAX_TIME));
                last = time;
            }
        }
    }

    #[test]
    fn whoever_is_idle_has_said_all_that_he_knows(
        watermarks in prop::collection::vec((0..3_usize, prop_oneof![
            (0..1000_i64).prop_map(WatermarkEvent::Watermark), Just(WatermarkEvent::Idle), Just(WatermarkEvent::Active)
        ]), 1..200)
    ) {
        let mut merge = WatermarkMerger::new(3);
        let (mut inputs, mut idle) = ([false; 3], false);
        for (input, watermark) in watermarks {
            match watermark {
                WatermarkEvent::Watermark(_) if inputs[input] => continue,
                WatermarkEvent::Watermark(_) => {}
                WatermarkEvent::Idle | WatermarkEvent::Active => inputs[input] = watermark == WatermarkEvent::Idle,
            }
            for watermark in merge.on(input, watermark).into_iter().flatten() {
                match watermark {
                    WatermarkEvent::Watermark(time) => prop_assert!(!idle, "{time} comes from somebody whom nobody waits for"),
                    WatermarkEvent::Idle | WatermarkEvent::Active => idle = watermark == WatermarkEvent::Idle,
                }
            }
            prop_assert_eq!(idle, inputs.iter().all(|idle| *idle));
        }
    }

    #[test]
    fn batches_survive_their_codec_and_every_part_goes_to_its_owner(
        records in prop::collection::vec((".{0,40}", any::<i64>(), TIMES), 0..100), routes in 1..8_u16
    ) {
        let mut rows = Rows::default();
        for (text, number, time) in &records {
            rows.push_keyed((text.clone(), *number), *time, text.key_hash());
        }
        let codec = RecordCodec::<(String, i64)>::default();
        let mut bytes = Vec::new();
        codec.encode(&Batch::new(0, 0, 5, rows), &mut bytes)?;
        let mut parts = Vec::new();
        codec.partition(codec.decode(&bytes, 0, 0, 5)?, 128, &|group| owner(group, 128, routes), &mut parts)?;
        let mut seen = Vec::new();
        for part in parts {
            let route = part.route;
            let rows = part.into_rows::<(String, i64)>()?;
            prop_assert!(rows.hash.iter().all(|hash| owner(key_group(*hash, 128), 128, routes) == route));
            seen.extend(rows.rec.into_iter().zip(rows.ts).map(|((text, number), time)| (text, number, time)));
        }
        let mut wanted = records;
        wanted.sort();
        seen.sort();
        prop_assert_eq!(seen, wanted);
    }
}
