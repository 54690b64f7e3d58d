//! What runs between the tasks of a loop turn and the system call that ends it.

use std::rc::Rc;

use crate::core::with_core;

/// Work put off to the end of the turn, so that all of a turn's output is handled together.
pub trait TurnEnd {
    /// Runs once after the turn's tasks; it must not block.
    fn turn_end(self: Rc<Self>);
}

/// Calls `hook` at the end of this turn, before any stream seals its output: what the hook queues
/// on streams still leaves in this turn.
pub fn at_turn_end(hook: Rc<dyn TurnEnd>) {
    with_core(|core| core.hooks.borrow_mut().push(hook));
}

/// Calls `hook` once this turn's output is sealed, just before the system call that sends it: the moment to note when an
/// answer left. What the hook queues leaves in the next turn.
pub fn after_output(hook: Rc<dyn TurnEnd>) {
    with_core(|core| core.after_output.borrow_mut().push(hook));
}

/// Receives what the steering program reads of a worker.
pub trait LoadProbe {
    /// The loop began to work at `now_ns` (`CLOCK_MONOTONIC`).
    fn busy(&self, now_ns: u64);
    /// The loop is about to wait.
    fn parked(&self);
}

/// Publishes this loop's busy and parked moments to `probe`.
pub fn publish_load(probe: Box<dyn LoadProbe>) {
    with_core(|core| *core.load.borrow_mut() = Some(probe));
}
