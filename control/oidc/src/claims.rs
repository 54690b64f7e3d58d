//! What a provider says about a user, as Postern's own words. Which claim says what is the operator's choice.

use std::collections::{BTreeMap, BTreeSet};

use postern_model::directory::{DISPLAY_NAME_BYTES_MAX, Line, LoginInvalid, LoginName, MailAddress};
use postern_model::external::DeviceClaims;
use postern_model::policy::DeviceState;
use postern_model::secret::SecretText;
use postern_model::session::AuthMethod;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::failure::{Cause, SignInFailure, shown};
use crate::id_token::Identity;
use crate::limits::{GROUP_BYTES_MAX, GROUPS_MAX};

/// Which claims say what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClaimMapping {
    /// The login name: the first of these that there is. `email` counts only where `email_verified` is true beside it.
    pub login: Vec<String>,
    /// What people call the user.
    pub display_name: String,
    /// Where the user gets mail.
    pub mail: String,
    /// The user's groups, as a list of texts; `None`: they are not looked at.
    pub groups: Option<String>,
    /// What a value of `acr` says about how the user signed in, besides what `amr` says.
    pub acr: BTreeMap<String, BTreeSet<AuthMethod>>,
    /// What the device counts as that the user signed in on.
    pub devices: DeviceClaims,
}

impl Default for ClaimMapping {
    fn default() -> Self {
        Self {
            login: ["preferred_username", EMAIL].map(str::to_owned).to_vec(),
            display_name: "name".to_owned(),
            mail: EMAIL.to_owned(),
            groups: None,
            acr: BTreeMap::new(),
            devices: DeviceClaims::default(),
        }
    }
}

/// A user whom a provider vouches for. Its key is `issuer` with `subject`: everything else may change or be given to somebody
/// else, so nobody must be taken for a known user by it alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalUser {
    /// Who vouches.
    pub issuer: String,
    /// Whom the provider means: 1 to 255 ASCII characters.
    pub subject: String,
    /// What they type to sign in.
    pub login: LoginName,
    /// What people call them; may be empty.
    pub display_name: Line<DISPLAY_NAME_BYTES_MAX>,
    /// Where they get mail.
    pub mail: Option<MailAddress>,
    /// Whether the provider says that this address is theirs.
    pub mail_verified: bool,
    /// The provider's groups, by its own names.
    pub groups: BTreeSet<String>,
    /// The provider says that there are more groups than it tells (`_claim_names`).
    pub groups_left_out: bool,
    /// How they proved who they are; never empty.
    pub methods: BTreeSet<AuthMethod>,
    /// The provider's own word for how strongly.
    pub acr: Option<String>,
    /// When they did, in seconds since 1970, if the provider says so.
    pub auth_time_unix: Option<u64>,
    /// The provider's session, by which it may end ours later.
    pub session: Option<String>,
    /// What the device counts as, if the provider says so.
    pub device: DeviceState,
    /// For signing out at the provider.
    pub id_token: SecretText,
}

