//! The host of a run's guests: their clock, their log and their post.
//!
//! An instance has a room, with what the host keeps of it. Rooms lie beside the arena, in memory
//! that the machine lends. The queue of an instance is a block of the arena, so it is a part of
//! what the instance costs. A call of a guest takes one lock at a time, for as long as it takes to
//! copy a message.

use core::mem::MaybeUninit;
use core::sync::atomic::{
    AtomicBool, AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};

use wramp_arena::Places;
use wramp_core::host::{Desk, FunctionNumber, Host};
use wramp_core::machine::{Lock, Machine};
use wramp_core::measure::{Bytes, Micros, Spread as _, Tally, Ticks};
use wramp_core::report::{Answer, Mail, Record, Word};
use wramp_core::runtime::{Error, ErrorKind, Message, Runtime};
use wramp_imports::{
    EMPTY, FULL, Grants, Guest, Line, NO_INSTANCE, OK, Queue, Refused, TOO_LONG, Wish, World, call,
    function,
};

use crate::agenda::{Agenda, Entry};
use crate::lead::Scale;

/// What the guests of a run get from their host, and the memory for it.
pub struct Hosting<'m> {
    /// What they may have.
    pub grants: Grants<'m>,
    /// Bytes of each instance's queue, in the arena. 0 where no guest receives.
    pub queue_bytes: Bytes,
    /// What every call has to give, if that is known. Not for tasks (`wramp_poll`), whose result
    /// says what comes next.
    pub expected: Option<Expected>,
    /// Memory for rooms. See [`office_words`].
    pub rooms: &'m mut [MaybeUninit<u64>],
}

/// What a call of a guest has to give, where somebody knows. Instances of other guests agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Anything: a measurement, such as a benchmark's score.
    Anything,
    /// This: a benchmark that checks itself gives 0.
    Value(i32),
}

impl Expected {
    /// Reads a number, or `any`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "any" => Some(Self::Anything),
            number => number.parse().ok().map(Self::Value),
        }
    }
}

/// Memory for that many rooms, in 64-bit words.
#[must_use]
pub const fn office_words<M: Machine + 'static>(rooms: usize) -> usize {
    let rooms_bytes = Places::<Room<'static, M>>::bytes_for(rooms);
    let desks_bytes = Places::<Desk<'static>>::bytes_for(rooms);
    let agenda_bytes = Places::<Entry>::bytes_for(rooms);
    (rooms_bytes + desks_bytes + agenda_bytes) / size_of::<u64>()
}

/// Bytes of one room, its desk and its place in an agenda. All are multiples of a word.
const fn room_bytes<'o, M: Machine + 'o>() -> usize {
    size_of::<Room<'o, M>>() + size_of::<Desk<'o>>() + size_of::<Entry>()
}

/// An instance's room.
pub(crate) struct Room<'o, M: Machine + 'o> {
    guest: M::Lock<Guest>,
    post: M::Lock<Post<M::Block<'o>>>,
    /// Messages in the queue. Written under the lock of the post.
    letters: AtomicU32,
    /// Its place in the list of those who got a message, under the lock of that list: the number
    /// of the one behind it plus 2, 1 at the end, 0 if it is not in the list.
    behind: AtomicU32,
    /// Since when there are any in the queue: the low half of the microseconds.
    since_us: AtomicU32,
}

