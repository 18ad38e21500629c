//! Instances that have a host: they wait without a turn, and they may be done.
//!
//! A thread whose instance waits rests. In a pool, a resident that waits holds no worker, and a
//! worker without a turn to give rests until the next timer ends or a message comes.

use wramp_core::machine::{Lock as _, Machine};
use wramp_core::measure::{Micros, Tally as _, Ticks};
use wramp_core::runtime::{Error, ErrorKind, Runtime};

use crate::agenda::{Agenda, Turn};
use crate::guest::{Judge, seed_of};
use crate::office::{Hall, Next, is_command, is_task};
use crate::pool::{Pool, Resident};
use crate::seat::Phase;
use crate::starts::{self, Begun};
use crate::threads::ThreadRamp;

impl<M: Machine, R: Runtime> ThreadRamp<'_, '_, M, R> {
    /// The life of an instance of a loaded module, at its desk.
    pub(crate) fn inhabit_hosted(
        &self,
        slot: usize,
        module: &R::Module<'_>,
        hall: Hall<'_>,
    ) -> Result<(), Error> {
        let guest = self.guest(slot);
        let size = self.stack(slot);
        let id = u32::try_from(slot).unwrap_or(u32::MAX);
        let desk = hall.desk(id)?;
        hall.rooms.open(id);
        let start = || {
            self.runtime.instantiate_linked(
                module,
                guest.export,
                guest.parameters,
                size,
                self.budget(slot),
                desk,
            )
        };
        let begin = || {
            let instance = start()?;
            hall.furnish(self.runtime, id)?;
            let stack = self.runtime.stack(module, &instance, size)?;
            Ok((instance, stack))
        };
        let begun = Begun::now(self.scene.machine);
        let (instance, mut stack) = begin().inspect_err(|_: &Error| hall.rooms.vacate(id))?;
        self.scene.note(starts::Phase::Instantiate, begun);
        let mut instance = Some(instance);
        let Some(first) = &instance else { return Ok(()) };
        if self.is_first(slot) {
            self.leave_parts(first, &stack, size);
        }
        let budget = self.budget(slot);
        let mut has_run = false;
        let lived = self.serve_hosted(slot, hall, |argument| {
            if has_run && is_command(guest.export) {
                // What it had has to be back before the next one takes it.
                drop(instance.take());
                instance = Some(start()?);
            }
            has_run = true;
            match &mut instance {
                Some(instance) => {
                    let mut result = Ok(0);
                    let times = self.scene.time(|| {
                        result = self.runtime.call(&mut stack, instance, argument, budget);
                    });
                    Ok((times, result))
                }
                None => Err(Error::new(ErrorKind::OutOfMemory, "the instance did not start again")),
            }
        });
        let begun = Begun::now(self.scene.machine);
        drop(stack);
        drop(instance);
        self.scene.note(starts::Phase::Teardown, begun);
        hall.rooms.close(id);
        lived
    }

    /// Makes steps until someone asks it to stop. `Err` if not even the first could be made.
    fn serve_hosted(
        &self,
        slot: usize,
        hall: Hall<'_>,
        mut step: impl FnMut(i32) -> Result<Step, Error>,
    ) -> Result<(), Error> {
        let scene = &self.scene;
        let seat = &self.seats[slot];
        let guest = self.guest(slot);
        let id = u32::try_from(slot).unwrap_or(u32::MAX);
        let first = if M::MIXES { self.is_first(slot) } else { id == 0 };
        let mut judge = Judge::new(seed_of(id));
        let mut calls = 0_u32;
        while !seat.asked_to_stop() {
            let argument = guest.argument(&judge, calls);
            hall.rooms.begin_step(id);
            let (mut result, times) = match step(argument) {
                Ok((times, result)) => (result, Some(times)),
                Err(error) => (Err(error), None),
            };
            calls = calls.saturating_add(1);
            if let Err(error) = &result
                && calls == 1
                && matches!(error.kind, ErrorKind::WasmStack | ErrorKind::NativeStack)
            {
                return Err(*error); // No call can ever succeed in this geometry.
            }
            let next = hall.end_step(id, guest.export, &mut result);
            if let Some((took, _)) = times {
                if calls == 1 {
                    scene.starts.note(starts::Phase::FirstCall, took);
                }
                self.scale.record(&seat.tally, took);
            }
            let accepted = match is_task(guest.export) || hall.rooms.takes_anything() {
                true => result.is_ok(),
                false => judge.accepts(&guest.check, first, calls, &result),
            };
            if !accepted {
                seat.tally.error();
                self.leave_error(slot, &result);
            }
            let ended_ms =
                times.map_or_else(|| scene.millis(), |(_, ended)| scene.millis_at(ended));
            if calls == 1 {
                seat.begins_at(ended_ms);
                seat.set_phase(Phase::Alive);
            } else {
                seat.lives_until(ended_ms);
            }
            match next {
                Next::Turn => self.pause(slot),
                Next::Wait(_) | Next::Over => {
                    let since_us = self.wait(slot, hall, next);
                    if let (Some(since_us), Some(seat)) = (since_us, self.waking_seats().get(slot))
                    {
                        hall.rooms.wakes().record(&seat.tally, hall.rooms.ticks_since(since_us));
                    }
                }
            }
        }
        Ok(())
    }

