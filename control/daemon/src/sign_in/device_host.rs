//! The way of a browser to the device host and back: what it shows there counts for the sign-in that sent it, in the browser that
//! was sent, once.
//!
//! ```text
//! NotYet ──sent────► Away ──back──► Back(what was shown)
//!                     │
//!   ticket ─► shown ──┘  a second ticket, told to whoever showed it alone
//! ```
//!
//! Whoever begins a sign-in of their own and sends somebody the link to the device host gets nothing of it: the second ticket is
//! in that somebody's browser, which has not the cookie of the sign-in, and who has the cookie never sees the ticket.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postern_model::device::{Approval, Device};
use postern_model::directory::User;
use postern_model::identity::{
    AskDevice, DEVICE_COOKIES, DEVICE_HOST_PATH, DEVICE_RETURN_PATH, DEVICE_TICKET, DEVICE_TICKET_S, Done, GiveDevice,
    Refused, ReturnDevice, Step,
};
use postern_model::ids::{DeviceId, SessionId, TenantId};
use postern_model::policy::DeviceState;
use postern_model::secret::SecretText;

use super::flow::{At, Proven, Stage};
use super::second::{active, finish, resume};
use super::tabs::Tab;
use super::terms::is_first;
use super::waiting::Waiting;
use super::{alive_of, by_device, done, flow_over, internal, issuer, log_with, refused, second};
use crate::clock::now_unix;
use crate::control::{Control, Draft};
use crate::devices::{self, NotRecognised, Recognised};
use crate::sessions::{random_secret, secret_key};
use crate::store::StoredSession;
use crate::store::sign_in::{Logged, SHORT_BYTES_MAX, SignInOutcome};

/// Browsers that are there, and those that are on their way back; by their tickets.
#[derive(Default)]
pub(super) struct Visits {
    there: Waiting<Sent>,
    back: Waiting<Sent<Shown>>,
}

/// A browser that was sent somewhere.
struct Sent<T = ()> {
    flow: SecretText,
    at_unix: u64,
    with: T,
}

/// Whether a flow's browser was at the device host.
#[derive(Debug, Default)]
pub(super) enum Visit {
    #[default]
    NotYet,
    /// No page may be shown, so that none is for what only helps.
    Waived,
    /// Sent there; the hash of what its browser alone has.
    Away([u8; 32]),
    Back(Shown),
}

/// What a browser showed.
#[derive(Debug, Clone)]
pub(super) enum Shown {
    /// No certificate.
    Nothing,
    /// One that is none of a device here: a code, and in words.
    NotRecognised(&'static str, String),
    /// Somebody else's.
    OfAnother(DeviceId),
    Device {
        id: DeviceId,
        state: DeviceState,
        approval: Approval,
    },
}

type ShortText = Option<Logged<SHORT_BYTES_MAX>>;

impl Visit {
    /// The device that was shown, if it may count for the user.
    pub(super) const fn device(&self) -> Option<DeviceId> {
        match self {
            Self::Back(Shown::Device { id, .. }) => Some(*id),
            Self::Back(_) | Self::NotYet | Self::Waived | Self::Away(_) => None,
        }
    }