struct Post<B> {
    /// The queue, once the instance has started. Nothing where its module does not receive.
    queue: Option<Queue<B>>,
    /// Whether the instance lives.
    open: bool,
    /// Messages that came, that found no room, that were received, and that nobody read.
    sent: u64,
    full: u64,
    received: u64,
    unread: u64,
    /// When the first and the last one came, in microseconds.
    times_us: Option<(u64, u64)>,
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> Post<B> {
    const fn new() -> Self {
        Self { queue: None, open: false, sent: 0, full: 0, received: 0, unread: 0, times_us: None }
    }

    /// Messages in the queue.
    fn count(&self) -> u32 {
        self.queue.as_ref().map_or(0, Queue::count)
    }

    fn end(&mut self, open: bool) {
        self.unread += u64::from(self.count());
        if let Some(queue) = &mut self.queue {
            queue.clear();
        }
        self.open = open;
    }
}

/// The host of a ramp's guests.
pub(crate) struct Office<'o, M: Machine> {
    machine: &'o M,
    began: Ticks,
    clock_hz: u64,
    seed: u64,
    rooms: Places<'o, Room<'o, M>>,
    /// Whether the guests only try something: nothing of it is heard or sent.
    quiet: AtomicBool,
    /// Those who got a message and whom nobody has woken yet.
    news: M::Lock<News>,
    /// Whether there are any. A look at it takes no lock.
    has_news: AtomicBool,
    /// How long messages took, and who may count one.
    deliveries: M::Tally,
    counting: M::Lock<()>,
    scale: Scale,
    /// How long instances of threads took to wake.
    wakes: Scale,
    queue_bytes: Bytes,
    expected: Option<Expected>,
    /// What the first and the last call of the first instance gave.
    answers: M::Lock<Option<(i32, i32)>>,
}

/// A list of instances, first come, first served.
#[derive(Default)]
struct News {
    ends: Option<(u32, u32)>,
}

/// What comes after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another step at the next turn.
    Turn,
    /// Another step when the wish is fulfilled.
    Wait(Wish),
    /// None: the instance is done, or has ended in an error.
    Over,
}

/// What a step is, which the name of the export says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Steps {
    /// A call of an export for its value.
    Values,
    /// `wramp_poll`: a task that says whether it waits or is done.
    Task,
    /// `_start`: a program that runs from begin to end, on an instance of its own.
    Command,
}

impl Steps {
    fn of(export: &str) -> Self {
        match export {
            "wramp_poll" => Self::Task,
            "_start" => Self::Command,
            _ => Self::Values,
        }
    }
}

/// What a ramp does with its office, without the type of the machine's locks.
pub(crate) trait Rooms: Host {
    /// Prepares the room of an instance that is about to start.
    fn open(&self, id: u32);
    /// Takes a queue from the arena for an instance that has started. Returns its bytes, 0 where
    /// no guest receives. `None` if the arena has no such block.
    fn furnish(&self, id: u32) -> Option<Bytes>;
    /// Bytes of each instance's queue.
    fn queue_bytes(&self) -> Bytes;
    /// The instance takes no more messages, and those that it did not take are gone.
    fn close(&self, id: u32);
    /// Closes the room of an instance that could not start, and gives its queue back.
    fn vacate(&self, id: u32);
    /// Forgets what the last step of the instance asked for.
    fn begin_step(&self, id: u32);
    /// What the step asked for, and the code if it called `proc_exit`.
    fn end_step(&self, id: u32) -> (Wish, Option<i32>);
    /// Whether a message is in the instance's queue.
    fn has_letters(&self, id: u32) -> bool;
    /// Takes the next instance that got a message, and since when it has any.
    fn news(&self) -> Option<(u32, u64)>;
    /// Since when there are messages in the instance's queue.
    fn told_us(&self, id: u32) -> u64;
    /// The host's clock.
    fn now_us(&self) -> u64;
    /// Ticks of the machine's clock since that time of the host's clock.
    fn ticks_since(&self, since_us: u64) -> Ticks;
    /// How long until that time of the host's clock. `None` if it is over.
    fn time_until(&self, until_us: u64) -> Option<Micros>;
    /// Notes what a call of the first instance gave. Returns what it has to give, if that is known.
    fn answered(&self, id: u32, result: i32) -> Option<Expected>;
    /// Whether a call may give anything.
    fn takes_anything(&self) -> bool;
    /// How long instances with threads of their own took to wake.
    fn wakes(&self) -> &Scale;
    /// Whether nothing of what guests say and send leaves them.
    fn be_quiet(&self, quiet: bool);
}

