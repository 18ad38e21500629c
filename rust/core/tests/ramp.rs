//! The ramp on a simulated machine, and `predict` against brute force.

use std::collections::BTreeSet;

use proptest::prelude::*;
use wramp_core::measure::{Bytes, Nanos};
use wramp_core::ramp::{
    Action, Demand, Event, Failure, Limit, Outcome, Ramp, Shape, predict, predict_set,
};

fn cases(cases: u32) -> ProptestConfig {
    let cases = if cfg!(miri) { 4 } else { cases };
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// A machine with an arena, and latencies that grow with the number of instances.
#[derive(Clone, Debug)]
struct Machine {
    /// Arena bytes free now.
    free: u32,
    demand: Demand,
    /// The instance whose first call fails.
    broken: Option<u32>,
    /// The n-th entry is the p99 with `n` instances. The last entry serves all beyond.
    p99: Vec<Option<u64>>,
    alive: u32,
    most_alive: u32,
}

impl Machine {
    fn start(&mut self, id: u32) -> Result<(), Failure> {
        assert_eq!(id, self.alive, "instances start in order");
        if self.broken == Some(id) {
            return Err(Failure::Other);
        }
        if self.free < self.demand.need.0 {
            return Err(Failure::OutOfMemory);
        }
        self.free -= self.demand.cost.0;
        self.alive += 1;
        self.most_alive = self.most_alive.max(self.alive);
        Ok(())
    }

    fn sample(&self) -> Option<Nanos> {
        let at = (self.alive as usize).min(self.p99.len()).checked_sub(1)?;
        self.p99[at].map(Nanos)
    }

    fn answer(&mut self, action: Action) -> Event {
        match action {
            Action::Start(id) => self.start(id).map_or_else(Event::Failed, |()| Event::Alive),
            Action::Settle | Action::Dwell => Event::Elapsed,
            Action::Sample => Event::Sampled(self.sample()),
            Action::Stop => {
                self.alive = 0;
                Event::Stopped
            }
            Action::Done(_) => unreachable!("nothing is asked for after the end"),
        }
    }
}

fn machine() -> impl Strategy<Value = Machine> {
    let demand = (0_u32..300, 0_u32..200)
        .prop_map(|(cost, more)| Demand { cost: Bytes(cost), need: Bytes(cost + more) });
    let p99 = prop::collection::vec(prop::option::weighted(0.9, 0_u64..1000), 0..30);
    let broken = prop::option::weighted(0.3, 0_u32..30);
    (0_u32..6000, demand, broken, p99).prop_map(|(free, demand, broken, p99)| Machine {
        free,
        demand,
        broken,
        p99,
        alive: 0,
        most_alive: 0,
    })
}

fn shape() -> impl Strategy<Value = Shape> {
    let slo = prop::option::of((0_u64..1200).prop_map(Nanos));
    (1_u32..40, prop_oneof![Just(1_u32), 1_u32..12], slo).prop_map(|(slots, step, slo)| Shape {
        slots,
        step,
        slo,
    })
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        Just(Event::Begin),
        Just(Event::Alive),
        Just(Event::Failed(Failure::OutOfMemory)),
        Just(Event::Failed(Failure::Other)),
        Just(Event::Elapsed),
        prop::option::of(0_u64..1000).prop_map(|p99| Event::Sampled(p99.map(Nanos))),
        Just(Event::Stopped),
        Just(Event::Interrupt),
    ]
}

/// One action and the event that answered it.
type Trace = Vec<(Action, Event)>;

/// Follows the ramp to its end. The n-th answer is an interrupt if `interrupts` contains n.
/// Number 0 stands for `Begin`.
fn drive(shape: Shape, machine: &mut Machine, interrupts: &BTreeSet<usize>) -> (Trace, Outcome) {
    let mut ramp = Ramp::new(shape);
    let mut trace = Trace::new();
    let mut event = if interrupts.contains(&0) { Event::Interrupt } else { Event::Begin };
    // Each instance is at most a rung of its own: start, settle, dwell, sample.
    let bound = 4 * shape.slots as usize + 4 + interrupts.len();
    loop {
        let action = ramp.next(event);
        assert!(ramp.running() <= shape.slots);
        if let Action::Done(outcome) = action {
            assert_done(&mut ramp, outcome);
            return (trace, outcome);
        }
        // The driver waits for an instance that is starting, interrupt or not.
        event = machine.answer(action);
        if interrupts.contains(&(trace.len() + 1)) {
            event = Event::Interrupt;
        }
        trace.push((action, event));
        assert!(trace.len() <= bound, "no end in sight: {trace:?}");
    }
}

