//! Users as SCIM writes them. What it says of a user and rules may ask for becomes an attribute; what is unknown here is ignored,
//! as the standard has it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::json::field;
use super::{ENTERPRISE_SCHEMA, EXTERNAL_ID_BYTES_MAX, Meta, ScimError, USER_SCHEMA};
use crate::directory::{
    AttributeName, DISPLAY_NAME_BYTES_MAX, Line, LoginInvalid, LoginName, MailAddress, User, VALUE_BYTES_MAX,
};
use crate::secret::SecretText;

/// What a client says that a user is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserInput {
    /// `userName`; capitals are the same as small letters.
    pub login: LoginName,
    /// `displayName`.
    pub display_name: Line<DISPLAY_NAME_BYTES_MAX>,
    /// The primary address of `emails`, else the one for work, else the first.
    pub mail: Option<MailAddress>,
    /// Every attribute that SCIM has a word for: its value, or that there is none.
    pub attributes: BTreeMap<AttributeName, Option<Line<VALUE_BYTES_MAX>>>,
    /// `active`, true unless it is said.
    pub enabled: bool,
    /// `externalId`.
    pub external_id: Option<Line<EXTERNAL_ID_BYTES_MAX>>,
    /// `password`, which no answer holds.
    pub password: Option<SecretText>,
}

impl UserInput {
    /// Reads a user who is said as a whole: without a `displayName` it is `name.formatted`, else both parts of the name.
    pub fn read(body: &Value) -> Result<Self, ScimError> {
        let input = Self::read_exactly(body)?;
        let name = body.as_object().map(|body| parts(body, "name")).transpose()?.flatten();
        match name.filter(|_| input.display_name.as_str().is_empty()) {
            Some(name) => Ok(Self { display_name: whole_name(name)?, ..input }),
            None => Ok(input),
        }
    }

    /// Reads a user of whom parts were changed: what was taken away stays away.
    pub fn read_exactly(body: &Value) -> Result<Self, ScimError> {
        let Some(body) = body.as_object() else { return Err(ScimError::value("the body", "a user is an object")) };
        let login = text(body, "userName")?.ok_or_else(|| ScimError::value("userName", "a user has one"))?;
        let enabled = match field(body, "active") {
            None => true,
            Some(Value::Bool(active)) => *active,
            // Entra ID writes it as text.
            Some(Value::String(active)) if active.eq_ignore_ascii_case("true") => true,
            Some(Value::String(active)) if active.eq_ignore_ascii_case("false") => false,
            Some(_) => return Err(ScimError::value("active", "it is true or false")),
        };
        Ok(Self {
            login: login_name(login)?,
            display_name: line(body, "displayName")?.unwrap_or_default(),
            mail: mail(body)?,
            attributes: attributes(body)?,
            enabled,
            external_id: external_id(body)?,
            password: text(body, "password")?.map(|password| SecretText::new(password.to_owned())),
        })
    }
}

/// A user, with what the client calls them.
#[must_use]
pub fn user_json(user: &User, external_id: Option<&str>, meta: &Meta) -> Value {
    let mut json = json!({
        "schemas": [USER_SCHEMA],
        "id": user.id.to_string(),
        "userName": user.login.as_str(),
        "active": user.enabled,
        "meta": meta.to_json("User"),
    });
    if let Some(external_id) = external_id {
        json["externalId"] = external_id.into();
    }
    if !user.display_name.as_str().is_empty() {
        json["displayName"] = user.display_name.as_str().into();
    }
    if let Some(mail) = &user.mail {
        json["emails"] = json!([{"value": mail.as_str(), "type": "work", "primary": true}]);
    }
    for Mapped { holder, name, attribute } in MAPPED {
        let Some((_, value)) = user.attributes.iter().find(|(known, _)| known.as_str() == *attribute) else { continue };
        match holder {
            None => json[*name] = value.as_str().into(),
            Some(holder) => json[*holder][*name] = value.as_str().into(),
        }
    }
    if json.get(ENTERPRISE_SCHEMA).is_some() {
        json["schemas"] = json!([USER_SCHEMA, ENTERPRISE_SCHEMA]);
    }
    json
}