    /// Which it was and what it counted as, for the log.
    pub(super) fn logged(&self) -> (ShortText, ShortText) {
        let (id, state) = match self {
            Self::Back(Shown::Device { id, state, .. }) => (Some(*id), Some(*state)),
            Self::Back(Shown::OfAnother(id)) => (Some(*id), Some(DeviceState::Unknown)),
            Self::Back(Shown::Nothing | Shown::NotRecognised(..)) => (None, Some(DeviceState::Unknown)),
            Self::NotYet | Self::Waived | Self::Away(_) => (None, None),
        };
        (id.map(|id| Logged::cut(&id.to_string())), state.map(|state| Logged::cut(&state.to_string())))
    }
}

/// Sends the browser there, or says why what it showed does not do. What was used up so far is kept, `draft`.
pub(super) fn needed(control: &Control, at: &At<'_>, proven: Proven, session: Option<SessionId>, draft: Draft) -> Step {
    let why = match &*at.flow.visit.borrow() {
        Visit::NotYet | Visit::Waived => None,
        Visit::Back(shown) => Some(shown.why_not()),
        Visit::Away(_) => return Step::Refused(flow_over()),
    };
    let (outcome, step) = match why {
        Some((code, detail)) => (SignInOutcome::Failure(code), Step::Refused(refused(code, detail))),
        None => match send(control, at) {
            Some(asked) => (SignInOutcome::Interrupted("device-needed"), Step::Device(asked)),
            None => return Step::Refused(internal()),
        },
    };
    if let Err(refused) = log_with(control, draft, at.record(&proven, outcome)) {
        return Step::Refused(refused);
    }
    if let Step::Device(_) = &step {
        at.flow.stage.replace(Stage::Device(proven, session));
    }
    step
}

/// A ticket for one way there, and what tells the browser when it is back.
pub(super) fn send(control: &Control, at: &At<'_>) -> Option<AskDevice> {
    let place = devices::device_url(control)?;
    let ((ticket, key), (binding, hash)) = random_secret().ok().zip(random_secret().ok())?;
    let sent = Sent { flow: at.secret.clone(), at_unix: now_unix(), with: () };
    control.sign_ins.borrow_mut().visits.there.keep(key, at.client.address, sent, now_unix());
    at.flow.visit.replace(Visit::Away(hash));
    let location = with_ticket(&place, DEVICE_HOST_PATH, &ticket);
    let app = at.flow.goal.label().unwrap_or(at.app.name.as_str()).to_owned();
    Some(AskDevice { location, binding, app })
}

fn with_ticket(place: &str, path: &str, ticket: &SecretText) -> String {
    format!("{place}{path}?{DEVICE_TICKET}={}", ticket.expose())
}

/// A browser is at the device host. Whatever it shows, it goes back: nothing of the sign-in is told there, or changed.
pub(crate) fn give(control: &Control, request: &GiveDevice) -> Step {
    let GiveDevice { ticket, certificate, client } = request;
    let key = secret_key(ticket.expose());
    let taken = control.sign_ins.borrow_mut().visits.there.take_if_good(&key, now_unix());
    let found = taken.filter(Sent::is_fresh).and_then(|sent| {
        let flow = control.sign_ins.borrow().find(&secret_key(sent.flow.expose()))?;
        Some((flow.tenant, sent.flow))
    });
    let Some((tenant, flow)) = found else { return Step::Refused(flow_over()) };
    let shown = shown(control, tenant, certificate.as_deref());
    let Ok((ticket, key)) = random_secret() else { return Step::Refused(internal()) };
    let sent = Sent { flow, at_unix: now_unix(), with: shown };
    control.sign_ins.borrow_mut().visits.back.keep(key, client.address, sent, now_unix());
    let location = with_ticket(&issuer(control), DEVICE_RETURN_PATH, &ticket);
    Step::Done(Done { location, browser: None, saml: None })
}

fn shown(control: &Control, tenant: TenantId, certificate: Option<&str>) -> Shown {
    let Some(certificate) = certificate else { return Shown::Nothing };
    let der = STANDARD.decode(certificate).unwrap_or_default();
    match devices::recognise(control, tenant, &der, now_unix()) {
        Ok(Recognised { device: Device { id, approval, .. }, state }) => Shown::Device { id, state, approval },
        Err(why) => Shown::not_recognised(&why),
    }
}

/// A browser is back. What it showed counts if it is the one that was sent.
pub(crate) fn back(control: &Control, request: &ReturnDevice) -> Step {
    let ReturnDevice { ticket, bindings, browser: _, client } = request;
    let key = secret_key(ticket.expose());
    // Whoever asks, it is gone then.
    let taken = control.sign_ins.borrow_mut().visits.back.take_if_good(&key, now_unix());
    let Some(Sent { flow: secret, with: shown, .. }) = taken.filter(Sent::is_fresh) else {
        return Step::Refused(elsewhere());
    };
    let Some(flow) = control.sign_ins.borrow().find(&secret_key(secret.expose())) else {
        return Step::Refused(flow_over());
    };
    let binding = of_this_browser(&flow.visit.borrow(), bindings);
    let Some(binding) = binding else {
        tracing::warn!("a device was shown by another browser than the one that signs in");
        return Step::Refused(elsewhere());
    };
    let Some(app) = control.snapshot().apps.get(&flow.app).cloned() else { return Step::Refused(flow_over()) };
    let at = At { secret: &secret, flow: &flow, app: &app, client };
    let (proven, session) = match flow.stage.replace(Stage::Taken) {
        Stage::Device(proven, session) => (proven, session),
        Stage::DeviceFirst => return by_device::arrived(control, &at, shown, &Tab { binding, shows: request }),
        Stage::Password(_)
        | Stage::Second(..)
        | Stage::Enrol(..)
        | Stage::Recovery(_)
        | Stage::Terms(..)
        | Stage::Taken => return Step::Refused(flow_over()),
    };
    let Some(user) = active(control, proven.user) else { return Step::Refused(flow_over()) };
    flow.visit.replace(Visit::Back(shown.judged(control, &user)));
    let device = flow.visit.borrow().device();
    match session {
        None => second::go_on(control, &at, &user, Proven { device, ..proven }, Draft::default()),
        Some(id) => go_on(control, &at, &user, (id, device)),
    }
}

/// What was shown before anybody said who they are: it counts for whoever is signing in now, if it may.
pub(super) fn shown_before(control: &Control, at: &At<'_>, user: &User) -> Option<DeviceId> {
    let shown = match &*at.flow.visit.borrow() {
        Visit::Back(shown) => shown.clone(),
        Visit::NotYet | Visit::Waived | Visit::Away(_) => return None,
    };
    let judged = Visit::Back(shown.judged(control, user));
    let device = judged.device();
    at.flow.visit.replace(judged);
    device
}

/// What the browser that was sent keeps, as a hash, if it is this one.
fn of_this_browser(visit: &Visit, bindings: &[SecretText]) -> Option<[u8; 32]> {
    let Visit::Away(hash) = visit else { return None };
    let is_it = |binding: &SecretText| verify_slices_are_equal(&secret_key(binding.expose()), hash).is_ok();
    bindings.iter().take(DEVICE_COOKIES).any(is_it).then_some(*hash)
}

/// With the session that there is, were it one with this device: what else it lacks is asked for, and another takes its place.
fn go_on(control: &Control, at: &At<'_>, user: &User, (id, device): (SessionId, Option<DeviceId>)) -> Step {
    let Some(session) = alive_of(control, user, id) else { return Step::Refused(flow_over()) };
    let with_device = StoredSession { device: device.or(session.device), ..session };
    let demand = super::demand::demanded(control, at, &with_device);
    if let Some(step) = resume(control, at, &with_device, user, demand) {
        return step;
    }
    if device.is_some() {
        return finish(control, at, user, Proven::by(&with_device, user), Draft::default());
    }
    if !is_first(control, at) {
        return Step::Refused(flow_over());
    }
    done(control, at, id, None)
}

impl<T> Sent<T> {
    fn is_fresh(&self) -> bool {
        now_unix() < self.at_unix.saturating_add(DEVICE_TICKET_S)
    }
}

impl Shown {
    /// For the user who signs in: a device of somebody else is none.
    fn judged(self, control: &Control, user: &User) -> Self {
        let Self::Device { id, .. } = &self else { return self };
        match devices::for_session(control, *id, user.id) {
            Ok(Some(_)) => self,
            Ok(None) => Self::OfAnother(*id),
            Err(problem) => Self::not_recognised(&NotRecognised::Failed(problem)),
        }
    }

