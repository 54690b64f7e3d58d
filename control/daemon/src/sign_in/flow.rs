//! A browser on its way: what it waits for, and what was proven so far.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::rc::Rc;

use postern_model::config::App;
use postern_model::directory::User;
use postern_model::identity::{Ask, ClientInfo, Factor, Missed, Refused, Step};
use postern_model::ids::{AppId, DeviceId, Name, SessionId, TenantId, UserId};
use postern_model::oauth::Scope;
use postern_model::policy::DeviceState;
use postern_model::secret::SecretText;
use postern_model::session::{AuthMethod, is_silent};

use super::ask;
use super::device_host::Visit;
use super::password::Attempt;
use super::risk::Judged;
use super::webauthn::Challenge;
use crate::control::Control;
use crate::oauth::Wanted;
use crate::store::factors::TotpSecret;
use crate::store::sign_in::{PolicySaid, SignInOutcome};
use crate::store::{ProviderSession, SignIn, StoredSession};

/// A browser on its way: where it came from is where it goes back to.
pub(super) struct Flow {
    pub(super) app: AppId,
    pub(super) redirect_uri: String,
    pub(super) state: String,
    pub(super) challenge: String,
    /// Where the browser is.
    pub(super) source: IpAddr,
    /// Whose users sign in.
    pub(super) tenant: TenantId,
    pub(super) goal: Goal,
    /// What the browser has, and will have no more once this succeeds.
    pub(super) replaces: Cell<Option<SessionId>>,
    pub(super) stage: RefCell<Stage>,
    /// What the application's relay missed in the session that it was shown.
    pub(super) missed: Missed,
    /// Whether the browser was at the device host, and what it showed there.
    pub(super) visit: RefCell<Visit>,
    /// Whether the user proves anew who they are: what an external provider knows from before is not enough then.
    pub(super) again: Cell<bool>,
    /// Terms of use that were shown and not accepted: others may do as well.
    pub(super) declined: RefCell<BTreeSet<Name>>,
    /// What policies said when they were last looked at, for the log.
    pub(super) policies: RefCell<Vec<PolicySaid>>,
}

/// Where a sign-in leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Goal {
    App,
    /// The user's own page.
    Account,
    /// Their applications.
    Portal,
    /// Their password in one of them.
    Password,
    /// An application that waits for an assertion.
    Saml(Box<super::saml::Wanted>),
    /// A client of the OpenID provider.
    Client(Rc<Wanted>),
}

impl Goal {
    /// Whether all that it gives is a way to add a device: whoever has none yet must get it.
    pub(super) fn adds_a_device(&self) -> bool {
        match self {
            Self::Client(wanted) => wanted.scopes.iter().eq([&Scope::Devices]),
            Self::App | Self::Account | Self::Portal | Self::Password | Self::Saml(_) => false,
        }
    }

    /// What people are told that they go on to, where that is no application.
    pub(super) const fn label(&self) -> Option<&'static str> {
        match self {
            Self::App | Self::Saml(_) | Self::Client(_) => None,
            Self::Account => Some("your second factors"),
            Self::Portal => Some("your applications"),
            Self::Password => Some("your password in an application"),
        }
    }
}

/// What a flow waits for.
pub(super) enum Stage {
    /// Login name and password; whose, where that is known.
    Password(Option<postern_model::directory::LoginName>),
    Second(Proven, Challenge),
    /// The secret becomes the user's with a code of it.
    Enrol(Proven, Challenge, TotpSecret),
    Recovery(Proven),
    /// Terms of use were shown.
    Terms(Proven, super::terms::Shown),
    /// The browser is at the device host; the session is the one that lacks nothing else that comes before.
    Device(Proven, Option<SessionId>),
    /// The same before anything was asked: the device may say who it is.
    DeviceFirst,
    /// Someone is looking at it, or it is over.
    Taken,
}

/// Who someone is, as far as that was proven.
#[derive(Debug, Clone)]
pub(super) struct Proven {
    pub(super) user: UserId,
    pub(super) typed: String,
    pub(super) methods: BTreeSet<AuthMethod>,
    pub(super) vouched: Vouched,
    pub(super) keep: bool,
    /// When the first of it was.
    pub(super) authenticated_unix: u64,
    /// The end of the session that becomes a stronger one: the new one ends no later.
    pub(super) ends_unix: Option<u64>,
    /// The device that was shown: in this sign-in, or for the session that becomes a stronger one.
    pub(super) device: Option<DeviceId>,
    /// How likely it is that it is somebody else, as far as that was judged.
    pub(super) risk: Judged,
}

/// The provider that says who someone is, where one does, and what it says of their device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Vouched {
    Nobody,
    By(ProviderSession, DeviceState),
    /// As it did for the session that becomes a stronger one.
    Before(SessionId, Name, DeviceState),
}

/// A flow that someone is looking at.
pub(super) struct At<'a> {
    pub(super) secret: &'a SecretText,
    pub(super) flow: &'a Rc<Flow>,
    pub(super) app: &'a App,
    pub(super) client: &'a ClientInfo,
}

impl Proven {
    /// By a Kerberos ticket or a device's certificate alone, which whoever finds a computer unlocked has, too.
    pub(super) fn is_silent(&self) -> bool {
        self.vouched == Vouched::Nobody && is_silent(&self.methods)
    }

    pub(super) fn by(session: &StoredSession, user: &User) -> Self {
        Self {
            user: user.id,
            typed: user.login.to_string(),
            methods: session.methods.clone(),
            vouched: Vouched::before(session),
            keep: session.persistent,
            authenticated_unix: session.authenticated_unix,
            ends_unix: Some(session.expires_unix),
            device: session.device,
            risk: Judged::before(session.risk),
        }
    }
}

impl Vouched {
    fn before(session: &StoredSession) -> Self {
        let before = |name: &Name| Self::Before(session.id, name.clone(), session.claimed_device);
        session.provider.as_ref().map_or(Self::Nobody, before)
    }

    pub(super) const fn provider(&self) -> Option<&Name> {
        match self {
            Self::Nobody => None,
            Self::By(of, _) => Some(&of.provider),
            Self::Before(_, name, _) => Some(name),
        }
    }

    pub(super) const fn claimed_device(&self) -> DeviceState {
        match self {
            Self::Nobody => DeviceState::Unknown,
            Self::By(_, state) | Self::Before(.., state) => *state,
        }
    }
}

impl At<'_> {
    pub(super) fn attempt<'b>(&'b self, proven: &'b Proven) -> Attempt<'b> {
        Attempt { tenant: self.flow.tenant, app: self.app, typed: &proven.typed, client: self.client }
    }

    pub(super) fn record(&self, proven: &Proven, outcome: SignInOutcome) -> SignIn {
        let (user, methods) = (Some(proven.user), proven.methods.clone());
        let provider = proven.vouched.provider().cloned();
        let (device, device_state) = self.flow.visit.borrow().logged();
        let policies = self.flow.policies.borrow().clone();
        let attempt = self.attempt(proven).record(outcome);
        let record = SignIn { user, methods, provider, device, device_state, policies, ..attempt };
        record.vouched_for(proven.vouched.claimed_device())
    }

    pub(super) fn ask(&self, control: &Control, factor: Factor, problem: Option<Refused>) -> Step {
        Step::Ask(Box::new(self.page(control, factor, problem)))
    }

    pub(super) fn page(&self, control: &Control, factor: Factor, problem: Option<Refused>) -> Ask {
        ask(control, self.secret, self.app.name.as_str(), self.flow, factor, problem)
    }
}
