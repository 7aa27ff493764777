//! What runs, one step at a time, and time, which passes when nothing else does.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Whose a task is: what dies takes its tasks with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// The page of this number.
    Page(usize),
    /// A request at the edge.
    Worker,
    /// The link's alarm.
    Alarm,
    /// The business backend.
    Backend,
    /// Everything around them.
    World,
}

/// Something that runs.
pub(super) struct Task {
    pub(super) id: usize,
    pub(super) owner: Owner,
    /// Version of the messages of the worker that it is.
    pub(super) version: u32,
    future: Pin<Box<dyn Future<Output = ()>>>,
    woken: Arc<Woken>,
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Task {
    /// Goes on to its next wait; answers whether it has ended.
    pub(super) fn step(&mut self) -> bool {
        self.woken.0.store(false, Ordering::Relaxed);
        let waker = Waker::from(Arc::clone(&self.woken));
        matches!(
            self.future.as_mut().poll(&mut Context::from_waker(&waker)),
            Poll::Ready(())
        )
    }
}

/// All that runs.
#[derive(Default)]
pub(super) struct Tasks {
    all: RefCell<Vec<Task>>,
    begun: Cell<usize>,
}

impl Tasks {
    /// Begins a task, which is run when its turn comes.
    pub(super) fn spawn(
        &self,
        owner: Owner,
        version: u32,
        future: impl Future<Output = ()> + 'static,
    ) -> usize {
        let id = self.begun.get() + 1;
        self.begun.set(id);
        self.all.borrow_mut().push(Task {
            id,
            owner,
            version,
            future: Box::pin(future),
            woken: Arc::new(Woken(AtomicBool::new(true))),
        });
        id
    }

    /// Takes one of those that can go on, chosen by `choose` among their number.
    pub(super) fn take_ready(&self, choose: impl FnOnce(usize) -> usize) -> Option<Task> {
        let mut all = self.all.borrow_mut();
        let is_ready = |task: &Task| task.woken.0.load(Ordering::Relaxed);
        let ready = all.iter().filter(|task| is_ready(task)).count();
        if ready == 0 {
            return None;
        }
        let mut left = choose(ready);
        let at = all.iter().position(|task| {
            let chosen = is_ready(task) && left == 0;
            left = left.saturating_sub(usize::from(is_ready(task)));
            chosen
        })?;
        Some(all.remove(at))
    }

    /// Puts a task back that has not ended.
    pub(super) fn put_back(&self, task: Task) {
        let mut all = self.all.borrow_mut();
        let at = all.partition_point(|other| other.id < task.id);
        all.insert(at, task);
    }

    /// Ends tasks; answers their numbers.
    pub(super) fn end(&self, ends: impl Fn(Owner) -> bool) -> Vec<usize> {
        let mut kept = Vec::new();
        let mut ended = Vec::new();
        for task in self.all.take() {
            if ends(task.owner) {
                ended.push(task);
            } else {
                kept.push(task);
            }
        }
        // What they drop may begin others.
        let ids = ended.iter().map(|task| task.id).collect();
        self.all.borrow_mut().extend(kept);
        drop(ended);
        ids
    }

    /// Whether a task of such an owner is there.
    pub(super) fn any(&self, owned: impl Fn(Owner) -> bool) -> bool {
        self.all.borrow().iter().any(|task| owned(task.owner))
    }
}