/// Nothing runs, and no event leaves this state.
fn assert_done(ramp: &mut Ramp, outcome: Outcome) {
    assert_eq!(ramp.running(), 0, "all are joined");
    for event in [
        Event::Begin,
        Event::Alive,
        Event::Failed(Failure::Other),
        Event::Elapsed,
        Event::Sampled(None),
        Event::Stopped,
        Event::Interrupt,
    ] {
        assert_eq!(ramp.next(event), Action::Done(outcome));
    }
}

fn starts(trace: &Trace) -> Vec<u32> {
    let start = |&(action, _): &(Action, Event)| match action {
        Action::Start(id) => Some(id),
        _ => None,
    };
    trace.iter().filter_map(start).collect()
}

fn count(trace: &Trace, action: Action) -> usize {
    trace.iter().filter(|&&(a, _)| a == action).count()
}

/// The ramp, written as straight-line code instead of states.
fn story(shape: Shape, machine: &mut Machine) -> Outcome {
    let kept_promise = |p99: Option<Nanos>| match (shape.slo, p99) {
        (Some(most), Some(p99)) => p99 <= most,
        (Some(_), None) => false,
        (None, _) => true,
    };
    let mut rung = 0;
    loop {
        let mut failure = None;
        let goal = (rung + shape.step).min(shape.slots);
        while machine.alive < goal && failure.is_none() {
            failure = machine.start(machine.alive).err();
        }
        let kept = machine.alive > 0 && kept_promise(machine.sample());
        let peak = if kept || shape.slo.is_none() { machine.alive } else { rung };
        let limit = match failure {
            Some(Failure::OutOfMemory) => Limit::Arena,
            Some(Failure::Other) => Limit::Error,
            None if !kept => Limit::Slo,
            None if peak == shape.slots => Limit::Slots,
            None => {
                rung = peak;
                continue;
            }
        };
        return Outcome { peak, limit };
    }
}

