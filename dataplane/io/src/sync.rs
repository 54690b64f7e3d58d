//! Waiting between tasks of one loop.

use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    rc::Rc,
    task::{Context, Poll, Waker},
};

/// Wakes every waiting task; a notification with nobody waiting is kept for the next one.
#[derive(Debug, Default)]
pub struct Notify {
    notified: Cell<bool>,
    wakers: RefCell<Vec<Waker>>,
}

impl Notify {
    /// Wakes everyone who waits, or lets the next [`Notify::notified`] pass at once.
    pub fn notify(&self) {
        let wakers = self.wakers.take();
        if wakers.is_empty() {
            self.notified.set(true);
        }
        for waker in wakers {
            waker.wake();
        }
    }

    /// Waits for the next notification. Callers check their condition again afterwards: a wake
    /// may be spurious.
    pub async fn notified(&self) {
        let mut waited = false;
        poll_fn(|cx| {
            if waited || self.notified.take() {
                return Poll::Ready(());
            }
            waited = true;
            self.register(cx);
            Poll::Pending
        })
        .await;
    }

    /// Registers the current task to be woken by the next notification.
    pub fn register(&self, cx: &mut Context<'_>) {
        let mut wakers = self.wakers.borrow_mut();
        if !wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            wakers.push(cx.waker().clone());
        }
    }
}

struct Slot<T> {
    value: Option<T>,
    waker: Option<Waker>,
    sender: bool,
}

/// The sending half of [`oneshot`].
pub struct OneSender<T>(Rc<RefCell<Slot<T>>>);

/// The receiving half of [`oneshot`].
pub struct OneReceiver<T>(Rc<RefCell<Slot<T>>>);

/// One value from one task to another.
#[must_use]
pub fn oneshot<T>() -> (OneSender<T>, OneReceiver<T>) {
    let slot = Rc::new(RefCell::new(Slot { value: None, waker: None, sender: true }));
    (OneSender(Rc::clone(&slot)), OneReceiver(slot))
}

impl<T> OneSender<T> {
    /// Whether nobody waits for the value any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        Rc::strong_count(&self.0) == 1
    }

    /// Hands the value over; it is dropped when nobody waits for it any more.
    pub fn send(self, value: T) {
        self.0.borrow_mut().value = Some(value);
    }
}

impl<T> Drop for OneSender<T> {
    fn drop(&mut self) {
        let waker = {
            let mut slot = self.0.borrow_mut();
            slot.sender = false;
            slot.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> OneReceiver<T> {
    /// The value; `None` when the sender was dropped without one.
    pub async fn recv(self) -> Option<T> {
        poll_fn(|cx| {
            let mut slot = self.0.borrow_mut();
            if let Some(value) = slot.value.take() {
                return Poll::Ready(Some(value));
            }
            if !slot.sender {
                return Poll::Ready(None);
            }
            slot.waker = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }
}

/// Which of two futures completed first.
#[derive(Debug, PartialEq, Eq)]
pub enum Either<A, B> {
    /// The first one, which also wins a tie.
    First(A),
    /// The second one.
    Second(B),
}

/// Runs two futures until one completed; the other is dropped.
pub async fn select<A: Future, B: Future>(a: A, b: B) -> Either<A::Output, B::Output> {
    let mut a = std::pin::pin!(a);
    let mut b = std::pin::pin!(b);
    poll_fn(|cx| {
        if let Poll::Ready(value) = a.as_mut().poll(cx) {
            return Poll::Ready(Either::First(value));
        }
        b.as_mut().poll(cx).map(Either::Second)
    })
    .await
}

/// Runs two futures on one task until both completed.
pub async fn join<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
    let mut a = std::pin::pin!(a);
    let mut b = std::pin::pin!(b);
    let (mut first, mut second) = (None, None);
    poll_fn(move |cx| {
        if first.is_none()
            && let Poll::Ready(value) = a.as_mut().poll(cx)
        {
            first = Some(value);
        }
        if second.is_none()
            && let Poll::Ready(value) = b.as_mut().poll(cx)
        {
            second = Some(value);
        }
        match (first.take(), second.take()) {
            (Some(x), Some(y)) => Poll::Ready((x, y)),
            (x, y) => {
                (first, second) = (x, y);
                Poll::Pending
            }
        }
    })
    .await
}

impl<T> std::fmt::Debug for OneSender<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OneSender")
    }
}

impl<T> std::fmt::Debug for OneReceiver<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OneReceiver")
    }
}
