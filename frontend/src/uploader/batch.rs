//! All files of a page, and which of them may go on next.

use super::pace::{CHUNK_FIRST, Network};
use super::progress::Progress;
use super::retry::{Retry, Wake};
use super::transfer::{Event, Grant, Job, State, Transfer};

/// Requests with content under way at once, over all files. Three fill a phone's uplink while one
/// waits for its answer; more only take memory and split the same bandwidth.
pub const CONCURRENCY: usize = 3;

/// A file of the batch, for the shell. It stays the same over its life.
pub type Key = u32;

#[derive(Clone, Debug)]
struct Entry {
    key: Key,
    /// Counts starts, so that the end of a job from before a restart is told from one of now.
    run: u32,
    transfer: Transfer,
}

/// All files of a page.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    entries: Vec<Entry>,
    runs: u32,
    network: Network,
    /// The line to the edge, over all files: what fails for one is not tried anew by each other.
    line: Retry,
    /// Bytes that the network has carried, by the edge's answers.
    carried: u64,
}

impl Batch {
    /// Adds a file, or starts it anew with nothing remembered but what the edge holds; see
    /// [`Transfer::new`].
    pub fn start(&mut self, key: Key, size: u64, single_max: u64, digested: bool) {
        self.runs += 1;
        let entry = Entry {
            key,
            run: self.runs,
            transfer: Transfer::new(size, single_max, digested),
        };
        match self.entries.iter_mut().find(|known| known.key == key) {
            Some(known) => *known = entry,
            None => self.entries.push(entry),
        }
    }

    /// Gives a file up. Whether the edge may have stored it: then it goes on until the edge has taken it
    /// back, else it can be forgotten.
    pub fn cancel(&mut self, key: Key) -> bool {
        let mut files = self.entries.iter_mut();
        let entry = files.find(|entry| entry.key == key);
        entry.is_some_and(|entry| entry.transfer.cancel())
    }

    /// Forgets a file. The shell aborts its requests.
    pub fn remove(&mut self, key: Key) {
        self.entries.retain(|entry| entry.key != key);
    }

    /// A file, and the number of its run.
    #[must_use]
    pub fn get(&self, key: Key) -> Option<(u32, &Transfer)> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        Some((entry.run, &entry.transfer))
    }

    /// The next job, which is then under way; `None` until something happens or
    /// [`Batch::wakes_at`] has come. Files go in the order in which they were added.
    pub fn next(&mut self, now: f64) -> Option<(Key, u32, Job)> {
        let requests: usize = self
            .entries
            .iter()
            .map(|entry| entry.transfer.requests())
            .sum();
        // While tries fail, one at a time tells as much as three.
        let most = if self.line.is_failing() {
            1
        } else {
            CONCURRENCY
        };
        let slot = requests < most;
        let digest = !self
            .entries
            .iter()
            .any(|entry| entry.transfer.is_digesting());
        let others: Vec<u64> = self.chunks().collect();
        let grant = Grant {
            now,
            line_waits: self.line.waits(now).is_some(),
            slot,
            digest,
            network: self.network,
            others: &others,
        };
        self.entries.iter_mut().find_map(|entry| {
            let job = entry.transfer.next(grant)?;
            Some((entry.key, entry.run, job))
        })
    }

    /// What is left of each chunk under way, in bytes.
    fn chunks(&self) -> impl Iterator<Item = u64> {
        self.entries.iter().flat_map(|entry| entry.transfer.rests())
    }

    /// Takes in what happened to a file in a run. What belongs to an earlier run, or to a file
    /// that is gone, is passed over.
    pub fn on(&mut self, key: Key, run: u32, event: Event, now: f64, online: bool, random: f64) {
        let sharing = self.chunks().count();
        let of_line = match &event {
            Event::Failed(_, failure) if failure.is_of_line() => Some(failure.clone()),
            _ => None,
        };
        let known = |entry: &&mut Entry| entry.key == key && entry.run == run;
        let Some(entry) = self.entries.iter_mut().find(known) else {
            return;
        };
        let (furthest, paused) = (entry.transfer.furthest(), entry.transfer.is_paused());
        let moving = entry.transfer.progress().moving;
        let measured = entry.transfer.on(event, now, online, random);
        let stored = *entry.transfer.state() == State::Stored;
        if let Some((bytes, ms, ending)) = measured {
            self.carried += bytes;
            self.network.measured(bytes, ms, sharing, ending);
        } else if stored {
            // What went in one request.
            self.carried += moving;
        }
        if stored || entry.transfer.furthest() > furthest {
            self.line.gained(now);
        }
        if let Some(failure) = of_line.filter(|_| !paused) {
            self.line.failed(&failure, now, random);
        }
    }

    /// Bytes that the network has carried since the start, those on their way included: what speed is
    /// told by. What a resume finds at the edge, or a cancelled file had there, does not count.
    #[must_use]
    pub fn carried(&self) -> u64 {
        self.carried + self.progress().moving
    }

    /// Brings the next try of each file forward, see [`Wake`].
    pub fn wake(&mut self, by: Wake, now: f64) {
        self.line.wake(by, now);
        for entry in &mut self.entries {
            entry.transfer.wake(by, now);
        }
    }

    /// The page was not visible for so many milliseconds: they do not count as time of trying.
    pub fn hidden(&mut self, ms: f64) {
        self.line.hidden(ms);
        for entry in &mut self.entries {
            entry.transfer.hidden(ms);
        }
    }

    /// Holds a file, or lets it go on. The shell aborts the requests of one that is held.
    pub fn pause(&mut self, key: Key, paused: bool, now: f64) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.key == key) {
            entry.transfer.pause(paused, now);
        }
    }

    /// How long nothing may happen to a job's request before it counts as dead, in milliseconds.
    #[must_use]
    pub fn patience_ms(&self, job: Job) -> f64 {
        match job {
            // The edge puts parts together, or the whole file.
            Job::Complete | Job::Cancel => 45_000.0,
            Job::Send(chunk) => self.network.patience_ms(chunk.to - chunk.from),
            Job::Whole => self.network.patience_ms(CHUNK_FIRST),
            Job::Announce | Job::Digest(_) => self.network.patience_ms(0),
        }
    }

    /// For how long the network has been away, in milliseconds, if a file waits for it.
    #[must_use]
    pub fn cut_ms(&self, now: f64) -> Option<f64> {
        let cuts = self
            .entries
            .iter()
            .filter_map(|entry| entry.transfer.cut_at(now));
        cuts.reduce(f64::min).map(|at| now - at)
    }

    /// When the earliest wait is over, if a file waits.
    #[must_use]
    pub fn wakes_at(&self, now: f64) -> Option<f64> {
        let files = self.entries.iter();
        let files = files.filter_map(|entry| entry.transfer.wakes_at(now));
        let line = self.line.waits(now).filter(|_| self.is_live());
        files.chain(line.map(|(until, _)| until)).reduce(f64::min)
    }

    /// Whether something is still to be done for some file.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.entries.iter().any(|entry| entry.transfer.is_live())
    }

    /// How far all files are that are to arrive and have not failed.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let given_up = |state: &State| {
            matches!(
                state,
                State::Cancelling { .. } | State::Cancelled | State::Failed(_)
            )
        };
        let entries = self.entries.iter();
        let mut counted = entries
            .filter(|entry| !given_up(entry.transfer.state()))
            .map(|entry| entry.transfer.progress())
            .peekable();
        // Where nothing is to arrive, nothing is finished.
        match counted.peek() {
            Some(_) => counted.sum(),
            None => Progress::default(),
        }
    }
}
