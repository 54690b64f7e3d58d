//! `postern scim …`: a tenant's token is given out, changed and taken away. Its secret leaves control once.

use postern_model::admin::{
    Changed, EnableScim, Problem, RotateScim, SERVICE_TOKEN_TTL_S_DEFAULT, SERVICE_TOKEN_TTL_S_MAX, ScimIssued,
    ScimView, Validity,
};
use postern_model::config::Tenant;
use postern_model::scim::PresentedScimToken;
use postern_model::secret::SecretText;
use zeroize::Zeroizing;

use super::place;
use crate::clock::{now_unix, now_unix_ms};
use crate::control::{Actor, Audit, Control, Draft};
use crate::problem::problem;
use crate::store::{DirectoryChange, ScimToken};

/// `scim enable`.
pub(crate) fn enable(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    request: EnableScim,
) -> Result<ScimIssued, Problem> {
    let EnableScim { name, validity } = request;
    if let Some(known) = find(control, tenant)? {
        let detail = format!(
            "SCIM is enabled already, with the token {}: `postern scim rotate` gives it a new secret",
            known.name
        );
        return Err(problem("name-taken", detail));
    }
    let (text, presented) = fresh(tenant)?;
    let token = ScimToken {
        tenant: tenant.id,
        name,
        key: presented.secret.key(),
        expires_unix: expiry(validity)?,
        created_unix_ms: now_unix_ms(),
    };
    store(control, actor, tenant, "scim.enable", None, token, text)
}

/// `scim rotate`: the secret before is good no longer.
pub(crate) fn rotate(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    request: RotateScim,
) -> Result<ScimIssued, Problem> {
    let before = known(control, tenant)?;
    let (text, presented) = fresh(tenant)?;
    let expires_unix = match request.validity {
        Some(validity) => expiry(validity)?,
        None => before.expires_unix,
    };
    let token = ScimToken { key: presented.secret.key(), expires_unix, ..before.clone() };
    store(control, actor, tenant, "scim.rotate", Some(&before), token, text)
}

/// `scim show`.
pub(crate) fn show(control: &Control, tenant: &Tenant) -> Result<ScimView, Problem> {
    known(control, tenant).map(|token| view(control, &token))
}

/// `scim disable`: users and groups stay as they are.
pub(crate) fn disable(control: &Control, actor: &Actor, tenant: &Tenant) -> Result<Changed, Problem> {
    let before = known(control, tenant)?;
    let mut draft = Draft::default();
    draft.audit(Audit { before: Some(summary(&before)), ..audit("scim.disable", &before) });
    draft.directory(DirectoryChange::ScimTokenRemoved(tenant.id));
    let version = control.commit(actor, draft)?;
    Ok(Changed { version, warnings: Vec::new() })
}

fn store(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    action: &'static str,
    before: Option<&ScimToken>,
    token: ScimToken,
    text: SecretText,
) -> Result<ScimIssued, Problem> {
    let mut draft = Draft::default();
    draft.audit(Audit { before: before.map(summary), after: Some(summary(&token)), ..audit(action, &token) });
    draft.directory(DirectoryChange::ScimTokenPut(token.clone()));
    let version = control.commit(actor, draft)?;
    let mut warnings = Vec::new();
    if place(control).is_none() {
        let detail = "there is no place where SCIM is served yet: postern identity publish --external URL";
        warnings.push(detail.to_owned());
    }
    match token.expires_unix {
        None => warnings.push("the token never expires: whoever finds it changes users until SCIM is disabled".into()),
        Some(end) if end <= now_unix() => {
            warnings.push(format!("the token of {} has expired: give --ttl", tenant.name));
        }
        Some(_) => {}
    }
    Ok(ScimIssued { token: text, scim: view(control, &token), version, warnings })
}

fn find(control: &Control, tenant: &Tenant) -> Result<Option<ScimToken>, Problem> {
    control.scim_rows(|store| store.scim_token(tenant.id))
}

fn known(control: &Control, tenant: &Tenant) -> Result<ScimToken, Problem> {
    find(control, tenant)?
        .ok_or_else(|| problem("not-found", format!("SCIM is not enabled for {}: postern scim enable", tenant.name)))
}

fn fresh(tenant: &Tenant) -> Result<(SecretText, PresentedScimToken), Problem> {
    let mut bytes = Zeroizing::new([0; 32]);
    aws_lc_rs::rand::fill(&mut *bytes).map_err(|_| problem("internal", "there is no randomness"))?;
    Ok(PresentedScimToken::new(tenant.id, bytes))
}

fn expiry(validity: Validity) -> Result<Option<u64>, Problem> {
    let ttl_s = match validity {
        Validity::Default => SERVICE_TOKEN_TTL_S_DEFAULT,
        Validity::TtlS(ttl_s) if (1..=SERVICE_TOKEN_TTL_S_MAX).contains(&ttl_s) => ttl_s,
        Validity::TtlS(_) => {
            let detail = "a SCIM token is valid for 1 second to 366 days; --no-expiry makes one without an end";
            return Err(problem("request-invalid", detail));
        }
        Validity::NoExpiry => return Ok(None),
    };
    Ok(Some(now_unix() + ttl_s))
}

fn view(control: &Control, token: &ScimToken) -> ScimView {
    ScimView {
        url: place(control),
        name: token.name.clone(),
        expires_unix: token.expires_unix,
        expired: token.expires_unix.is_some_and(|end| end <= now_unix()),
        created_unix_ms: token.created_unix_ms,
        used_unix_ms: control.scim.borrow().used_unix_ms(token.tenant),
    }
}

fn audit(action: &'static str, token: &ScimToken) -> Audit {
    let target = format!("scim {}", token.name);
    Audit { action, tenant: Some(token.tenant), target, before: None, after: None }
}

/// Of the key enough to tell that it is another one.
fn summary(token: &ScimToken) -> String {
    let expires = token.expires_unix.map_or_else(|| "never".into(), |end| end.to_string());
    let key = serde_json::to_string(&token.key).unwrap_or_default();
    format!("expires={expires} key={}…", key.get(1..KEY_SHOWN + 1).unwrap_or_default())
}

/// Hex digits of a key's hash.
const KEY_SHOWN: usize = 8;