/// `externalId`; empty is none.
pub(super) fn external_id(body: &Map<String, Value>) -> Result<Option<Line<EXTERNAL_ID_BYTES_MAX>>, ScimError> {
    line(body, "externalId")
}

/// A line of text under a name; empty is none.
pub(super) fn line<const MAX: usize>(body: &Map<String, Value>, name: &str) -> Result<Option<Line<MAX>>, ScimError> {
    text(body, name)?.map(|text| text.parse().map_err(|why| ScimError::value(name, why))).transpose()
}

fn text<'a>(body: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, ScimError> {
    match field(body, name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(_) => Err(ScimError::value(name, "it is text")),
    }
}

fn login_name(text: &str) -> Result<LoginName, ScimError> {
    match text.parse() {
        Ok(login) | Err(LoginInvalid::Case { lower: login, .. }) => Ok(login),
        Err(wrong @ LoginInvalid::Malformed(_)) => Err(ScimError::value("userName", wrong)),
    }
}

fn whole_name(name: &Map<String, Value>) -> Result<Line<DISPLAY_NAME_BYTES_MAX>, ScimError> {
    if let Some(name) = line(name, "formatted")? {
        return Ok(name);
    }
    let both = [text(name, "givenName")?, text(name, "familyName")?];
    let both = both.into_iter().flatten().collect::<Vec<_>>().join(" ");
    both.parse().map_err(|why| ScimError::value("name", why))
}

fn mail(body: &Map<String, Value>) -> Result<Option<MailAddress>, ScimError> {
    let wrong = || ScimError::value("emails", "it is a list of objects with a value");
    let emails = match field(body, "emails") {
        None => return Ok(None),
        Some(Value::Array(emails)) => emails,
        Some(_) => return Err(wrong()),
    };
    let emails: Vec<&Map<String, Value>> =
        emails.iter().map(|email| email.as_object().ok_or_else(wrong)).collect::<Result<_, _>>()?;
    let is_primary = |email: &Map<String, Value>| field(email, "primary").is_some_and(|primary| primary == true);
    let is_work = |email: &Map<String, Value>| field(email, "type").is_some_and(|kind| kind == "work");
    let chosen = emails.iter().find(|email| is_primary(email)).or_else(|| emails.iter().find(|email| is_work(email)));
    let Some(chosen) = chosen.or(emails.first()) else { return Ok(None) };
    text(chosen, "value")?.map(|mail| mail.parse().map_err(|why| ScimError::value("emails", why))).transpose()
}

fn attributes(body: &Map<String, Value>) -> Result<BTreeMap<AttributeName, Option<Line<VALUE_BYTES_MAX>>>, ScimError> {
    let mut attributes = BTreeMap::new();
    for Mapped { holder, name, attribute } in MAPPED {
        let value = match holder {
            None => line(body, name)?,
            Some(holder) => parts(body, holder)?.map(|parts| line(parts, name)).transpose()?.flatten(),
        };
        let attribute = attribute.parse().map_err(|why| ScimError::value(name, why))?;
        attributes.insert(attribute, value);
    }
    Ok(attributes)
}

fn parts<'a>(body: &'a Map<String, Value>, name: &str) -> Result<Option<&'a Map<String, Value>>, ScimError> {
    match field(body, name) {
        None => Ok(None),
        Some(Value::Object(parts)) => Ok(Some(parts)),
        Some(_) => Err(ScimError::value(name, "it is an object")),
    }
}

/// An attribute of SCIM and the one of the directory that it is kept as.
pub(super) struct Mapped {
    /// What it is a part of.
    pub(super) holder: Option<&'static str>,
    pub(super) name: &'static str,
    pub(super) attribute: &'static str,
}

const fn mapped(holder: Option<&'static str>, name: &'static str, attribute: &'static str) -> Mapped {
    Mapped { holder, name, attribute }
}

