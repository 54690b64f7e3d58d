//! What a connection's requests need not be asked again: who its client was last, and that they were let in.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use aws_lc_rs::constant_time;
use postern_model::ids::AppId;
use postern_model::plan::PlannedApp;
use postern_model::policy::Applicable;
use postern_model::session::SessionCookie;
use zeroize::Zeroizing;

use super::{LetIn, Person};
use crate::sessions::Held;
use crate::worker::told::Told;

/// Someone who was let in, and when that holds. Where policies are about them the next request may be another matter: none of theirs
/// is let in by this.
#[derive(Debug)]
pub(super) struct Settled {
    person: Rc<Person>,
    told: Rc<Told>,
    /// The second at which it was found. The clock may be set back.
    from_unix: u64,
    /// The first second at which it is not so any more.
    end_unix: u64,
}

/// The cookie that a connection's client showed last, so that the next request needs no decryption.
#[derive(Default)]
pub(crate) struct RememberedCookie(RefCell<Option<Shown>>);

struct Shown {
    app: AppId,
    value: Zeroizing<Vec<u8>>,
    cookie: SessionCookie,
    held: Arc<Held>,
    applicable: Arc<Applicable>,
    /// What was found for the last request with it.
    settled: Option<Settled>,
    /// [`Published::access`] then: after the next change it is looked at anew.
    ///
    /// [`Published::access`]: crate::published::Published::access
    access: u64,
}

/// What is known of a cookie that was shown before.
pub(super) enum Remembrance {
    /// Whoever shows it is let in.
    Settled(LetIn),
    /// It was opened before.
    Opened(SessionCookie, Arc<Held>, Arc<Applicable>),
}

impl Settled {
    pub(super) fn new(person: Person, told: Rc<Told>, from_unix: u64, end_unix: u64) -> Self {
        Self { person: Rc::new(person), told, from_unix, end_unix }
    }

    /// For a request at this second, if it holds then.
    pub(super) fn at(&self, app: &Arc<PlannedApp>, now_unix: u64) -> Option<LetIn> {
        let Self { person, told, from_unix, end_unix } = self;
        let holds = person.applicable.is_empty()
            && (*from_unix..*end_unix).contains(&now_unix)
            && told.is_of(app, &person.held, now_unix);
        holds.then(|| {
            person.held.seen(now_unix);
            self.let_in(now_unix)
        })
    }

    fn let_in(&self, now_unix: u64) -> LetIn {
        let until = Some(self.person.until(self.end_unix, now_unix));
        LetIn { person: Rc::clone(&self.person), until, told: Rc::clone(&self.told) }
    }

    /// For the request that it was found for, and to be kept: not beyond `end_unix`.
    pub(super) fn kept(mut self, end_unix: u64, slot: &mut Option<Self>) -> LetIn {
        if let Some(person) = Rc::get_mut(&mut self.person).filter(|person| person.applicable.is_empty()) {
            person.write_access();
        }
        let let_in = self.let_in(self.from_unix);
        self.end_unix = self.end_unix.min(end_unix);
        *slot = Some(self);
        let_in
    }

    pub(super) fn told(&self) -> &Rc<Told> {
        &self.told
    }
}

impl RememberedCookie {
    pub(super) fn find(
        &self,
        (app, value, access): (&Arc<PlannedApp>, &[u8], u64),
        now_unix: u64,
    ) -> Option<Remembrance> {
        let shown = self.0.borrow();
        let shown = shown.as_ref().filter(|shown| shown.access == access && shown.app == app.id)?;
        let is_same = constant_time::verify_slices_are_equal(&shown.value, value).is_ok();
        is_same.then(|| match shown.settled.as_ref().and_then(|settled| settled.at(app, now_unix)) {
            Some(let_in) => Remembrance::Settled(let_in),
            None => Remembrance::Opened(shown.cookie, Arc::clone(&shown.held), Arc::clone(&shown.applicable)),
        })
    }

    pub(super) fn keep(
        &self,
        (app, value, access): (AppId, &[u8], u64),
        (cookie, held, applicable): (SessionCookie, &Arc<Held>, &Arc<Applicable>),
    ) {
        let (held, applicable) = (Arc::clone(held), Arc::clone(applicable));
        let value = Zeroizing::new(value.to_vec());
        *self.0.borrow_mut() = Some(Shown { app, value, cookie, held, applicable, settled: None, access });
    }

    /// What the application of the cookie was told, if it was.
    pub(super) fn told(&self) -> Option<Rc<Told>> {
        self.0.borrow().as_ref()?.settled.as_ref().map(|settled| Rc::clone(settled.told()))
    }

    /// Of whoever showed the cookie that was kept last.
    pub(super) fn keep_settled(&self, settled: Settled, end_unix: u64) -> LetIn {
        let mut shown = self.0.borrow_mut();
        settled.kept(end_unix, shown.as_mut().map_or(&mut None, |shown| &mut shown.settled))
    }
}

impl std::fmt::Debug for RememberedCookie {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RememberedCookie(…)")
    }
}