/// The documents that say something about one user, the ID token first.
#[derive(Clone, Copy)]
pub(crate) struct Sources<'a>(pub(crate) &'a [&'a Map<String, Value>]);

impl ClaimMapping {
    /// Whether something that is looked for is not in the ID token, so that the rest has to be fetched.
    pub(crate) fn lacks(&self, id_token: &Map<String, Value>) -> bool {
        let sources = &[id_token];
        let sources = Sources(sources);
        let there = |claim: &str| sources.value(claim).is_some();
        !self.login.iter().any(|claim| sources.login(claim).is_some())
            || !there(&self.display_name)
            || !there(&self.mail)
            || self.groups.as_deref().is_some_and(|claim| !there(claim))
    }

    pub(crate) fn user(
        &self,
        issuer: &str,
        identity: Identity,
        sources: Sources<'_>,
        id_token: SecretText,
    ) -> Result<ExternalUser, SignInFailure> {
        let acr = sources.signed().text("acr")?.map(str::to_owned);
        let (mail, mail_verified) = self.mail(sources)?;
        let (groups, groups_left_out) = self.groups(sources)?;
        Ok(ExternalUser {
            issuer: issuer.to_owned(),
            subject: identity.subject,
            login: self.login(sources)?,
            display_name: self.display_name(sources)?,
            mail,
            mail_verified,
            groups,
            groups_left_out,
            methods: self.methods(sources, acr.as_deref())?,
            acr,
            auth_time_unix: identity.auth_time_unix,
            session: identity.session,
            device: self.device(sources),
            id_token,
        })
    }

    fn login(&self, sources: Sources<'_>) -> Result<LoginName, SignInFailure> {
        let Some((claim, value)) = self.login.iter().find_map(|claim| Some((claim, sources.login(claim)?))) else {
            let what = format!("none of {} names the user; email counts only if verified", self.login.join(", "));
            return Err(Cause::LoginClaimMissing.because(what));
        };
        let text = value.as_str().ok_or_else(|| invalid(claim, "it is no text"))?;
        match text.parse() {
            Ok(login) => Ok(login),
            // Login names have no case. Who it is says `sub`, so nobody becomes somebody else by this.
            Err(LoginInvalid::Case { lower, .. }) => Ok(lower),
            Err(error) => Err(invalid(claim, error)),
        }
    }

    fn display_name(&self, sources: Sources<'_>) -> Result<Line<DISPLAY_NAME_BYTES_MAX>, SignInFailure> {
        let claim = &self.display_name;
        sources.text(claim)?.unwrap_or_default().parse().map_err(|error| invalid(claim, error))
    }

    fn mail(&self, sources: Sources<'_>) -> Result<(Option<MailAddress>, bool), SignInFailure> {
        let claim = &self.mail;
        let verified = sources.login(claim).filter(|_| claim == EMAIL);
        let text = match verified.and_then(Value::as_str) {
            Some(text) => Some(text),
            None => sources.text(claim)?.filter(|text| !text.is_empty()),
        };
        let mail = text.map(|text| text.parse().map_err(|error| invalid(claim, error))).transpose()?;
        Ok((mail, verified.is_some()))
    }

    fn groups(&self, sources: Sources<'_>) -> Result<(BTreeSet<String>, bool), SignInFailure> {
        let Some(claim) = &self.groups else {
            return Ok((BTreeSet::new(), false));
        };
        let left_out = sources.value("_claim_names").is_some_and(|names| names.get(claim).is_some());
        let list = match sources.value(claim) {
            None => &[],
            Some(Value::Array(list)) => list.as_slice(),
            Some(one) => std::slice::from_ref(one),
        };
        if list.len() > GROUPS_MAX {
            return Err(invalid(claim, format!("{} groups: at most {GROUPS_MAX}", list.len())));
        }
        let group = |value: &Value| {
            let text = value.as_str().ok_or_else(|| invalid(claim, "a group is no text"))?;
            if text.is_empty() || text.len() > GROUP_BYTES_MAX || text.contains(char::is_control) {
                return Err(invalid(claim, format!("{} is no group", shown(text))));
            }
            Ok(text.to_owned())
        };
        Ok((list.iter().map(group).collect::<Result<_, _>>()?, left_out))
    }

    /// Of what is signed alone: it is about this sign-in, as `acr` is, while the rest of the documents is about the user.
    fn device(&self, sources: Sources<'_>) -> DeviceState {
        sources.signed().0.first().map_or(DeviceState::Unknown, |id_token| self.devices.state(id_token))
    }

    /// RFC 8176, read narrowly: what a provider may mean in more than one way counts for less.
    fn methods(&self, sources: Sources<'_>, acr: Option<&str>) -> Result<BTreeSet<AuthMethod>, SignInFailure> {
        let list = match sources.signed().value("amr") {
            None => &[],
            Some(Value::Array(list)) => list.as_slice(),
            Some(_) => return Err(invalid("amr", "it is no list")),
        };
        let names: BTreeSet<_> = list.iter().filter_map(Value::as_str).collect();
        let has = |name: &str| names.contains(name);
        // A key alone says only that somebody had it; a key of ours would be asked for with the user's PIN or finger.
        let verified_key = has("hwk") && VERIFIED.iter().any(|name| has(name));
        let mut methods: BTreeSet<_> = [
            (has("pwd"), AuthMethod::Password),
            (has("otp"), AuthMethod::OneTimePassword),
            (verified_key, AuthMethod::HardwareKey),
            (has("mfa"), AuthMethod::MultiFactor),
            (has("wia"), AuthMethod::Integrated),
        ]
        .into_iter()
        .filter_map(|(is_so, method)| is_so.then_some(method))
        .collect();
        methods.extend(acr.and_then(|acr| self.acr.get(acr)).into_iter().flatten());
        if methods.is_empty() {
            methods.insert(AuthMethod::Federated);
        }
        Ok(methods)
    }
}

impl<'a> Sources<'a> {
    /// The ID token alone.
    fn signed(self) -> Self {
        Self(&self.0[..self.0.len().min(1)])
    }

    fn value(self, claim: &str) -> Option<&'a Value> {
        self.0.iter().find_map(|source| source.get(claim).filter(|value| !value.is_null()))
    }

    fn text(self, claim: &str) -> Result<Option<&'a str>, SignInFailure> {
        let text = |value: &'a Value| value.as_str().ok_or_else(|| invalid(claim, "it is no text"));
        self.value(claim).map(text).transpose()
    }

    /// A claim that may name the user. Of an address the same document must say that it is theirs.
    fn login(self, claim: &str) -> Option<&'a Value> {
        let counts = |source: &&&Map<String, Value>| {
            claim != EMAIL || source.get("email_verified").is_some_and(|verified| *verified == Value::Bool(true))
        };
        let named = |value: &&Value| !value.is_null() && **value != "";
        self.0.iter().filter(counts).find_map(|source| source.get(claim).filter(named))
    }
}

fn invalid(claim: &str, why: impl std::fmt::Display) -> SignInFailure {
    Cause::ClaimInvalid.because(format!("claim {claim}: {why}"))
}

/// The one claim whose truth another claim tells.
const EMAIL: &str = "email";
/// What with a key shows that its owner used it.
const VERIFIED: &[&str] = &["pin", "fpt", "face", "iris", "retina", "vbm"];

#[cfg(test)]
#[path = "claims/tests.rs"]
mod tests;
