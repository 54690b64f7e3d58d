//! The embedded OpenID provider: what clients ask, decided here. Users come by the same way as to applications; what is in
//! progress is in memory only, what was granted is in the store and ends with the session that it came of.

mod answers;
mod claims;
pub(crate) mod clients;
mod codes;
pub(crate) mod conditions;
mod device;
pub(crate) mod document;
mod enrol;
mod token;
mod tokens;

use postern_model::admin::Problem;
use postern_model::assertion::AssertionSigner;
use postern_model::ids::{AppId, ClientId};
use postern_model::oauth::{Answer, Call, Endpoint, Scopes};
use postern_model::session::SessionRecord;

pub(crate) use codes::{Arrived, InProgress};

use crate::control::Control;
use crate::store::{Clients, StoreError, StoredClient};
use answers::Fault;

/// What a client wants of the user who is on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) client: ClientId,
    pub(crate) scopes: Scopes,
    /// The applications whose second factor and policies are met, all of them.
    pub(crate) conditions: Vec<AppId>,
    pub(crate) nonce: String,
    /// Whether it leads to a program on the user's device, which anybody may have put there.
    pub(crate) on_a_device: bool,
    /// Whether no page may be shown.
    pub(crate) silent: bool,
    /// Whether the user is asked in any case.
    pub(crate) ask_again: bool,
    /// It came by a code that was entered.
    pub(crate) device: Option<OnDevice>,
}

/// A program without a browser, whose code was entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OnDevice {
    pub(crate) user_code: String,
    /// The code's hash.
    pub(crate) key: [u8; 32],
}

impl Control {
    /// Asks for clients and what they were granted.
    pub(crate) fn clients<T>(&self, ask: impl FnOnce(&mut dyn Clients) -> Result<T, StoreError>) -> Result<T, Problem> {
        self.read("clients", |store| ask(store))
    }
}

/// Answers a request of a client.
pub(crate) fn answer(control: &Control, call: &Call) -> Answer {
    let answered = match call.endpoint {
        Endpoint::Metadata => answers::metadata(control),
        Endpoint::Keys => answers::keys(control),
        Endpoint::Token => token::token(control, call),
        Endpoint::DeviceAuthorization => device::authorization(control, call),
        Endpoint::Revoke => token::revoke(control, call),
        Endpoint::UserInfo => answers::user_info(control, call),
        Endpoint::Introspect => answers::introspect(control, call),
        Endpoint::EnrolDevice => enrol::enrol(control, call),
    };
    answered.unwrap_or_else(Fault::answer)
}

/// A client that is there and may ask.
pub(crate) fn known(control: &Control, id: &str) -> Option<StoredClient> {
    let id: ClientId = id.parse().ok()?;
    let client = control.clients(|store| store.client(id)).ok().flatten()?;
    (!client.settings.disabled).then_some(client)
}

/// Whether a client may still have what it began to ask for: what is registered counts at each step.
pub(crate) fn still_may(client: &StoredClient, wanted: &Wanted, redirect_uri: &str) -> bool {
    let leads_back = match wanted.device {
        Some(_) => client.settings.device,
        None => client.settings.leads_back_to(redirect_uri),
    };
    leads_back && client.settings.scopes.allow(&wanted.scopes)
}

fn signer(control: &Control) -> AssertionSigner {
    AssertionSigner::new(&control.snapshot().assertion_keys).unwrap_or_default()
}

/// Somebody's session, and who they are in it, as long as it counts.
fn record(control: &Control, session: postern_model::ids::SessionId) -> Result<Option<SessionRecord>, Fault> {
    crate::sessions::record(control, session).map_err(|_| Fault::unavailable())
}