impl<'o, M: Machine> Office<'o, M> {
    /// An office with as many rooms as there is memory for; and the memory that is left for the
    /// desks.
    pub(crate) fn new(
        machine: &'o M,
        began: Ticks,
        hosting: &'o mut Hosting<'_>,
    ) -> (Self, &'o mut [MaybeUninit<u64>]) {
        let words = &mut *hosting.rooms;
        let most = size_of_val(words) / room_bytes::<'o, M>();
        let for_rooms = Places::<Room<'o, M>>::bytes_for(most) / size_of::<u64>();
        let (rooms, desks) = words.split_at_mut(for_rooms.min(words.len()));
        let mut rooms = Places::over(rooms);
        let seed = hosting.grants.seed;
        for id in 0..most {
            let id = u32::try_from(id).unwrap_or(u32::MAX);
            let room = Room {
                guest: M::Lock::new(Guest::new(id, seed, 0)),
                post: M::Lock::new(Post::new()),
                letters: AtomicU32::new(0),
                behind: AtomicU32::new(0),
                since_us: AtomicU32::new(0),
            };
            if rooms.push(room).is_err() {
                break;
            }
        }
        let clock_hz = machine.facts().clock_hz;
        let quiet = AtomicBool::new(false);
        let (news, has_news) = (M::Lock::new(News::default()), AtomicBool::new(false));
        let (deliveries, counting) = (M::Tally::NEW, M::Lock::new(()));
        let (scale, queue_bytes) = (Scale::of_calls(), hosting.queue_bytes);
        let (expected, answers) = (hosting.expected, M::Lock::new(None));
        let office = Self {
            machine,
            began,
            clock_hz,
            seed,
            rooms,
            quiet,
            news,
            has_news,
            deliveries,
            counting,
            scale,
            wakes: Scale::of_calls(),
            queue_bytes,
            expected,
            answers,
        };
        (office, desks)
    }

    /// A desk for each room, and an agenda for as many.
    pub(crate) fn desks<'d>(
        &'d self,
        memory: &'d mut [MaybeUninit<u64>],
    ) -> (Places<'d, Desk<'d>>, Agenda<'d>) {
        let words = Places::<Desk<'d>>::bytes_for(self.rooms.len()) / size_of::<u64>();
        let (memory, rest) = memory.split_at_mut(words.min(memory.len()));
        let agenda = Agenda::new(Places::over(rest));
        let mut desks = Places::over(memory);
        for id in 0..self.rooms.len() {
            let id = u32::try_from(id).unwrap_or(u32::MAX);
            if desks.push(Desk { host: self, id }).is_err() {
                break;
            }
        }
        (desks, agenda)
    }

    /// The time of which that is the low half, and which was less than 71 minutes ago.
    fn whole_us(&self, low: u32) -> u64 {
        let now = Rooms::now_us(self);
        now.saturating_sub(u64::from((now as u32).wrapping_sub(low)))
    }

    fn room(&self, id: u32) -> Option<&Room<'o, M>> {
        self.rooms.get(usize::try_from(id).ok()?)
    }
}

