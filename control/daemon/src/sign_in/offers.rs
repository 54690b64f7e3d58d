//! What pages are told so that they can ask for a second factor, or set one up.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use postern_model::directory::User;
use postern_model::identity::{Enrolment, KeyOffer, KeyRequest, SecondFactor, TotpOffer};

use super::webauthn::{Challenge, RelyingParty};
use crate::store::factors::{StoredFactors, TotpSecret};

pub(super) fn second(factors: &StoredFactors, challenge: &Challenge, party: &RelyingParty) -> SecondFactor {
    let key = (!factors.keys.is_empty()).then(|| KeyRequest {
        challenge: challenge.text(),
        rp_id: party.id.clone(),
        credentials: credentials(factors),
    });
    SecondFactor { totp: factors.totp.is_some(), recovery: factors.recovery > 0, key }
}

pub(super) fn enrolment(
    user: &User,
    factors: &StoredFactors,
    challenge: &Challenge,
    party: &RelyingParty,
    secret: &TotpSecret,
) -> Enrolment {
    let totp = factors
        .totp
        .is_none()
        .then(|| TotpOffer { secret: secret.base32(), uri: secret.uri(&party.id, user.login.as_str()) });
    // §14.6.1: a handle says nothing about people.
    let handle = [user.id.tenant.0.to_be_bytes(), user.id.seq.to_be_bytes()].concat();
    let name = user.display_name.as_str();
    let key = KeyOffer {
        challenge: challenge.text(),
        rp_id: party.id.clone(),
        user: URL_SAFE_NO_PAD.encode(handle),
        login: user.login.to_string(),
        display_name: if name.is_empty() { user.login.to_string() } else { name.to_owned() },
        exclude: credentials(factors),
    };
    Enrolment { totp, key }
}

fn credentials(factors: &StoredFactors) -> Vec<String> {
    factors.keys.iter().map(|key| URL_SAFE_NO_PAD.encode(&key.credential)).collect()
}
