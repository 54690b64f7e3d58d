//! Second factors of users: what operators and users themselves see of them, and how they go.

use aws_lc_rs::{digest, rand};
use data_encoding::BASE32_NOPAD;
use postern_model::admin::{Changed, FactorsView, Problem};
use postern_model::config::Tenant;
use postern_model::directory::User;
use postern_model::identity::{FactorKind, FactorView};
use postern_model::ids::UserId;
use postern_model::secret::SecretText;
use postern_model::session::AuthMethod;
use zeroize::Zeroizing;

use crate::control::{Actor, Audit, Control, Draft};
use crate::directory::find_user;
use crate::limits::{RECOVERY_CODE_BYTES, RECOVERY_CODES};
use crate::problem::{not_found_among, problem};
use crate::sessions;
use crate::store::FactorChange;
use crate::store::factors::{StoredFactors, StoredKey};

/// `user factor list`.
pub(crate) fn list(control: &Control, tenant: &Tenant, user: &str) -> Result<FactorsView, Problem> {
    let user = find_user(control, tenant, user)?;
    let stored = control.directory(|store| store.factors(user.id))?;
    Ok(FactorsView { login: user.login, factors: views(&stored), recovery_codes: stored.recovery })
}

/// `user factor remove`: the user's sessions end, for the factor may be in other hands.
pub(crate) fn remove(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    user: &str,
    id: &str,
) -> Result<Changed, Problem> {
    let user = find_user(control, tenant, user)?;
    let mut draft = Draft::default();
    remove_from(control, &user, id, &mut draft)?;
    sessions::end_all_of(control, user.id, &mut draft);
    let version = control.commit(actor, draft)?;
    Ok(Changed { version, warnings: Vec::new() })
}

/// `user factor reset`: all of them, recovery codes too. The user sets up new ones where a second factor is demanded.
pub(crate) fn reset(control: &Control, actor: &Actor, tenant: &Tenant, user: &str) -> Result<Changed, Problem> {
    let user = find_user(control, tenant, user)?;
    let stored = control.directory(|store| store.factors(user.id))?;
    if !stored.any() && stored.recovery == 0 {
        return Err(problem("not-found", format!("{} has no second factor", user.login)));
    }
    let mut draft = Draft::default();
    let all = views(&stored).iter().map(|view| view.id.clone()).collect::<Vec<_>>().join(", ");
    draft.audit(audit("user.factor.reset", &user, Some(all), None));
    draft.factor(FactorChange::TotpRemoved(user.id));
    for key in &stored.keys {
        draft.factor(FactorChange::KeyRemoved(user.id, key.credential.clone()));
    }
    draft.factor(FactorChange::RecoveryPut(user.id, Vec::new()));
    sessions::end_all_of(control, user.id, &mut draft);
    let version = control.commit(actor, draft)?;
    Ok(Changed { version, warnings: Vec::new() })
}

/// One factor goes; with the last one go the recovery codes.
pub(crate) fn remove_from(control: &Control, user: &User, id: &str, draft: &mut Draft) -> Result<(), Problem> {
    let stored = control.directory(|store| store.factors(user.id))?;
    let change = match stored.keys.iter().find(|key| key_id(key) == id) {
        Some(key) => FactorChange::KeyRemoved(user.id, key.credential.clone()),
        None if id == TOTP && stored.totp.is_some() => FactorChange::TotpRemoved(user.id),
        None => {
            let views = views(&stored);
            return Err(not_found_among("second factor", id, views.iter().map(|view| view.id.as_str())));
        }
    };
    draft.audit(audit("user.factor.remove", user, Some(id.to_owned()), None));
    draft.factor(change);
    if views(&stored).len() == 1 {
        draft.factor(FactorChange::RecoveryPut(user.id, Vec::new()));
    }
    Ok(())
}

/// What may be seen of a user's factors.
pub(crate) fn views(stored: &StoredFactors) -> Vec<FactorView> {
    let totp = stored.totp.as_ref().map(|totp| FactorView {
        id: TOTP.into(),
        kind: FactorKind::Totp,
        name: Default::default(),
        created_unix: totp.created_unix,
        used_unix: Some(totp.step * 30),
    });
    let keys = stored.keys.iter().map(|key| FactorView {
        id: key_id(key),
        kind: FactorKind::Key,
        name: key.name.clone(),
        created_unix: key.created_unix,
        used_unix: Some(key.used_unix),
    });
    totp.into_iter().chain(keys).collect()
}

/// Ten of 80 random bits each, in groups of four: nobody finds one by trying, so that a plain hash keeps them.
pub(crate) fn recovery_codes() -> Option<Vec<SecretText>> {
    let mut codes = Vec::with_capacity(RECOVERY_CODES);
    for _ in 0..RECOVERY_CODES {
        let mut bytes = Zeroizing::new([0; RECOVERY_CODE_BYTES]);
        rand::fill(&mut *bytes).ok()?;
        let text = Zeroizing::new(BASE32_NOPAD.encode(&*bytes).to_ascii_lowercase());
        let groups: Vec<&str> = text.as_bytes().chunks(4).filter_map(|group| str::from_utf8(group).ok()).collect();
        codes.push(SecretText::new(groups.join("-")));
    }
    Some(codes)
}

/// What a recovery code is known by, with whatever spaces, hyphens and capitals it is typed.
pub(crate) fn recovery_hash(typed: &str) -> [u8; 32] {
    let letters = typed.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase());
    let code = Zeroizing::new(letters.collect::<String>());
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, code.as_bytes()).as_ref());
    hash
}

/// Puts codes in place of those that there are.
pub(crate) fn put_codes(user: UserId, codes: &[SecretText]) -> FactorChange {
    FactorChange::RecoveryPut(user, codes.iter().map(|code| recovery_hash(code.expose())).collect())
}

/// A record of the audit log; nothing of a factor is in it but what it is.
pub(crate) fn audit(action: &'static str, user: &User, before: Option<String>, after: Option<&str>) -> Audit {
    let target = format!("user {} ({})", user.login, user.id);
    Audit { action, tenant: Some(user.id.tenant), target, before, after: after.map(str::to_owned) }
}

/// What is added, for the audit log.
pub(crate) const fn kind(method: AuthMethod) -> &'static str {
    match method {
        AuthMethod::OneTimePassword => TOTP,
        AuthMethod::HardwareKey => "key",
        AuthMethod::Password
        | AuthMethod::MultiFactor
        | AuthMethod::Integrated
        | AuthMethod::SoftwareKey
        | AuthMethod::Federated => "other",
    }
}

fn key_id(key: &StoredKey) -> String {
    let digest = digest::digest(&digest::SHA256, &key.credential);
    format!("key-{}", hex::encode(digest.as_ref().get(..8).unwrap_or_default()))
}

const TOTP: &str = "totp";

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn recovery_codes_are_many_different_and_known_however_typed() {
        let codes = recovery_codes().unwrap();
        let hashes: BTreeSet<_> = codes.iter().map(|code| recovery_hash(code.expose())).collect();
        assert_eq!((codes.len(), hashes.len()), (10, 10));
        let code = codes[0].expose();
        assert_eq!((code.len(), code.matches('-').count()), (19, 3));
        assert_eq!(recovery_hash(&code.to_uppercase().replace('-', " ")), recovery_hash(code));
        assert_ne!(recovery_hash(""), recovery_hash(code));
    }
}
