//! From an entry to what control is told. What control could not take is left out and reported; who is disabled is told
//! whatever else is wrong.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use postern_model::directory_sync::{Digest, Member, ObjectId, SourceSettings, SyncGroup, SyncUser};
use serde::Serialize;

use crate::entry::Entry;

/// Attributes of users that are asked for.
pub(crate) fn user_attributes(settings: &SourceSettings) -> Vec<&str> {
    let mut names = vec![
        settings.id_attribute.as_str(),
        &settings.display_name_attribute,
        &settings.mail_attribute,
        &settings.changed_attribute,
    ];
    names.extend(settings.login_attributes.iter().map(String::as_str));
    names.extend(settings.attributes.values().map(String::as_str));
    names.extend(STATE_ATTRIBUTES);
    names.sort_unstable_by_key(|name| name.to_ascii_lowercase());
    names.dedup_by_key(|name| name.to_ascii_lowercase());
    names
}

/// A user of this id, and what is wrong with the entry.
pub(crate) fn user(settings: &SourceSettings, id: ObjectId, entry: &Entry, now_unix: u64) -> (SyncUser, Vec<String>) {
    let mut wrong = Vec::new();
    let login = settings.login_attributes.iter().find(|name| entry.bytes(name).is_some());
    let login = match login {
        None => {
            wrong.push(format!("has none of {}: no login name", settings.login_attributes.join(", ")));
            None
        }
        Some(name) => parsed(entry, name, |text| text.to_ascii_lowercase(), &mut wrong),
    };
    let plain = |text: &str| text.to_owned();
    let attributes = settings.attributes.iter();
    let attributes: BTreeMap<_, _> =
        attributes.map(|(name, from)| (name.clone(), parsed(entry, from, plain, &mut wrong))).collect();
    let mut user = SyncUser {
        id,
        digest: Digest::default(),
        login,
        display_name: parsed(entry, &settings.display_name_attribute, plain, &mut wrong).unwrap_or_default(),
        mail: parsed(entry, &settings.mail_attribute, plain, &mut wrong),
        // What is empty cannot be told from what is not there.
        attributes: attributes.into_iter().map(|(name, value)| (name, value.filter(is_something))).collect(),
        enabled: is_enabled(entry, now_unix),
    };
    user.digest = digest_of(&user);
    (user, wrong)
}

/// A group of this id, without its members.
pub(crate) fn group(settings: &SourceSettings, id: ObjectId, entry: &Entry) -> Result<SyncGroup, String> {
    let mut wrong = Vec::new();
    let name = &settings.group_name_attribute;
    let display_name = parsed(entry, name, str::to_owned, &mut wrong).filter(is_something);
    match (display_name, wrong.pop()) {
        (Some(display_name), None) => Ok(SyncGroup { id, display_name }),
        (_, Some(wrong)) => Err(wrong),
        (None, None) => Err(format!("has no {name}: no name")),
    }
}

/// Of a group with its members, which are in order.
pub(crate) fn group_digest(group: &SyncGroup, members: &[Member]) -> Digest {
    digest_of(&(group, members))
}

/// What an entry is called for ever; without it, it is nobody.
pub(crate) fn id(settings: &SourceSettings, entry: &Entry) -> Result<ObjectId, String> {
    let name = &settings.id_attribute;
    let bytes = entry.bytes(name).ok_or_else(|| format!("has no {name}"))?;
    let is_binary = BINARY_IDS.iter().any(|binary| name.eq_ignore_ascii_case(binary));
    let text = if is_binary { hex::encode(bytes) } else { String::from_utf8_lossy(bytes).to_ascii_lowercase() };
    text.parse().map_err(|error| format!("{name}: {error}"))
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
    entry: &Entry,
    name: &str,
    spelling: impl Fn(&str) -> String,
    wrong: &mut Vec<String>,
) -> Option<T> {
    let bytes = entry.bytes(name)?;
    let Ok(text) = std::str::from_utf8(bytes) else {
        wrong.push(format!("{name} is no text: left out"));
        return None;
    };
    spelling(text).parse().map_err(|error| wrong.push(format!("{name}: {error}: left out"))).ok()
}

fn is_something<const MAX: usize>(line: &postern_model::directory::Line<MAX>) -> bool {
    !line.as_str().is_empty()
}

/// Whether the directory lets the user sign in, as far as their entry says so.
fn is_enabled(entry: &Entry, now_unix: u64) -> bool {
    let control: u64 = entry.text("userAccountControl").and_then(|text| text.parse().ok()).unwrap_or(0);
    let expires: u64 = entry.text("accountExpires").and_then(|text| text.parse().ok()).unwrap_or(0);
    let has_expired = (1..FILETIME_NEVER).contains(&expires) && expires / 10_000_000 <= now_unix + FILETIME_EPOCH_S;
    // Other times are of a lock that ends by itself, after wrong passwords.
    let is_locked = entry.text("pwdAccountLockedTime") == Some(LOCKED_FOR_GOOD);
    let is_locked_389 = entry.text("nsAccountLock").is_some_and(|text| text.eq_ignore_ascii_case("true"));
    control & ACCOUNT_DISABLE == 0 && !has_expired && !is_locked && !is_locked_389
}

fn digest_of(value: &impl Serialize) -> Digest {
    let json = serde_json::to_vec(value).unwrap_or_default();
    hex::encode(&digest(&SHA256, &json).as_ref()[..16]).parse().unwrap_or_default()
}

