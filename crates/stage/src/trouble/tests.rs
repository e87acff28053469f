use super::*;

const SECOND: Nanos = 1_000_000_000;

// Fails every half second from `from` to `to`; the seconds at which something was said.
fn fail(trouble: &mut Trouble, from: Nanos, to: Nanos) -> Vec<(Nanos, Say)> {
    let times = (from * 2..to * 2).map(|half| half * SECOND / 2);
    times.filter_map(|now| Some((now / SECOND, trouble.failed(now)?))).collect()
}

#[test]
fn a_long_trouble_is_said_at_its_beginning_ever_more_rarely_and_at_its_end() {
    let mut trouble = Trouble::default();
    let said = fail(&mut trouble, 0, 120);
    let times: Vec<_> = said.iter().map(|(time, _)| *time).collect();
    assert_eq!(times, [0, 10, 30, 70]);
    assert_eq!(said[0].1, Say::Began { unsaid: 0 });
    assert_eq!(said[1].1, Say::GoesOn { lasts: Duration::from_secs(10), attempts: 21 });
    let over = trouble.recovered(120 * SECOND);
    assert_eq!(over, Some(Say::Over { lasted: Duration::from_secs(120), attempts: 240 }));
    assert_eq!(trouble.recovered(121 * SECOND), None, "it is over once");
}

#[test]
fn the_pause_between_two_lines_has_an_end() {
    let mut trouble = Trouble::default();
    let said = fail(&mut trouble, 0, 24 * 3600);
    let last_two: Vec<_> = said.iter().rev().map(|(time, _)| *time).take(2).collect();
    assert_eq!(last_two[0] - last_two[1], LONGEST_PAUSE.as_secs());
}

#[test]
fn a_trouble_that_comes_and_goes_is_said_rarely_and_counted() {
    let mut trouble = Trouble::default();
    let mut began = Vec::new();
    for second in (0..3600).step_by(2) {
        began.extend(fail(&mut trouble, second, second + 1).into_iter().map(|(_, say)| say));
        trouble.recovered((second + 1) * SECOND);
    }
    assert!((2..12).contains(&began.len()), "{began:?}");
    let counted: u64 =
        began.iter().map(|say| if let Say::Began { unsaid } = say { *unsaid } else { 0 }).sum();
    assert!(counted > 100, "the next line says how often: {began:?}");
}

#[test]
fn one_that_lasts_is_said_even_after_many_short_ones() {
    let mut trouble = Trouble::default();
    for second in (0..600).step_by(2) {
        fail(&mut trouble, second, second + 1);
        trouble.recovered((second + 1) * SECOND);
    }
    let said = fail(&mut trouble, 600, 660);
    let first = said.first().expect("it lasts a minute");
    assert!(first.0 <= 610 && matches!(first.1, Say::Began { .. }), "{said:?}");
    assert!(matches!(trouble.recovered(660 * SECOND), Some(Say::Over { .. })));
}

#[test]
fn after_a_quiet_time_the_next_trouble_is_said_at_once() {
    let mut trouble = Trouble::default();
    fail(&mut trouble, 0, 3600);
    trouble.recovered(3600 * SECOND);
    assert_eq!(trouble.failed(3630 * SECOND), Some(Say::Began { unsaid: 0 }));
}

#[test]
fn a_trouble_of_many_reporters_is_over_when_all_of_them_have_recovered() {
    let troubles = Troubles::default();
    let (mut one, mut two) = (troubles.reporter("a store"), troubles.reporter("a store"));
    one.failed(0, "refused");
    two.failed(SECOND, "reset");
    one.recovered(2 * SECOND);
    let ongoing = troubles.ongoing(3 * SECOND);
    let wanted = Ongoing {
        subject: "a store".into(),
        why: "reset".into(),
        lasts: Duration::from_secs(3),
        attempts: 2,
    };
    assert_eq!(ongoing, [wanted]);
    two.recovered(4 * SECOND);
    assert_eq!(troubles.ongoing(4 * SECOND), []);
}

#[test]
fn the_trouble_of_a_reporter_that_is_gone_ends_with_the_next_success() {
    let troubles = Troubles::default();
    let mut before = troubles.reporter("a store");
    before.failed(0, "refused");
    drop(before);
    let mut after = troubles.reporter("a store");
    assert_eq!(troubles.ongoing(SECOND).len(), 1, "the restart of a job ends no trouble");
    after.recovered(2 * SECOND);
    assert_eq!(troubles.ongoing(2 * SECOND), []);
}

#[test]
fn durations_are_written_for_people() {
    let said = |millis| rounded(Duration::from_millis(millis));
    assert_eq!([said(340), said(9_900), said(34_567)], ["0.3 s", "9.9 s", "34 s"]);
    assert_eq!([said(312_000), said(12_000_000)], ["5 min 12 s", "3 h 20 min"]);
}
