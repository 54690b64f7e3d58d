//! What of a directory is read, and how it is mapped. Where the directory is and what opens it is known on the process's own
//! host and nowhere else: whoever can change these settings cannot lead its password elsewhere.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::directory::{ATTRIBUTES_MAX, AttributeName};

/// Which attributes a directory has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SourceKind {
    /// Microsoft's, and Samba's.
    ActiveDirectory,
    /// RFC 4519 and RFC 2798 with `entryUUID` (RFC 4530): OpenLDAP, 389 Directory Server.
    Ldap,
}

/// What becomes of a user whom the directory has no longer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Gone {
    /// They cannot sign in, and stay with all that refers to them until somebody deletes them.
    #[default]
    Disable,
    /// They are deleted, with all that refers to them.
    Delete,
}

/// A source as operators set it up. Unknown keys are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceSettings {
    /// What the defaults of all others are.
    pub kind: SourceKind,
    /// The entry below which users are.
    pub users_base: String,
    /// Which entries below it are users (RFC 4515).
    pub users_filter: String,
    /// The entry below which groups are; without one no groups are read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups_base: Option<String>,
    /// Which entries below it are groups.
    pub groups_filter: String,
    /// What an entry is called for ever.
    pub id_attribute: String,
    /// Where the login name comes from: the first of these that an entry has.
    pub login_attributes: Vec<String>,
    /// The name for people.
    pub display_name_attribute: String,
    /// The mail address.
    pub mail_attribute: String,
    /// Attributes of users here, each with the directory's it comes from.
    pub attributes: BTreeMap<AttributeName, String>,
    /// A group's name.
    pub group_name_attribute: String,
    /// Who is in a group, as distinguished names.
    pub member_attribute: String,
    /// What grows with each change of an entry, or the time of it.
    pub changed_attribute: String,
    /// Seconds between two looks at what has changed.
    pub interval_s: u32,
    /// Seconds between two readings of everything, by which is known what is gone.
    pub full_every_s: u32,
    /// How many of a hundred users, or groups, may be gone at once.
    pub max_delete_percent: u8,
    /// What becomes of users who are gone.
    #[serde(default)]
    pub gone: Gone,
    /// Nothing is read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
}

/// Settings that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {what}")]
pub struct SettingsInvalid {
    /// Which.
    pub key: &'static str,
    /// What is wrong.
    pub what: String,
}

impl SourceSettings {
    /// The defaults for directories of a kind, with nothing to read yet.
    #[must_use]
    pub fn of(kind: SourceKind) -> Self {
        let ad = kind == SourceKind::ActiveDirectory;
        let pick = |of_ad: &str, other: &str| String::from(if ad { of_ad } else { other });
        let attributes: &[(&str, &str)] = if ad { AD_ATTRIBUTES } else { LDAP_ATTRIBUTES };
        let attributes = attributes.iter().filter_map(|(name, from)| Some((name.parse().ok()?, (*from).to_owned())));
        Self {
            kind,
            users_base: String::new(),
            users_filter: pick("(&(objectCategory=person)(objectClass=user))", "(objectClass=inetOrgPerson)"),
            groups_base: None,
            groups_filter: pick("(objectClass=group)", "(objectClass=groupOfNames)"),
            id_attribute: pick("objectGUID", "entryUUID"),
            login_attributes: if ad { vec!["userPrincipalName".into()] } else { vec!["uid".into()] },
            display_name_attribute: pick("displayName", "cn"),
            mail_attribute: "mail".into(),
            attributes: attributes.collect(),
            group_name_attribute: "cn".into(),
            member_attribute: "member".into(),
            changed_attribute: pick("uSNChanged", "modifyTimestamp"),
            interval_s: 30,
            full_every_s: 3_600,
            max_delete_percent: 20,
            gone: Gone::Disable,
            disabled: false,
        }
    }