pub(super) const MAPPED: &[Mapped] = &[
    mapped(Some("name"), "givenName", "given_name"),
    mapped(Some("name"), "familyName", "family_name"),
    mapped(None, "nickName", "nick_name"),
    mapped(None, "title", "title"),
    mapped(None, "userType", "user_type"),
    mapped(None, "preferredLanguage", "preferred_language"),
    mapped(None, "locale", "locale"),
    mapped(None, "timezone", "timezone"),
    mapped(Some(ENTERPRISE_SCHEMA), "employeeNumber", "employee_number"),
    mapped(Some(ENTERPRISE_SCHEMA), "costCenter", "cost_center"),
    mapped(Some(ENTERPRISE_SCHEMA), "organization", "organization"),
    mapped(Some(ENTERPRISE_SCHEMA), "division", "division"),
    mapped(Some(ENTERPRISE_SCHEMA), "department", "department"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::UserKind;
    use crate::ids::{TenantId, UserId};

    fn meta() -> Meta {
        Meta { created: None, last_modified: None, version: "W/\"1\"".into(), location: "https://x/".into() }
    }

    #[test]
    fn a_user_reads_back_as_it_was_written() {
        let body = json!({
            "username": "Anna@Example.com", "externalId": "7", "active": "False", "name": {"givenName": "Anna", "familyName": "Berg"},
            "emails": [{"value": "a@home.example"}, {"value": "a@work.example", "type": "work"}], "title": "", "nickName": null,
            "roles": ["x"], "password": "hidden one", ENTERPRISE_SCHEMA: {"Department": "Sales", "manager": {"value": "1"}},
        });
        let input = UserInput::read(&body).unwrap();
        assert_eq!((input.login.as_str(), input.enabled), ("anna@example.com", false));
        assert_eq!(input.mail.as_ref().map(MailAddress::as_str), Some("a@work.example"));
        assert!(!format!("{input:?}").contains("hidden one"));
        let user = User {
            id: UserId::new(TenantId::DEFAULT, 1),
            login: input.login.clone(),
            display_name: input.display_name.clone(),
            mail: input.mail.clone(),
            attributes: input.attributes.iter().filter_map(|(k, v)| Some((k.clone(), v.clone()?))).collect(),
            kind: UserKind::Member,
            enabled: input.enabled,
            created_unix_ms: 0,
            password_set_unix_ms: None,
        };
        let json = user_json(&user, Some("7"), &meta());
        let expected = json!({
            "schemas": [USER_SCHEMA, ENTERPRISE_SCHEMA], "id": "u1-1", "externalId": "7", "userName": "anna@example.com",
            "active": false, "displayName": "Anna Berg", "name": {"givenName": "Anna", "familyName": "Berg"},
            "emails": [{"value": "a@work.example", "type": "work", "primary": true}],
            ENTERPRISE_SCHEMA: {"department": "Sales"},
            "meta": {"resourceType": "User", "version": "W/\"1\"", "location": "https://x/"},
        });
        assert_eq!(json, expected);
        assert_eq!(UserInput::read(&json).unwrap(), UserInput { password: None, ..input });
        let nameless = UserInput::read_exactly(&body).unwrap().display_name;
        assert_eq!(nameless.as_str(), "", "what was taken away stays away");
    }

    #[test]
    fn what_no_user_can_be_is_refused_by_name() {
        for (body, says) in [
            (json!([]), "a user is an object"),
            (json!({}), "userName"),
            (json!({"userName": 7}), "userName: it is text"),
            (json!({"userName": "a b"}), "userName"),
            (json!({"userName": "a", "active": 1}), "active"),
            (json!({"userName": "a", "displayName": "a\nb"}), "displayName: control"),
            (json!({"userName": "a", "emails": "a@b"}), "emails"),
            (json!({"userName": "a", "emails": [{"value": "nowhere"}]}), "emails"),
            (json!({"userName": "a", "name": "x"}), "name: it is an object"),
            (json!({"userName": "a", "title": "x".repeat(1_025)}), "title"),
            (json!({"userName": "a", "externalId": "x".repeat(257)}), "externalId"),
        ] {
            let error = UserInput::read(&body).unwrap_err();
            assert!(error.detail.contains(says), "{body}: {error}");
        }
    }
}
