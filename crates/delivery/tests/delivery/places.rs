//! Parts of the store that are in trouble by themselves.

use millstream_delivery::Verdict;

use crate::script::{Script, rows, trouble, turn_for};

#[test]
fn a_place_in_trouble_holds_nobody_else_up_and_is_told_apart() {
    let script = Script::default();
    script.judge(|row| match row.0 {
        1_000..2_000 => Verdict::Unclear("no such pipeline".to_owned()),
        2_000.. => Verdict::Wait { reason: "the index is closed".to_owned(), overloaded: false },
        _ => Verdict::Written,
    });
    let mut writer = script.writer();
    for from in (0..100).step_by(10) {
        for place in [0, 1_000, 2_000] {
            writer.write(rows(place + from..place + from + 5)).unwrap();
        }
        turn_for(&mut writer, 2_000).unwrap();
    }
    assert_eq!(script.rows().len(), 50, "the healthy place has all of its rows");
    assert!(writer.dead_letters().is_empty(), "what passes elsewhere speaks against nobody");
    assert!(trouble(&writer).is_some(), "and does not end the trouble");
    script.judge(|_| Verdict::Written);
    writer.flush().unwrap();
    assert_eq!((script.rows().len(), trouble(&writer)), (150, None));
}
