//! What was fetched, for a while: fetched by one for all who wait, and after a failure not again at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::failure::SignInFailure;
use crate::limits::{FAILURE_HOLDS, FORCED_FETCH_EVERY};

/// One fetched thing.
pub(crate) struct Cached<T> {
    age_max: Duration,
    slot: Mutex<Slot<T>>,
}

struct Slot<T> {
    value: Option<(Arc<T>, Instant)>,
    failed: Option<(SignInFailure, Instant)>,
}

/// How often something may be fetched out of turn.
pub(crate) struct Pace(std::sync::Mutex<Option<Instant>>);

impl<T> Cached<T> {
    pub(crate) fn new(age_max: Duration) -> Self {
        Self { age_max, slot: Mutex::new(Slot { value: None, failed: None }) }
    }

    /// What is there and not too old, or else what is fetched now.
    pub(crate) async fn value(
        &self,
        fetch: impl Future<Output = Result<T, SignInFailure>>,
    ) -> Result<Arc<T>, SignInFailure> {
        let mut slot = self.slot.lock().await;
        if let Some((value, since)) = &slot.value
            && since.elapsed() < self.age_max
        {
            return Ok(Arc::clone(value));
        }
        slot.fetched(fetch).await
    }

    /// What is newer than `seen`, fetched if `pace` allows it; `None`: nothing is.
    pub(crate) async fn newer(
        &self,
        seen: &Arc<T>,
        pace: &Pace,
        fetch: impl Future<Output = Result<T, SignInFailure>>,
    ) -> Result<Option<Arc<T>>, SignInFailure> {
        let mut slot = self.slot.lock().await;
        if let Some((value, _)) = &slot.value
            && !Arc::ptr_eq(value, seen)
        {
            return Ok(Some(Arc::clone(value)));
        }
        if !pace.allows() {
            return Ok(None);
        }
        slot.fetched(fetch).await.map(Some)
    }
}

impl<T> Slot<T> {
    async fn fetched(
        &mut self,
        fetch: impl Future<Output = Result<T, SignInFailure>>,
    ) -> Result<Arc<T>, SignInFailure> {
        if let Some((failure, since)) = &self.failed
            && since.elapsed() < FAILURE_HOLDS
        {
            return Err(failure.clone());
        }
        match fetch.await {
            Ok(value) => {
                let value = Arc::new(value);
                *self = Self { value: Some((Arc::clone(&value), Instant::now())), failed: None };
                Ok(value)
            }
            Err(failure) => {
                self.failed = Some((failure.clone(), Instant::now()));
                Err(failure)
            }
        }
    }
}

impl Pace {
    pub(crate) fn new() -> Self {
        Self(std::sync::Mutex::new(None))
    }

    fn allows(&self) -> bool {
        let mut last = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if last.is_some_and(|last| last.elapsed() < FORCED_FETCH_EVERY) {
            return false;
        }
        *last = Some(Instant::now());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Cause;
    use std::cell::Cell;

    fn block_on<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn it_is_fetched_once_and_again_when_old() {
        block_on(async {
            let cached = Cached::new(Duration::from_millis(50));
            let fetches = Cell::new(0);
            let fetch = || async {
                fetches.set(fetches.get() + 1);
                Ok(fetches.get())
            };
            assert_eq!(*cached.value(fetch()).await.unwrap(), 1);
            assert_eq!(*cached.value(fetch()).await.unwrap(), 1);
            tokio::time::sleep(Duration::from_millis(60)).await;
            assert_eq!(*cached.value(fetch()).await.unwrap(), 2);
        });
    }

    #[test]
    fn a_failure_is_everybodys_for_a_moment() {
        block_on(async {
            let cached = Cached::<u8>::new(Duration::from_secs(60));
            let failing = async { Err(Cause::ProviderSlow.because("5 s")) };
            assert_eq!(cached.value(failing).await.unwrap_err().cause, Cause::ProviderSlow);
            let fetched = Cell::new(false);
            let next = async {
                fetched.set(true);
                Ok(1)
            };
            assert_eq!(cached.value(next).await.unwrap_err().cause, Cause::ProviderSlow);
            assert!(!fetched.get());
        });
    }

    #[test]
    fn a_fetch_out_of_turn_is_rare_and_serves_all() {
        block_on(async {
            let cached = Cached::new(Duration::from_secs(60));
            let (mine, others) = (Pace::new(), Pace::new());
            let first = cached.value(async { Ok(1) }).await.unwrap();
            let second = cached.newer(&first, &mine, async { Ok(2) }).await.unwrap().unwrap();
            assert_eq!(*second, 2);
            // Who still holds the first gets the second without a fetch; beyond it there is nothing for a while.
            assert_eq!(*cached.newer(&first, &mine, async { Ok(3) }).await.unwrap().unwrap(), 2);
            assert!(cached.newer(&second, &mine, async { Ok(3) }).await.unwrap().is_none());
            // Who has another pace is not held up by it.
            assert_eq!(*cached.newer(&second, &others, async { Ok(4) }).await.unwrap().unwrap(), 4);
        });
    }
}