proptest! {
    #![proptest_config(cases(1024))]

    #[test]
    fn a_ramp_climbs_to_what_the_machine_bears(shape in shape(), machine in machine()) {
        let mut driven = machine.clone();
        let (trace, outcome) = drive(shape, &mut driven, &BTreeSet::new());
        prop_assert_eq!(outcome, story(shape, &mut machine.clone()), "{:?}", trace);
        if shape.slo.is_none() {
            prop_assert_eq!(outcome.peak, driven.most_alive);
        }
        prop_assert!(driven.most_alive <= shape.slots);

        let ids = starts(&trace);
        prop_assert!(ids.iter().copied().eq(0..ids.len() as u32), "{:?}", ids);
        prop_assert!(ids.len() <= shape.slots as usize);
        prop_assert_eq!(count(&trace, Action::Stop), 1);
        prop_assert_eq!(trace.last(), Some(&(Action::Stop, Event::Stopped)));

        // Every rung settles, dwells and is then sampled, and so does the end.
        for pair in trace.windows(2) {
            match pair[0].0 {
                Action::Settle => prop_assert_eq!(pair[1].0, Action::Dwell),
                Action::Dwell => prop_assert_eq!(pair[1].0, Action::Sample),
                _ => {}
            }
        }
        let rungs = count(&trace, Action::Settle) as u32;
        prop_assert!(rungs <= shape.slots.div_ceil(shape.step));
    }

    #[test]
    fn a_failure_never_ends_the_others(shape in shape(), machine in machine()) {
        let (trace, _) = drive(shape, &mut machine.clone(), &BTreeSet::new());
        let failed = trace.iter().position(|(_, event)| matches!(event, Event::Failed(_)));
        if let Some(failed) = failed {
            let rest: Vec<Action> = trace[failed + 1..].iter().map(|&(action, _)| action).collect();
            if starts(&trace).len() == 1 {
                prop_assert_eq!(rest, [Action::Stop], "there are no others");
            } else {
                prop_assert_eq!(rest, [Action::Dwell, Action::Sample, Action::Stop]);
            }
        }
    }

    #[test]
    fn interrupts_end_it_soon_whenever_they_come(
        shape in shape(),
        mut machine in machine(),
        interrupts in prop::collection::btree_set(0_usize..60, 1..6),
    ) {
        let (trace, outcome) = drive(shape, &mut machine, &interrupts);
        let ids = starts(&trace);
        prop_assert!(ids.iter().copied().eq(0..ids.len() as u32));
        prop_assert!(machine.most_alive <= shape.slots);

        let first = *interrupts.first().unwrap();
        if first == 0 {
            prop_assert_eq!(outcome, Outcome { peak: 0, limit: Limit::Interrupted });
            prop_assert!(trace.is_empty(), "nothing was started, nothing is to stop");
            return Ok(());
        }
        // The ramp answers a request during a stop by asking for the stop again.
        let at_stop = trace
            .iter()
            .filter(|&&step| step == (Action::Stop, Event::Interrupt))
            .count();
        prop_assert_eq!(count(&trace, Action::Stop), 1 + at_stop);
        prop_assert_eq!(trace.last(), Some(&(Action::Stop, Event::Stopped)));

        let Some(&(interrupted, _)) = trace.get(first - 1) else {
            return Ok(()); // The ramp was over before.
        };
        if interrupted == Action::Stop {
            return Ok(()); // The ramp was about to end, for its own limit.
        }
        prop_assert_eq!(outcome.limit, Limit::Interrupted);
        let rest: Vec<Action> = trace[first..].iter().map(|&(action, _)| action).collect();
        prop_assert!(!rest.iter().any(|action| matches!(
            action, Action::Start(_) | Action::Settle | Action::Dwell)));
        prop_assert_eq!(rest[0], Action::Sample, "a last look");
        prop_assert!(count(&trace[first..].to_vec(), Action::Sample) <= 2);
        let reported = trace.iter().filter(|&&(_, event)| event == Event::Alive).count() as u32;
        if shape.slo.is_none() {
            prop_assert_eq!(outcome.peak, reported);
        } else {
            prop_assert!(outcome.peak <= reported);
        }
    }

    /// `Machine::interrupted` stays true. A driver that asks it before each answer must come to
    /// an end.
    #[test]
    fn an_interrupt_that_lasts_ends_it(shape in shape(), mut machine in machine(), from in 0_usize..60) {
        let mut ramp = Ramp::new(shape);
        let mut event = if from == 0 { Event::Interrupt } else { Event::Begin };
        for answers in 1..200 {
            match ramp.next(event) {
                Action::Done(outcome) => {
                    assert_done(&mut ramp, outcome);
                    return Ok(());
                }
                action => {
                    event = machine.answer(action);
                    if answers >= from && action != Action::Stop {
                        event = Event::Interrupt;
                    }
                }
            }
            prop_assert!(answers <= from + 4 || event == Event::Stopped, "no end in sight");
        }
        prop_assert!(false, "no end in sight");
    }

    #[test]
    fn an_event_out_of_place_ends_it_as_an_error(
        shape in shape(),
        mut machine in machine(),
        at in any::<prop::sample::Index>(),
        misplaced in any_event(),
    ) {
        let (trace, _) = drive(shape, &mut machine.clone(), &BTreeSet::new());
        let at = at.index(trace.len() + 1);
        let mut ramp = Ramp::new(shape);
        let mut action = None;
        for n in 0..at {
            action = Some(ramp.next(if n == 0 { Event::Begin } else { trace[n - 1].1 }));
            let _ = machine.answer(action.unwrap());
        }
        let fits = match action {
            None => misplaced == Event::Begin,
            Some(Action::Start(_)) => matches!(misplaced, Event::Alive | Event::Failed(_)),
            Some(Action::Settle | Action::Dwell) => misplaced == Event::Elapsed,
            Some(Action::Sample) => matches!(misplaced, Event::Sampled(_)),
            Some(Action::Stop) => misplaced == Event::Stopped,
            Some(Action::Done(_)) => unreachable!(),
        };
        prop_assume!(!fits && misplaced != Event::Interrupt);
        let running = ramp.running();
        prop_assert_eq!(ramp.next(misplaced), Action::Stop);
        let Action::Done(outcome) = ramp.next(Event::Stopped) else {
            return Err(TestCaseError::fail("stopped is the end"));
        };
        prop_assert_eq!(outcome.limit, Limit::Error);
        prop_assert!(outcome.peak <= running);
        assert_done(&mut ramp, outcome);
    }

    /// Whatever happened before, a driver that answers every action comes to an end. No action
    /// asks for an instance that has no slot.
    #[test]
    fn it_ends_after_any_nonsense(
        shape in shape(),
        nonsense in prop::collection::vec(any_event(), 0..60),
    ) {
        let mut ramp = Ramp::new(shape);
        let mut action = None;
        for event in nonsense {
            let now = ramp.next(event);
            if let Action::Start(id) = now {
                prop_assert!(id < shape.slots && id == ramp.running());
            }
            if let Some(before @ Action::Done(_)) = action {
                prop_assert_eq!(now, before);
            }
            prop_assert!(ramp.running() <= shape.slots);
            action = Some(now);
        }
        for _ in 0..4 * shape.slots + 8 {
            action = Some(ramp.next(match action {
                None => Event::Begin,
                Some(Action::Start(_)) => Event::Alive,
                Some(Action::Settle | Action::Dwell) => Event::Elapsed,
                Some(Action::Sample) => Event::Sampled(None),
                Some(Action::Stop | Action::Done(_)) => Event::Stopped,
            }));
        }
        prop_assert!(matches!(action, Some(Action::Done(_))), "{:?}", action);
    }

    #[test]
    fn a_prediction_is_what_brute_force_finds(
        free in 0_u32..20_000, demand in demand(), slots in 1_u32..300,
    ) {
        let (mut left, mut peak) = (free, 1);
        while peak < slots && left >= demand.need.0 {
            left -= demand.cost.0;
            peak += 1;
        }
        let limit = if peak == slots { Limit::Slots } else { Limit::Arena };
        prop_assert_eq!(predict(Bytes(free), demand, slots), Outcome { peak, limit });
    }

    #[test]
    fn a_prediction_of_several_modules_takes_turns(
        free in 0_u32..20_000,
        demands in prop::collection::vec(demand(), 1..6),
        slots in 1_u32..100,
    ) {
        let turns = demands.len() as u32;
        prop_assume!(slots >= turns);
        let (mut left, mut peak) = (free, turns);
        while peak < slots && left >= demands[(peak % turns) as usize].need.0 {
            left -= demands[(peak % turns) as usize].cost.0;
            peak += 1;
        }
        let limit = if peak == slots { Limit::Slots } else { Limit::Arena };
        prop_assert_eq!(predict_set(Bytes(free), &demands, slots), Outcome { peak, limit });
    }

    /// The two halves of this module agree. If all instances of a machine are alike, the ramp
    /// ends as the first instance predicts, whatever the step.
    #[test]
    fn a_prediction_comes_true(shape in shape(), mut machine in machine()) {
        machine.broken = None;
        let shape = Shape { slo: None, ..shape };
        prop_assume!(machine.free >= machine.demand.need.0);
        let free = Bytes(machine.free - machine.demand.cost.0);
        let predicted = predict(free, machine.demand, shape.slots);
        prop_assert_eq!(drive(shape, &mut machine, &BTreeSet::new()).1, predicted);
    }

    #[test]
    fn a_prediction_of_anything_is_between_one_and_the_slots(
        free in any::<u32>(), cost in any::<u32>(), need in any::<u32>(), slots in 1_u32..,
    ) {
        let demand = Demand { cost: Bytes(cost), need: Bytes(need) };
        let Outcome { peak, limit } = predict(Bytes(free), demand, slots);
        prop_assert!((1..=slots).contains(&peak));
        prop_assert_eq!(limit == Limit::Slots, peak == slots);
    }
}