impl<M: Machine> Office<'_, M> {
    /// Counts a message that was received now.
    fn delivered(&self, sent_us: u32) {
        let took_us = (Rooms::now_us(self) as u32).wrapping_sub(sent_us);
        let took = u128::from(took_us) * u128::from(self.clock_hz) / 1_000_000;
        let took = Ticks(u64::try_from(took).unwrap_or(u64::MAX));
        // A tally has one writer at a time.
        self.counting.with(|()| self.scale.record(&self.deliveries, took));
    }

    /// Reports what the guests of a ramp that is over gave back.
    pub(crate) fn report(&self, workload: &str) {
        if let Some((first, last)) = self.answers.with(|answers| *answers) {
            let (first, last) = (first.into(), last.into());
            self.machine.emit(&Record::from(Answer { workload: Word(workload), first, last }));
        }
        self.report_mail(workload);
    }

    /// Reports their messages, if there were any.
    #[inline(never)] // It keeps a histogram on the stack.
    fn report_mail(&self, workload: &str) {
        let (mut sent, mut full, mut received, mut unread) = (0, 0, 0, 0);
        let (mut most, mut first, mut last) = (0, u64::MAX, 0);
        for room in &self.rooms {
            room.post.with(|post| {
                post.end(false);
                sent += post.sent;
                full += post.full;
                received += post.received;
                unread += post.unread;
                most = most.max(post.queue.as_ref().map_or(0, Queue::most_bytes));
                if let Some(times) = post.times_us {
                    (first, last) = (first.min(times.0), last.max(times.1));
                }
            });
        }
        if sent + full == 0 {
            return;
        }
        let mut spread = <M::Tally as Tally>::Spread::new();
        spread.add(&self.deliveries);
        let latency = self.scale.latency::<M::Tally>(&spread);
        let percentiles = latency.as_ref().and_then(|latency| latency.percentiles);
        let nanos = |ticks: Ticks| ticks.to_nanos(self.clock_hz);
        let bytes = |bytes: usize| Bytes(u32::try_from(bytes).unwrap_or(u32::MAX));
        let time_us = last.saturating_sub(first).max(1);
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        self.machine.emit(&Record::from(Mail {
            workload: Word(workload),
            queue_bytes: self.queue_bytes,
            queue_most_bytes: bytes(most),
            sent,
            sent_per_second: sent.saturating_mul(1_000_000) / time_us,
            full,
            received,
            unread,
            dropped: signed(sent) - signed(received) - signed(unread),
            delivery_p50_us: percentiles.map(|of| nanos(of.p50)),
            delivery_p99_us: percentiles.map(|of| nanos(of.p99)),
            delivery_max_us: latency.and_then(|latency| latency.max).map(nanos),
        }));
    }

    /// Notes that an instance got a message, unless that is noted already.
    fn tell(&self, id: u32) {
        let Some(room) = self.room(id) else { return };
        self.news.with(|news| {
            if room.behind.load(Relaxed) != 0 {
                return;
            }
            room.behind.store(1, Relaxed);
            let first = match news.ends {
                Some((first, last)) => {
                    if let Some(last) = self.room(last) {
                        last.behind.store(id + 2, Relaxed);
                    }
                    first
                }
                None => id,
            };
            news.ends = Some((first, id));
            self.has_news.store(true, Release);
        });
    }
}

impl<M: Machine> Rooms for Office<'_, M> {
    fn open(&self, id: u32) {
        let Some(room) = self.room(id) else { return };
        let guest = Guest::new(id, self.seed, self.now_us());
        room.guest.with(|there| *there = guest);
        room.post.with(|post| {
            post.end(true);
            room.letters.store(0, Release);
        });
    }

    fn furnish(&self, id: u32) -> Option<Bytes> {
        let room = self.room(id)?;
        // A room keeps its queue until the ramp is over: see `close`.
        if self.queue_bytes == Bytes(0) || room.post.with(|post| post.queue.is_some()) {
            return Some(Bytes(0));
        }
        // Not under the lock of the post, because the arena has one of its own.
        let block = self.machine.block(self.queue_bytes)?;
        room.post.with(|post| post.queue = Some(Queue::over(block)));
        Some(self.queue_bytes)
    }

    fn queue_bytes(&self) -> Bytes {
        self.queue_bytes
    }

    fn close(&self, id: u32) {
        let Some(room) = self.room(id) else { return };
        room.post.with(|post| {
            post.end(false);
            room.letters.store(0, Release);
        });
    }

    fn vacate(&self, id: u32) {
        self.close(id);
        // The block goes back after the lock of the post.
        drop(self.room(id).and_then(|room| room.post.with(|post| post.queue.take())));
    }

    fn begin_step(&self, id: u32) {
        if let Some(room) = self.room(id) {
            room.guest.with(Guest::begin_step);
        }
    }

    fn end_step(&self, id: u32) -> (Wish, Option<i32>) {
        let nothing = (Wish::default(), None);
        self.room(id).map_or(nothing, |room| room.guest.with(|guest| (guest.wish, guest.exit)))
    }

    fn has_letters(&self, id: u32) -> bool {
        self.room(id).is_some_and(|room| room.letters.load(Acquire) > 0)
    }

    fn news(&self) -> Option<(u32, u64)> {
        if !self.has_news.load(Acquire) {
            return None;
        }
        let (id, since) = self.news.with(|news| {
            let (first, last) = news.ends?;
            let room = self.room(first)?;
            let behind = room.behind.load(Relaxed);
            room.behind.store(0, Relaxed);
            news.ends = behind.checked_sub(2).map(|next| (next, last));
            self.has_news.store(news.ends.is_some(), Release);
            Some((first, room.since_us.load(Relaxed)))
        })?;
        Some((id, self.whole_us(since)))
    }

    fn told_us(&self, id: u32) -> u64 {
        self.room(id).map_or(0, |room| self.whole_us(room.since_us.load(Relaxed)))
    }

    fn now_us(&self) -> u64 {
        self.machine.now().saturating_sub(self.began).to_micros(self.clock_hz).0
    }

    fn ticks_since(&self, since_us: u64) -> Ticks {
        let since = u128::from(since_us) * u128::from(self.clock_hz) / 1_000_000;
        let since = Ticks(u64::try_from(since).unwrap_or(u64::MAX));
        self.machine.now().saturating_sub(self.began).saturating_sub(since)
    }

    fn time_until(&self, until_us: u64) -> Option<Micros> {
        until_us.checked_sub(self.now_us()).filter(|&left| left > 0).map(Micros)
    }

    fn takes_anything(&self) -> bool {
        self.expected == Some(Expected::Anything)
    }

    fn answered(&self, id: u32, result: i32) -> Option<Expected> {
        if id == 0 {
            self.answers.with(|answers| {
                *answers = Some((answers.map_or(result, |(first, _)| first), result));
            });
        }
        self.expected
    }

    fn wakes(&self) -> &Scale {
        &self.wakes
    }

    fn be_quiet(&self, quiet: bool) {
        self.quiet.store(quiet, Relaxed);
    }
}

