use super::*;
use crate::trouble::Troubles;

const SECOND: Nanos = 1_000_000_000;

fn refusal(reason: &str) -> Refusal {
    Refusal { reason: reason.to_owned(), sample: "clicks-0 at 7: {}".to_owned() }
}

fn counted(records: u64, refused: u64) -> Window {
    let mut window = Window::default();
    window.count(0, records, refused, Vec::new());
    window
}

#[test]
fn many_are_judged_after_a_second_and_others_after_ten() {
    assert_eq!(counted(150, 100).judge(SECOND - 1), None);
    assert_eq!(counted(150, 100).judge(SECOND).map(|judged| judged.share), Some(Share::Most));
    assert_eq!(counted(150, 99).judge(SECOND), None, "too few for so short a span");
    assert_eq!(counted(150, 99).judge(10 * SECOND).map(|judged| judged.share), Some(Share::Most));
    assert_eq!(counted(9, 9).judge(3600 * SECOND), None, "too few for any span");
    assert_eq!(counted(0, 0).judge_last(SECOND), None);
    assert_eq!(counted(1, 1).judge_last(SECOND).map(|judged| judged.share), Some(Share::Most));
}

#[test]
fn a_half_is_not_most_and_a_quarter_is_not_few() {
    for (records, refused, share) in [
        (100, 51, Share::Most),
        (100, 50, Share::Some),
        (100, 25, Share::Some),
        (100, 24, Share::Few),
        (100, 0, Share::Few),
        // A sink answers later than it is written to.
        (0, 30, Share::Most),
    ] {
        let judged = counted(records, refused).judge(10 * SECOND);
        assert_eq!(judged.map(|judged| judged.share), Some(share), "{refused} of {records}");
    }
}

#[test]
fn the_commonest_reason_is_named_with_its_sample_whatever_its_digits() {
    let mut window = Window::default();
    let reasons = ["no JSON", "field timestamp: 17 is too early", "field timestamp: 18 is too early"];
    window.count(0, 3, 3, reasons.map(refusal).into());
    let judged = window.judge_last(2 * SECOND).unwrap();
    let says = "3 of 3 within 2.0 s. The commonest reason: field timestamp: 17 is too early. For example clicks-0 at 7: {}";
    assert_eq!(judged.why, says);
    assert_eq!(window.judge_last(2 * SECOND), None, "the next span has nothing yet");
}

#[test]
fn memory_is_bounded_whatever_the_reasons() {
    let mut window = Window::default();
    for number in 0..1000_u32 {
        let word = char::from_u32(0x4e00 + number).unwrap().to_string();
        window.count(0, 1, 1, vec![refusal(&word)]);
    }
    assert_eq!(window.reasons.len(), REASONS);
}

#[test]
fn only_what_may_say_something_is_looked_at_again() {
    assert_eq!(counted(100, 0).judge_at(false), None);
    assert_eq!(counted(100, 0).judge_at(true), Some(10 * SECOND));
    assert_eq!(counted(100, 1).judge_at(false), Some(10 * SECOND));
    assert_eq!(counted(150, 120).judge_at(false), Some(SECOND));
}

#[test]
fn it_is_a_trouble_of_all_subtasks_until_few_are_refused() {
    let troubles = Troubles::default();
    let (one, other) = (troubles.refusals("parse"), troubles.refusals("parse"));
    one.count(0, 80, 80, || vec![refusal("no JSON")]);
    other.count(0, 40, 40, || vec![refusal("no JSON")]);
    assert_eq!(one.look(0), Some(SECOND));
    assert!(troubles.ongoing(0).is_empty());
    assert_eq!(other.look(SECOND), None);
    let lasts = troubles.ongoing(2 * SECOND);
    assert_eq!((lasts.len(), lasts[0].subject.as_str()), (1, "most records are refused by parse"));
    assert!(lasts[0].why.starts_with("120 of 120 within 1.0 s. The commonest reason: no JSON."), "{lasts:?}");
    one.count(20 * SECOND, 1000, 400, Vec::new);
    one.look(30 * SECOND);
    assert_eq!(troubles.ongoing(30 * SECOND).len(), 1, "it is not over yet");
    one.count(30 * SECOND, 1000, 0, Vec::new);
    assert_eq!(one.look(30 * SECOND), Some(40 * SECOND), "the end is not missed");
    one.look(40 * SECOND);
    assert!(troubles.ongoing(40 * SECOND).is_empty());
}

#[test]
fn a_letter_says_where_it_stood_and_its_first_bytes() {
    let letter = |position| DeadLetter {
        split: "clicks-3".to_owned(),
        position,
        ..DeadLetter::of_value("parse", "decode", [b"\0\n".as_slice(), &[b'x'; 400]].concat(), 0, "no JSON")
    };
    let seen = Refusal::of(&[letter(7), letter(-1)]);
    assert_eq!(seen[0].reason, "no JSON");
    assert!(seen[0].sample.starts_with("clicks-3 at 7: \\0\\nxxx"), "{seen:?}");
    assert!(seen[1].sample.starts_with("\\0\\nx") && seen[1].sample.len() < 170, "{seen:?}");
}

#[test]
fn what_is_dropped_is_not_called_a_dead_letter() {
    let troubles = Troubles::default();
    troubles.drops("with-user").count(0, 200, 150, || vec![refusal("no user")]);
    troubles.drops("with-user").look(SECOND);
    assert_eq!(troubles.ongoing(SECOND)[0].subject, "most records are dropped by with-user");
    assert!(!Fate::Dropped.to_string().contains("dead letter"));
}