    fn not_recognised(why: &NotRecognised) -> Self {
        if let NotRecognised::Failed(problem) = why {
            tracing::error!("a device could not be looked up: {}", problem.detail);
            return Self::NotRecognised(why.code(), "It could not be looked up. Try again in a moment.".into());
        }
        let (code, detail) = (why.code(), why.detail());
        let mut letters = detail.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        Self::NotRecognised(code, format!("{}{}.", first.unwrap_or_default(), letters.as_str()))
    }

    /// What is told where a device is needed.
    fn why_not(&self) -> (&'static str, String) {
        let needed = "This application opens on a device that your organisation knows, and only there.";
        let (code, why) = match self {
            Self::Nothing => ("device-required", "Your browser showed no certificate of one.".to_owned()),
            Self::NotRecognised(code, why) => (*code, why.clone()),
            Self::OfAnother(_) => ("device-of-another", "The device that you use is somebody else's.".to_owned()),
            Self::Device { approval: Approval::Waiting, .. } => {
                ("device-required", "Yours waits until an administrator approves it.".to_owned())
            }
            Self::Device { approval: Approval::Blocked | Approval::Removed, .. } => {
                ("device-blocked", "Yours was blocked by an administrator.".to_owned())
            }
            Self::Device { state: DeviceState::Unknown, .. } => (
                "device-required",
                "Yours counts no longer: its certificate is over, or nobody vouches for it.".to_owned(),
            ),
            Self::Device { .. } => {
                ("device-required", "Yours is known, and does not meet what your organisation asks of it.".to_owned())
            }
        };
        (code, format!("{needed} {why}"))
    }
}

#[cfg(test)]
impl Visits {
    /// As if a browser with this ticket had come so much earlier.
    pub(super) fn age(&mut self, ticket: &SecretText, age_s: u64) {
        let (key, now_unix) = (secret_key(ticket.expose()), now_unix());
        let (source, at_unix) = (std::net::IpAddr::from([127, 0, 0, 1]), now_unix - age_s);
        if let Some(sent) = self.there.take_if_good(&key, now_unix) {
            self.there.keep(key, source, Sent { at_unix, ..sent }, now_unix);
        }
        if let Some(sent) = self.back.take_if_good(&key, now_unix) {
            self.back.keep(key, source, Sent { at_unix, ..sent }, now_unix);
        }
    }
}

fn elsewhere() -> Refused {
    let detail = "This answer belongs to no sign-in of this browser. Open the application once more.";
    refused("device-return-unknown", detail)
}