/// The office, as one instance sees it.
struct Seen<'s, 'o, M: Machine> {
    office: &'s Office<'o, M>,
    room: &'s Room<'o, M>,
    id: u32,
}

impl<M: Machine> World for Seen<'_, '_, M> {
    fn now_us(&self) -> u64 {
        self.office.now_us()
    }

    fn id(&self) -> u32 {
        self.id
    }

    fn with_guest<R>(&self, with: impl FnOnce(&mut Guest) -> R) -> R {
        self.room.guest.with(with)
    }

    fn say(&self, dropped: u32, line: &Line) {
        if self.office.quiet.load(Relaxed) {
            return;
        }
        let (machine, id) = (self.office.machine, self.id);
        if dropped > 0 {
            machine.say(format_args!("guest {id}: ({dropped} lines dropped)"));
        }
        machine.say(format_args!("guest {id}: {}", line.as_str()));
    }

    fn send(&self, to: u32, message: &[u8]) -> i32 {
        let Some(room) = self.office.room(to) else { return NO_INSTANCE };
        if self.office.quiet.load(Relaxed) {
            return NO_INSTANCE;
        }
        let now_us = self.now_us();
        let sent_us = now_us as u32;
        let result = room.post.with(|post| {
            if !post.open {
                return NO_INSTANCE;
            }
            if post.count() == 0 {
                room.since_us.store(sent_us, Relaxed);
            }
            let taken =
                post.queue.as_mut().is_some_and(|queue| queue.push(message, sent_us).is_ok());
            room.letters.store(post.count(), Release);
            if !taken {
                post.full += 1;
                return FULL;
            }
            post.sent += 1;
            let (first, _) = post.times_us.unwrap_or((now_us, now_us));
            post.times_us = Some((first, now_us));
            OK
        });
        if result == OK {
            self.office.tell(to);
            // After the message is there: who looks before it rests sees one or the other.
            self.office.machine.rouse();
        }
        result
    }

    fn receive(&self, to: &mut [u8]) -> i32 {
        let taken = self.room.post.with(|post| {
            let taken = match &mut post.queue {
                Some(queue) => queue.pop(to),
                None => Err(Refused::Empty),
            };
            self.room.letters.store(post.count(), Release);
            post.received += u64::from(taken.is_ok());
            taken
        });
        match taken {
            Ok(letter) => {
                self.office.delivered(letter.sent_us);
                i32::try_from(letter.length).unwrap_or(i32::MAX)
            }
            Err(Refused::TooLong) => TOO_LONG,
            Err(_) => EMPTY,
        }
    }
}

