//! Records kept as the lines they came in, and rows of them that can be thinned out.

use std::marker::PhantomData;

use wramp_core::report::{
    Answer, End, Fault, Fit, Instance, Load, Mail, Member, Park, Part, Predict, Record, Run, Start,
    Step, Worker,
};

/// A kind of record, for [`Kept`].
pub trait Kind {
    /// The record itself.
    type Record<'a>;
    /// The record, if it is of this kind.
    fn of(record: Record<'_>) -> Option<Self::Record<'_>>;
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $record:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name;
        impl Kind for $name {
            type Record<'a> = $record<'a>;
            fn of(record: Record<'_>) -> Option<Self::Record<'_>> {
                match record {
                    Record::$record(record) => Some(record),
                    _ => None,
                }
            }
        }
    )*};
}

kinds! {
    /// `wramp run`.
    RunKind = Run;
    /// `wramp load`.
    LoadKind = Load;
    /// `wramp fit`.
    FitKind = Fit;
    /// `wramp predict`.
    PredictKind = Predict;
    /// `wramp part`.
    PartKind = Part;
    /// `wramp step`.
    StepKind = Step;
    /// `wramp park`.
    ParkKind = Park;
    /// `wramp instance`.
    InstanceKind = Instance;
    /// `wramp start`.
    StartKind = Start;
    /// `wramp member`.
    MemberKind = Member;
    /// `wramp worker`.
    WorkerKind = Worker;
    /// `wramp mail`.
    MailKind = Mail;
    /// `wramp answer`.
    AnswerKind = Answer;
    /// `wramp end`.
    EndKind = End;
    /// `wramp fault`.
    FaultKind = Fault;
}

/// A record of a known kind, kept as its line.
///
/// Most keys of a record are absent, so its line is smaller than the record. The line owns its
/// words, and it preserves keys of a newer writer.
#[derive(Clone, Debug)]
pub struct Kept<K> {
    text: Box<str>,
    kind: PhantomData<K>,
}

impl<K: Kind> Kept<K> {
    /// Keeps a line. It must hold a record of this kind.
    pub(super) fn new(line: &str) -> Self {
        Self { text: line.into(), kind: PhantomData }
    }

    /// The record.
    #[must_use]
    pub fn get(&self) -> K::Record<'_> {
        match Record::parse(&self.text).ok().flatten().and_then(K::of) {
            Some(record) => record,
            // `Log::take` kept this text because it parsed as this kind.
            None => unreachable!("a kept line no longer parses: {}", self.text),
        }
    }

    /// The line, from its prefix to its CRC.
    #[must_use]
    pub fn line(&self) -> &str {
        &self.text
    }

    /// A key's value as it stands in the line.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&str> {
        self.text
            .split_ascii_whitespace()
            .find_map(|word| word.split_once('=').filter(|(k, _)| *k == key).map(|(_, v)| v))
    }
}

/// Records of one kind in their order. Where there are too many, only every second is kept.
#[derive(Clone, Debug)]
pub struct Rows<K> {
    kept: Vec<Kept<K>>,
    newest: Option<Kept<K>>,
    stride: usize,
    seen: usize,
}

impl<K: Kind> Default for Rows<K> {
    fn default() -> Self {
        Self { kept: Vec::new(), newest: None, stride: 1, seen: 0 }
    }
}

impl<K: Kind> Rows<K> {
    /// Adds a line. Returns by how many bytes the kept text grew.
    pub(super) fn push(&mut self, line: &str) -> usize {
        let keep = self.seen.is_multiple_of(self.stride);
        self.seen += 1;
        if keep {
            self.newest = None;
            self.kept.push(Kept::new(line));
            line.len()
        } else {
            self.newest = Some(Kept::new(line));
            0
        }
    }

    /// Drops every second record; the newest stays.
    pub(super) fn thin(&mut self) {
        let mut index = 0;
        let last = self.kept.len().saturating_sub(1);
        let mut newest = None;
        self.kept.retain(|kept| {
            let keep = index % 2 == 0;
            if index == last && !keep {
                newest = Some(kept.text.clone());
            }
            index += 1;
            keep
        });
        if self.newest.is_none() {
            self.newest = newest.map(|text| Kept { text, kind: PhantomData });
        }
        self.kept.shrink_to_fit();
        self.stride *= 2;
    }

    /// Bytes of the kept text.
    pub(super) fn bytes(&self) -> usize {
        self.kept.iter().map(|kept| kept.text.len()).sum()
    }

    /// The kept records in their order, the newest always among them.
    pub fn iter(&self) -> impl Iterator<Item = &Kept<K>> {
        self.kept.iter().chain(&self.newest)
    }

    /// The newest.
    #[must_use]
    pub fn last(&self) -> Option<&Kept<K>> {
        self.newest.as_ref().or(self.kept.last())
    }

    /// How many records there were, kept or not.
    #[must_use]
    pub fn seen(&self) -> usize {
        self.seen
    }

    /// Whether there was none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seen == 0
    }
}
