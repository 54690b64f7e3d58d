//! Tabs of one browser that were sent to show its device at once: the first that is back begins a session, and the others go on with
//! it. That they are of one browser the cookie of that session says, or, where it has not come there yet, what each tab keeps while
//! it is away.

use postern_model::directory::User;
use postern_model::identity::{DEVICE_COOKIES, ReturnDevice, Step};
use postern_model::ids::{DeviceId, SessionId, TenantId};

use super::device_host::Visit;
use super::flow::At;
use super::{alive, alive_of, enter};
use crate::clock::now_unix;
use crate::control::Control;
use crate::sessions::secret_key;
use crate::store::StoredSession;

/// A tab that is back.
pub(super) struct Tab<'a> {
    /// The hash of what it kept itself.
    pub(super) binding: [u8; 32],
    /// What its browser shows, of other tabs, too.
    pub(super) shows: &'a ReturnDevice,
}

impl Tab<'_> {
    /// The session that the browser has by now.
    pub(super) fn session(&self, control: &Control, tenant: TenantId) -> Option<StoredSession> {
        let session = self.shows.browser.as_ref().and_then(|secret| alive(control, secret));
        session.filter(|session| session.user.tenant == tenant)
    }

    /// The one that the same device began for another of its tabs.
    pub(super) fn begun(&self, control: &Control, user: &User, device: DeviceId) -> Option<StoredSession> {
        let bindings = self.shows.bindings.iter().take(DEVICE_COOKIES);
        let begun: Vec<SessionId> = {
            let sign_ins = control.sign_ins.borrow();
            let found = bindings.map(|binding| sign_ins.begun.find(&secret_key(binding.expose()), now_unix()));
            found.flatten().copied().collect()
        };
        let mut alive = begun.into_iter().filter_map(|id| alive_of(control, user, id));
        alive.find(|session| session.device == Some(device))
    }

    /// What came of this one: a session, for the others.
    pub(super) fn keep(&self, control: &Control, at: &At<'_>, step: &Step) {
        let grant = match step {
            Step::Done(done) => done.browser.as_ref(),
            Step::Consent(asked) => asked.browser.as_ref(),
            Step::Ask(_) | Step::Device(_) | Step::Refused(_) => None,
        };
        if let Some(session) = grant.and_then(|grant| alive(control, &grant.secret)) {
            let (source, now) = (at.client.address, now_unix());
            control.sign_ins.borrow_mut().begun.keep(self.binding, source, session.id, now);
        }
    }
}

/// Goes on with a session as if the sign-in had begun with it: a device that it lacks is asked for as of any.
pub(super) fn join(control: &Control, at: &At<'_>, session: &StoredSession) -> Step {
    at.flow.replaces.set(Some(session.id));
    at.flow.visit.replace(Visit::NotYet);
    enter::first(control, at, Some(session))
}