fn demand() -> impl Strategy<Value = Demand> {
    (0_u32..2000, prop_oneof![Just(0_u32), 0_u32..500])
        .prop_map(|(cost, more)| Demand { cost: Bytes(cost), need: Bytes(cost + more) })
}

/// Feeds events and returns the last action.
fn feed(ramp: &mut Ramp, events: &[Event]) -> Action {
    events.iter().map(|&event| ramp.next(event)).last().unwrap()
}

#[test]
fn two_slots_one_by_one() {
    let mut ramp = Ramp::new(Shape { slots: 2, step: 1, slo: None });
    for (event, action) in [
        (Event::Begin, Action::Start(0)),
        (Event::Alive, Action::Settle),
        (Event::Elapsed, Action::Dwell),
        (Event::Elapsed, Action::Sample),
        (Event::Sampled(None), Action::Start(1)),
        (Event::Alive, Action::Settle),
        (Event::Elapsed, Action::Dwell),
        (Event::Elapsed, Action::Sample),
        (Event::Sampled(None), Action::Dwell),
        (Event::Elapsed, Action::Sample),
        (Event::Sampled(None), Action::Stop),
        (Event::Stopped, Action::Done(Outcome { peak: 2, limit: Limit::Slots })),
    ] {
        assert_eq!(ramp.next(event), action);
    }
}