    /// Waits until the wish of an instance is fulfilled, and says since when it is; or until
    /// someone asks it to stop.
    fn wait(&self, slot: usize, hall: Hall<'_>, next: Next) -> Option<u64> {
        let machine = self.scene.machine;
        let id = u32::try_from(slot).unwrap_or(u32::MAX);
        let began_us = hall.rooms.now_us();
        loop {
            let seen = machine.calls_to_rise();
            if self.seats[slot].asked_to_stop() {
                return None;
            }
            let left = match next {
                Next::Wait(wish) if wish.message && hall.rooms.has_letters(id) => {
                    return Some(hall.rooms.told_us(id).max(began_us));
                }
                Next::Wait(wish) => match wish.until_us {
                    Some(until_us) => match hall.rooms.time_until(until_us) {
                        None => return Some(until_us.max(began_us)),
                        left => left,
                    },
                    None => None,
                },
                Next::Turn | Next::Over => None,
            };
            machine.rest(seen, left);
        }
    }

    fn pause(&self, slot: usize) {
        let pause = self.scene.config.pause_ms;
        if pause > 0 && !self.seats[slot].asked_to_stop() {
            self.scene.machine.sleep(Micros(u64::from(pause) * 1000));
        }
    }
}

impl<'s, M: Machine, R: Runtime> Pool<'_, 's, '_, M, R> {
    /// Starts an instance at its desk, in a room of its own.
    pub(crate) fn start_hosted(&self, hall: Hall<'s>, id: u32) -> Result<R::Instance<'s>, Error> {
        hall.rooms.open(id);
        let started = self.start_again(hall, id).and_then(|instance| {
            hall.furnish(self.runtime, id)?;
            Ok(instance)
        });
        started.inspect_err(|_| hall.rooms.vacate(id))
    }

    /// Starts an instance at its desk. The room stays as it is.
    fn start_again(&self, hall: Hall<'s>, id: u32) -> Result<R::Instance<'s>, Error> {
        let [stack, ..] = self.scene.stacks;
        let (guest, desk) = (self.guest, hall.desk(id)?);
        self.runtime.instantiate_linked(
            self.module,
            guest.export,
            guest.parameters,
            stack,
            self.scene.config.budget,
            desk,
        )
    }

    /// A worker's turns, until someone asks it to stop.
    pub(crate) fn work_hosted(&self, worker: usize, hall: Hall<'s>, stack: &mut R::Stack<'s>) {
        let machine = self.scene.machine;
        loop {
            let seen = machine.calls_to_rise();
            if self.serving[worker].asked_to_stop() {
                return;
            }
            if self.serve_next(worker, hall, stack) {
                continue;
            }
            let next = self.queue.with(|queue| queue.agenda.as_ref().and_then(Agenda::next_us));
            match next.map(|until_us| hall.rooms.time_until(until_us)) {
                None => machine.rest(seen, None),
                Some(Some(left)) => machine.rest(seen, Some(left)),
                // It ends now.
                Some(None) => {}
            }
        }
    }

    /// How long the next timer takes, at most `most`.
    pub(crate) fn next_timer(&self, hall: Hall<'s>, most: Micros) -> Micros {
        let next = self.queue.with(|queue| queue.agenda.as_ref().and_then(Agenda::next_us));
        let left = next.map(|until_us| hall.rooms.time_until(until_us).unwrap_or_default());
        left.map_or(most, |left| left.min(most))
    }

    /// Makes one step of the resident whose turn it is. False if it is nobody's.
    pub(crate) fn serve_next(
        &self,
        worker: usize,
        hall: Hall<'s>,
        stack: &mut R::Stack<'s>,
    ) -> bool {
        // A message's receiver either is in the agenda by now, or is in a step, and then the
        // worker that puts it back sees the message.
        while let Some((id, since_us)) = hall.rooms.news() {
            let wake = |agenda: &mut Agenda<'_>| agenda.wake(id as usize, since_us);
            self.queue.with(|queue| queue.agenda.as_mut().map(wake));
        }
        let now_us = hall.rooms.now_us();
        let taken = self.queue.with(|queue| {
            let agenda = queue.agenda.as_mut()?;
            let (turn, more) = (agenda.take(now_us)?, agenda.has_more());
            queue.take_from(turn.place).map(|(_, resident)| (turn, resident, more))
        });
        let Some((turn, mut resident, more)) = taken else { return false };
        if more && self.serving.len() > 1 {
            // A worker that found no turn a moment ago has one now.
            self.scene.machine.rouse();
        }
        let next = self.step(worker, hall, turn, &mut resident, stack);
        let is_next = self.queue.with(|queue| {
            queue.put(turn.place, resident);
            // A place is the number of its resident.
            let id = u32::try_from(turn.place).unwrap_or(u32::MAX);
            let Some(agenda) = &mut queue.agenda else { return false };
            match next {
                Next::Turn => agenda.again(turn.place, None),
                Next::Wait(wish) if wish.message && hall.rooms.has_letters(id) => {
                    agenda.again(turn.place, Some(hall.rooms.now_us()));
                }
                Next::Wait(wish) => return agenda.wait(turn.place, wish.until_us, wish.message),
                Next::Over => {}
            }
            false
        });
        if is_next && self.serving.len() > 1 {
            // The others rest until a later timer.
            self.scene.machine.rouse();
        }
        true
    }

    /// Makes one step of one resident.
    fn step(
        &self,
        worker: usize,
        hall: Hall<'s>,
        turn: Turn,
        resident: &mut Resident<R::Instance<'s>>,
        stack: &mut R::Stack<'s>,
    ) -> Next {
        let guest = self.guest;
        let id = u32::try_from(turn.place).unwrap_or(u32::MAX);
        if resident.calls > 0 && turn.since_us.is_none() {
            self.pause(resident.ended);
        }
        if resident.calls > 0 && is_command(guest.export) {
            // What it had has to be back before the next one takes it.
            drop(resident.instance.take());
        }
        let argument = guest.argument(&resident.judge, resident.calls);
        let budget = self.scene.config.budget;
        hall.rooms.begin_step(id);
        let woken = turn.since_us.map(|since_us| hall.rooms.ticks_since(since_us));
        let mut result = Ok(0);
        if resident.instance.is_none() {
            match self.start_again(hall, id) {
                Ok(instance) => resident.instance = Some(instance),
                Err(error) => result = Err(error),
            }
        }
        let (took, now) = self.scene.time(|| {
            if let Some(instance) = &mut resident.instance {
                result = self.runtime.call(stack, instance, argument, budget);
            }
        });
        let next = hall.end_step(id, guest.export, &mut result);
        if resident.calls == 0 {
            self.scene.starts.note(starts::Phase::FirstCall, took);
        }
        self.calls.record(&self.serving[worker].tally, took);
        let task = is_task(guest.export);
        let turned = if task { woken } else { Some(now.saturating_sub(resident.ended)) };
        if let Some(turned) = turned.filter(|_| resident.calls > 0) {
            self.turnarounds.record(&self.turning[worker].tally, turned);
        }
        if resident.calls == 0 {
            resident.from_ms = self.scene.millis_at(now);
        }
        resident.ended = now;
        resident.calls = resident.calls.saturating_add(1);
        let accepted = match task || hall.rooms.takes_anything() {
            true => result.is_ok(),
            false => {
                let first = turn.place == 0;
                resident.judge.accepts(&guest.check, first, resident.calls, &result)
            }
        };
        if !accepted {
            self.note_error(worker, turn.place, resident, &result);
        }
        next
    }
}

/// How long a step took and when it ended; and its result.
type Step = ((Ticks, Ticks), Result<i32, Error>);
