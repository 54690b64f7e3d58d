//! Kerberos (RFC 4559): the token that goes with the request, and what the backend says to it. The tickets are got on other
//! threads; nothing here blocks.

use std::cell::RefCell;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postern_http::{Known, RequestHead, ResponseHead};
use postern_io::mailbox::mailbox;
use postern_io::time::timeout;
use postern_sso::limits::PATIENCE;
use postern_sso::{FailureKind, KerberosFailure, Negotiation, Proof, Reply, SignOn, Wanted};
use postern_tunnel::SsoLogin;

use super::challenge;
use crate::failure::{Failed, Fault};

/// A request that carries a token.
pub(crate) struct SignedOn {
    sign_on: Arc<dyn SignOn>,
    service: Arc<str>,
    /// Until an answer was looked at.
    proof: RefCell<Option<Box<dyn Proof>>>,
    from_held: bool,
}

/// Gets a token for whom the relay names, and puts it in the place of whatever credentials the client sent. `fresh`: the backend did
/// not take one from a ticket that was held.
pub(crate) async fn sign_on(
    sign_on: Option<&Arc<dyn SignOn>>,
    service: &Arc<str>,
    login: Option<&SsoLogin>,
    head: &mut RequestHead,
    fresh: bool,
) -> Result<SignedOn, Failed> {
    let unavailable = |detail: &str| Failed::new(Fault::SsoUnavailable, detail).unprocessed();
    head.headers.remove(Known::Authorization);
    let login = login.ok_or_else(|| unavailable("the relay did not say whom to sign on: update it"))?;
    let sign_on = sign_on.ok_or_else(|| unavailable(NO_KERBEROS))?;
    let wanted = Wanted { user: Arc::clone(login.shared()), service: Arc::clone(service) };
    let (sender, mut answer) = mailbox(1);
    // Who asked may have gone.
    sign_on.negotiate(wanted, fresh, Reply::to(move |negotiation| drop(sender.send(negotiation))));
    let Negotiation { token, from_held, proof } = answered(timeout(PATIENCE, answer.recv()).await.ok().flatten())?;
    let set = head.headers.set(Known::Authorization, format!("Negotiate {}", STANDARD.encode(token)));
    debug_assert!(set.is_ok(), "base64 is a field value");
    let (sign_on, service) = (Arc::clone(sign_on), Arc::clone(service));
    Ok(SignedOn { sign_on, service, proof: RefCell::new(Some(proof)), from_held })
}

impl SignedOn {
    /// Whether a fresh ticket may do what this one did not.
    pub(crate) fn may_be_stale(&self) -> bool {
        self.from_held
    }

    /// Looks at what the backend says to the token. Users never see it: they could not answer.
    pub(crate) async fn answered(&self, head: &mut ResponseHead) -> Result<(), Failed> {
        let said =
            head.headers.get_all(Known::WwwAuthenticate).find_map(|value| challenge(value, SCHEME)).map(<[u8]>::to_vec);
        let Some(said) = said else { return Ok(()) };
        if head.status == 401 {
            let detail = format!("the application answered 401 to a ticket for {}", self.service);
            return Err(Failed::new(Fault::SsoRejected, detail));
        }
        head.headers.retain(|field| {
            field.known() != Some(Known::WwwAuthenticate) || challenge(field.value(), SCHEME).is_none()
        });
        let Some(proof) = self.proof.take().filter(|_| !said.is_empty()) else { return Ok(()) };
        let unproven = |detail: String| Failed::new(Fault::SsoRejected, detail);
        let answer = STANDARD.decode(&said).map_err(|_| unproven("Negotiate with what is not base64".into()))?;
        let (sender, mut checked) = mailbox(1);
        // Who asked may have gone.
        self.sign_on.check(proof, answer, Reply::to(move |proven| drop(sender.send(proven))));
        let checked = answered(timeout(PATIENCE, checked.recv()).await.ok().flatten());
        checked.map_err(|failed| Failed { unprocessed: false, ..failed })
    }
}

/// What came of it, in the words of the catalogue.
fn answered<T>(answer: Option<Result<T, KerberosFailure>>) -> Result<T, Failed> {
    let too_slow = || KerberosFailure::without_code(FailureKind::TooSlow, "there was no answer in time");
    answer.unwrap_or_else(|| Err(too_slow())).map_err(|failure| {
        let (fault, elsewhere) = match failure.kind {
            FailureKind::DelegationRefused | FailureKind::UserUnknown | FailureKind::UserBlocked => {
                (Fault::SsoRefused, false)
            }
            FailureKind::Busy => (Fault::Overloaded, true),
            FailureKind::PeerUnproven => (Fault::SsoRejected, false),
            FailureKind::ServiceUnknown
            | FailureKind::ClockSkew
            | FailureKind::Keytab
            | FailureKind::KeytabUnreadable
            | FailureKind::KdcUnreachable
            | FailureKind::TooSlow
            | FailureKind::Other => (Fault::SsoFailed, true),
        };
        let failed = Failed::new(fault, failure.to_string());
        if elsewhere { failed.unprocessed() } else { failed }
    })
}

const SCHEME: &[u8] = b"Negotiate";
const NO_KERBEROS: &str = if cfg!(feature = "kerberos") {
    "this connector has no key for Kerberos: start it with --keytab and --kerberos-principal"
} else {
    "this connector was built without Kerberos: build it with --features kerberos (docs/kerberos.md)"
};