impl<M: Machine> Host for Office<'_, M> {
    fn call(
        &self,
        id: u32,
        number: FunctionNumber,
        memory: &mut [u8],
        values: &mut [u64],
    ) -> Result<(), Message> {
        match (function(number), self.room(id)) {
            (Some(function), Some(room)) => {
                call(&Seen { office: self, room, id }, function, memory, values)
            }
            _ => Err(Message::new("the host has no such function, or no such instance")),
        }
    }
}

/// The office of a ramp, and its desks: one for each instance, by its number.
#[derive(Clone, Copy)]
pub(crate) struct Hall<'s> {
    pub(crate) rooms: &'s dyn Rooms,
    pub(crate) desks: &'s [Desk<'s>],
    /// What the guests may have.
    pub(crate) grants: &'s Grants<'s>,
}

impl<'s> Hall<'s> {
    /// The desk of an instance.
    ///
    /// # Errors
    /// `Engine` where the machine lent no memory for that many.
    pub(crate) fn desk(&self, id: u32) -> Result<&'s Desk<'s>, Error> {
        let place = usize::try_from(id).ok().and_then(|place| self.desks.get(place));
        place.ok_or_else(|| Error::new(ErrorKind::Engine, "no room for an instance's messages"))
    }

    /// Gives an instance that has started its queue, and notes it for the prediction.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn furnish<R: Runtime>(&self, runtime: &R, id: u32) -> Result<(), Error> {
        match self.rooms.furnish(id) {
            Some(Bytes(0)) => Ok(()),
            Some(bytes) => {
                runtime.note_beside(bytes);
                Ok(())
            }
            None => Err(Error::new(ErrorKind::OutOfMemory, "the arena has no room for a queue")),
        }
    }

    /// What comes after a step of an export. The result becomes what the step's result is.
    pub(crate) fn end_step(&self, id: u32, export: &str, result: &mut Result<i32, Error>) -> Next {
        let (wish, exit) = self.rooms.end_step(id);
        if exit == Some(0) && result.is_err() {
            *result = Ok(0);
        }
        let steps = Steps::of(export);
        if steps != Steps::Task
            && let Ok(value) = *result
            && let Some(Expected::Value(expected)) = self.rooms.answered(id, value)
            && expected != value
        {
            *result = Err(wrong_answer(value, expected));
        }
        let next = match (steps, &*result) {
            (Steps::Task, Ok(1)) => Next::Wait(if wish.asked { wish } else { Wish::MESSAGE }),
            (Steps::Task, Ok(0)) => Next::Over,
            (Steps::Task, &Ok(other)) => {
                *result = Err(wrong_poll(other));
                Next::Over
            }
            (Steps::Task, Err(_)) => Next::Over,
            _ if wish.asked => Next::Wait(wish),
            _ => Next::Turn,
        };
        if next == Next::Over {
            self.rooms.close(id);
        }
        next
    }
}

/// Bytes of each instance's queue. 0 where nobody has a host.
pub(crate) fn queue_bytes<M: Machine>(hall: Option<Hall<'_>>) -> Bytes {
    hall.filter(|_| M::HOSTS).map_or(Bytes(0), |hall| hall.rooms.queue_bytes())
}

/// Whether each step of that export needs an instance that has made none.
pub(crate) fn is_command(export: &str) -> bool {
    Steps::of(export) == Steps::Command
}

/// Whether the results of that export say what to do next, and are no values.
pub(crate) fn is_task(export: &str) -> bool {
    Steps::of(export) == Steps::Task
}

#[cold]
fn wrong_answer(value: i32, expected: i32) -> Error {
    Error {
        kind: ErrorKind::WrongResult,
        message: Message::format(format_args!("it gave {value}, and {expected} is right")),
    }
}

#[cold]
fn wrong_poll(result: i32) -> Error {
    Error {
        kind: ErrorKind::WrongResult,
        message: Message::format(format_args!("wramp_poll gave {result}: 0 is done, 1 is wait")),
    }
}