#[test]
fn a_promise_broken_by_the_first_instance_leaves_no_peak() {
    let mut ramp = Ramp::new(Shape { slots: 9, step: 1, slo: Some(Nanos(100)) });
    let rung = [Event::Begin, Event::Alive, Event::Elapsed, Event::Elapsed];
    assert_eq!(feed(&mut ramp, &rung), Action::Sample);
    assert_eq!(ramp.next(Event::Sampled(Some(Nanos(101)))), Action::Stop);
    let outcome = Outcome { peak: 0, limit: Limit::Slo };
    assert_eq!(ramp.next(Event::Stopped), Action::Done(outcome));
}

/// Three instances of a rung of four ran, were held and kept the promise. The peak is not 0.
#[test]
fn a_rung_cut_short_counts_where_it_kept_the_promise() {
    for (p99, peak) in [(Some(100), 3), (None, 0), (Some(101), 0)] {
        let mut ramp = Ramp::new(Shape { slots: 9, step: 4, slo: Some(Nanos(100)) });
        let climb = [Event::Begin, Event::Alive, Event::Alive, Event::Alive];
        assert_eq!(feed(&mut ramp, &climb), Action::Start(3));
        assert_eq!(ramp.next(Event::Failed(Failure::OutOfMemory)), Action::Dwell);
        assert_eq!(ramp.next(Event::Elapsed), Action::Sample);
        assert_eq!(ramp.next(Event::Sampled(p99.map(Nanos))), Action::Stop);
        let outcome = Outcome { peak, limit: Limit::Arena };
        assert_eq!(ramp.next(Event::Stopped), Action::Done(outcome));
    }
}

/// An interrupt brought the sample forward, before a full dwell. It proves no promise.
#[test]
fn an_interrupted_rung_proves_no_promise() {
    let mut ramp = Ramp::new(Shape { slots: 9, step: 1, slo: Some(Nanos(100)) });
    assert_eq!(feed(&mut ramp, &[Event::Begin, Event::Alive, Event::Interrupt]), Action::Sample);
    assert_eq!(ramp.next(Event::Sampled(Some(Nanos(1)))), Action::Stop);
    let outcome = Outcome { peak: 0, limit: Limit::Interrupted };
    assert_eq!(ramp.next(Event::Stopped), Action::Done(outcome));
}

#[test]
fn a_shape_of_nothing_counts_as_one() {
    let mut ramp = Ramp::new(Shape { slots: 0, step: 0, slo: None });
    assert_eq!(feed(&mut ramp, &[Event::Begin, Event::Alive]), Action::Settle);
    let rest = [Event::Elapsed, Event::Elapsed, Event::Sampled(None), Event::Elapsed];
    assert_eq!(feed(&mut ramp, &rest), Action::Sample);
    let outcome = Outcome { peak: 1, limit: Limit::Slots };
    let end = [Event::Sampled(None), Event::Stopped];
    assert_eq!(feed(&mut ramp, &end), Action::Done(outcome));
}

#[test]
fn an_instance_that_costs_nothing_is_limited_by_slots() {
    let demand = Demand { cost: Bytes(0), need: Bytes(10) };
    let slots = Outcome { peak: 7, limit: Limit::Slots };
    assert_eq!(predict(Bytes(10), demand, 7), slots);
    assert_eq!(predict(Bytes(9), demand, 7), Outcome { peak: 1, limit: Limit::Arena });
}

#[test]
fn a_limit_is_read_back_from_its_word() {
    for limit in [Limit::Slots, Limit::Arena, Limit::Slo, Limit::Error, Limit::Interrupted] {
        assert_eq!(Limit::parse(&limit.to_string()), Some(limit));
    }
    assert_eq!(Limit::parse("Slots"), None);
    assert_eq!(Limit::parse(""), None);
}