/// What says whether a user may sign in: Active Directory's, the password policy's (draft-behera-ldap-password-policy §5.3.3),
/// 389 Directory Server's.
const STATE_ATTRIBUTES: [&str; 4] = ["userAccountControl", "accountExpires", "pwdAccountLockedTime", "nsAccountLock"];
const BINARY_IDS: [&str; 2] = ["objectGUID", "mS-DS-ConsistencyGuid"];
const ACCOUNT_DISABLE: u64 = 2;
const LOCKED_FOR_GOOD: &str = "000001010000Z";
/// Seconds from 1601, where FILETIME begins, to 1970.
const FILETIME_EPOCH_S: u64 = 11_644_473_600;
const FILETIME_NEVER: u64 = 0x7fff_ffff_ffff_ffff;

#[cfg(test)]
mod tests {
    use super::*;
    use postern_model::directory_sync::SourceKind;

    const NOW: u64 = 1_800_000_000;

    fn ldap(attributes: &[(&str, &[u8])]) -> Result<(SyncUser, Vec<String>), String> {
        let base: [(&str, &[u8]); 2] = [("entryUUID", b"0A21F0F2-8d2a-4f8e-bf98-7363c4aed4ef"), ("uid", b"Anna.Berg")];
        let all = [&base[..], attributes].concat();
        user(&SourceSettings::of(SourceKind::Ldap), &Entry::of("uid=anna", &all), NOW)
    }

    fn user(settings: &SourceSettings, entry: &Entry, now_unix: u64) -> Result<(SyncUser, Vec<String>), String> {
        Ok(super::user(settings, id(settings, entry)?, entry, now_unix))
    }

    #[test]
    fn users_are_mapped() {
        let (user, wrong) = ldap(&[("cn", b"Anna Berg"), ("mail", b"a@b.example"), ("sn", b"Berg")]).unwrap();
        assert_eq!(wrong, Vec::<String>::new());
        assert_eq!(user.id.as_str(), "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef");
        assert_eq!(user.login.unwrap().as_str(), "anna.berg");
        let family = user.attributes.get(&"family_name".parse().unwrap()).unwrap();
        assert_eq!((family.as_ref().unwrap().as_str(), user.enabled), ("Berg", true));
        assert_eq!(user.attributes.get(&"title".parse().unwrap()), Some(&None), "told to be taken away");
    }

    #[test]
    fn active_directory_has_its_own_names_and_states() {
        let settings = SourceSettings::of(SourceKind::ActiveDirectory);
        let of = |control: &str, expires: &str| {
            let attributes: [(&str, &[u8]); 5] = [
                ("objectGUID", &[0xff, 0, 0x0a, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]),
                ("userPrincipalName", b"Anna@Corp.Example"),
                ("sAMAccountName", b"anna"),
                ("userAccountControl", control.as_bytes()),
                ("accountExpires", expires.as_bytes()),
            ];
            user(&settings, &Entry::of("CN=Anna", &attributes), NOW).unwrap().0
        };
        let anna = of("512", "9223372036854775807");
        assert_eq!((anna.id.as_str(), anna.enabled), ("ff000a0102030405060708090a0b0c0d", true));
        assert_eq!(anna.login.unwrap().as_str(), "anna@corp.example");
        let upn = anna.attributes.get(&"onprem_upn".parse().unwrap()).unwrap();
        assert_eq!(upn.as_ref().unwrap().as_str(), "Anna@Corp.Example", "a realm keeps its capitals");
        assert!(!of("514", "0").enabled, "disabled");
        assert!(of("66048", "0").enabled, "never expires");
        assert!(!of("512", "116444736010000000").enabled, "expired in 1970");
        assert!(of("512", "200000000000000000").enabled, "expires in 2234");
    }

    #[test]
    fn locked_accounts_are_disabled() {
        assert!(!ldap(&[("pwdAccountLockedTime", b"000001010000Z")]).unwrap().0.enabled);
        assert!(ldap(&[("pwdAccountLockedTime", b"20260101000000Z")]).unwrap().0.enabled);
        assert!(!ldap(&[("nsAccountLock", b"TRUE")]).unwrap().0.enabled);
    }

    #[test]
    fn what_control_could_not_take_is_left_out_and_said() {
        let (user, wrong) = ldap(&[
            ("cn", "a\u{202e}b".as_bytes()),
            ("mail", b"nowhere"),
            ("sn", b"\xff\xfe"),
            ("title", &[b'x'; 2_000]),
        ])
        .unwrap();
        assert_eq!((user.display_name.as_str(), user.mail, wrong.len()), ("", None, 4), "{wrong:?}");
        let base: [(&str, &[u8]); 2] = [("entryUUID", b"a-1"), ("uid", b"a b\n")];
        let settings = SourceSettings::of(SourceKind::Ldap);
        let (nameless, wrong) = self::user(&settings, &Entry::of("x", &base), NOW).unwrap();
        assert!(nameless.login.is_none() && wrong[0].contains("uid"), "{wrong:?}");
        assert!(self::user(&settings, &Entry::of("x", &base[1..]), NOW).unwrap_err().contains("entryUUID"));
    }

    #[test]
    fn a_digest_is_of_all_that_is_told() {
        let (one, _) = ldap(&[("cn", b"Anna")]).unwrap();
        let (same, _) = ldap(&[("cn", b"Anna"), ("unasked", b"x")]).unwrap();
        let (other, _) = ldap(&[("cn", b"Anne")]).unwrap();
        assert!(one.digest == same.digest && one.digest != other.digest && one.digest != Digest::default());
    }
}