    /// Refuses what cannot be asked of a directory, or would be asked too often.
    ///
    /// # Errors
    /// The first setting that is wrong.
    pub fn check(&self) -> Result<(), SettingsInvalid> {
        let wrong = |key, what: String| Err(SettingsInvalid { key, what });
        let bases = [("users_base", Some(&self.users_base)), ("groups_base", self.groups_base.as_ref())];
        for (key, base) in bases.into_iter().filter_map(|(key, base)| Some((key, base?))) {
            if !base.contains('=') || !is_line(base) {
                return wrong(key, format!("{base:?} is no distinguished name such as ou=people,dc=example,dc=com"));
            }
        }
        for (key, filter) in [("users_filter", &self.users_filter), ("groups_filter", &self.groups_filter)] {
            if !filter.starts_with('(') || !filter.ends_with(')') || !is_line(filter) {
                return wrong(key, format!("{filter:?} is no filter such as (objectClass=person)"));
            }
        }
        for (key, name) in self.names() {
            if !is_attribute(name) {
                return wrong(key, format!("{name:?} is not an attribute's name, such as mail"));
            }
        }
        if self.login_attributes.is_empty() || self.login_attributes.len() > LOGIN_ATTRIBUTES_MAX {
            return wrong("login_attributes", format!("1 to {LOGIN_ATTRIBUTES_MAX} are possible"));
        }
        if self.attributes.len() > ATTRIBUTES_MAX {
            return wrong("attributes", format!("at most {ATTRIBUTES_MAX} are possible"));
        }
        if !(INTERVAL_S_MIN..=DAY_S).contains(&self.interval_s) {
            return wrong("interval_s", format!("{INTERVAL_S_MIN} to {DAY_S} seconds are possible"));
        }
        if !(self.interval_s..=7 * DAY_S).contains(&self.full_every_s) {
            return wrong("full_every_s", format!("{} to {} seconds are possible", self.interval_s, 7 * DAY_S));
        }
        if self.max_delete_percent > 100 {
            return wrong("max_delete_percent", "0 to 100 are possible".into());
        }
        Ok(())
    }

    fn names(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let one = [
            ("id_attribute", self.id_attribute.as_str()),
            ("display_name_attribute", &self.display_name_attribute),
            ("mail_attribute", &self.mail_attribute),
            ("group_name_attribute", &self.group_name_attribute),
            ("member_attribute", &self.member_attribute),
            ("changed_attribute", &self.changed_attribute),
        ];
        let logins = self.login_attributes.iter().map(|name| ("login_attributes", name.as_str()));
        one.into_iter().chain(logins).chain(self.attributes.values().map(|name| ("attributes", name.as_str())))
    }
}

/// RFC 4512 §1.4: a descriptor.
fn is_attribute(name: &str) -> bool {
    let letters = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    letters && name.len() <= 63 && name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
}

fn is_line(text: &str) -> bool {
    text.len() <= TEXT_BYTES_MAX && !text.contains(char::is_control)
}

/// What single sign-on by Kerberos and rules of groups ask for (docs/kerberos.md).
const AD_ATTRIBUTES: &[(&str, &str)] = &[
    ("onprem_upn", "userPrincipalName"),
    ("sam_account_name", "sAMAccountName"),
    ("given_name", "givenName"),
    ("family_name", "sn"),
    ("department", "department"),
    ("title", "title"),
];
const LDAP_ATTRIBUTES: &[(&str, &str)] =
    &[("given_name", "givenName"), ("family_name", "sn"), ("department", "departmentNumber"), ("title", "title")];
const LOGIN_ATTRIBUTES_MAX: usize = 8;
const INTERVAL_S_MIN: u32 = 5;
const DAY_S: u32 = 86_400;
const TEXT_BYTES_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_good_once_there_is_something_to_read() {
        for kind in [SourceKind::ActiveDirectory, SourceKind::Ldap] {
            let mut settings = SourceSettings::of(kind);
            assert_eq!(settings.check().unwrap_err().key, "users_base");
            settings.users_base = "ou=people,dc=example,dc=com".into();
            settings.check().unwrap();
            assert!(settings.attributes.len() >= 4, "every default names an attribute");
        }
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        let good = SourceSettings { users_base: "dc=a".into(), ..SourceSettings::of(SourceKind::Ldap) };
        for (key, wrong) in [
            ("users_base", SourceSettings { users_base: "dc=a\n".into(), ..good.clone() }),
            ("groups_base", SourceSettings { groups_base: Some("people".into()), ..good.clone() }),
            ("users_filter", SourceSettings { users_filter: "objectClass=*".into(), ..good.clone() }),
            ("mail_attribute", SourceSettings { mail_attribute: "mail)(uid=*".into(), ..good.clone() }),
            ("login_attributes", SourceSettings { login_attributes: Vec::new(), ..good.clone() }),
            ("interval_s", SourceSettings { interval_s: 1, ..good.clone() }),
            ("full_every_s", SourceSettings { full_every_s: 6, ..good.clone() }),
            ("max_delete_percent", SourceSettings { max_delete_percent: 101, ..good.clone() }),
        ] {
            assert_eq!(wrong.check().unwrap_err().key, key);
        }
    }
}
