//! Names of attributes are the same whatever their case (RFC 7643 §2.1); what of a resource an answer shows.

use serde_json::{Map, Value, json};

use super::{AttributePath, ScimError};

/// A resource's `meta`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// When it was made, RFC 3339.
    pub created: Option<String>,
    /// When it was changed last, RFC 3339.
    pub last_modified: Option<String>,
    /// Its ETag.
    pub version: String,
    /// Its place.
    pub location: String,
}

impl Meta {
    pub(super) fn to_json(&self, kind: &str) -> Value {
        let mut meta = json!({"resourceType": kind, "version": self.version, "location": self.location});
        for (name, value) in [("created", &self.created), ("lastModified", &self.last_modified)] {
            if let Some(value) = value {
                meta[name] = value.as_str().into();
            }
        }
        meta
    }
}

/// The attributes that an answer shows (RFC 7644 §3.9).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Projection {
    /// All.
    #[default]
    All,
    /// These, and what is always shown.
    Only(Vec<AttributePath>),
    /// All but these.
    Without(Vec<AttributePath>),
}

impl Projection {
    /// Reads `attributes` and `excludedAttributes`: names with commas between, one of the two.
    pub fn parse(attributes: Option<&str>, excluded: Option<&str>) -> Result<Self, ScimError> {
        let paths = |text: &str| -> Result<Vec<AttributePath>, ScimError> {
            text.split(',').map(|path| AttributePath::parse(path.trim())).collect()
        };
        match (attributes.filter(|text| !text.is_empty()), excluded.filter(|text| !text.is_empty())) {
            (None, None) => Ok(Self::All),
            (Some(only), None) => Ok(Self::Only(paths(only)?)),
            (None, Some(without)) => Ok(Self::Without(paths(without)?)),
            (Some(_), Some(_)) => Err(ScimError::bad(
                super::ScimType::InvalidValue,
                "attributes and excludedAttributes cannot both be given",
            )),
        }
    }

    /// Whether an attribute with this name is shown, at least in part.
    #[must_use]
    pub fn shows(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(paths) => paths.iter().any(|path| path.name.eq_ignore_ascii_case(name)),
            Self::Without(paths) => {
                !paths.iter().any(|path| path.name.eq_ignore_ascii_case(name) && path.sub.is_none())
            }
        }
    }

    /// What is left of a resource.
    #[must_use]
    pub fn of(&self, resource: Value) -> Value {
        let Value::Object(mut all) = resource else { return resource };
        match self {
            Self::All => {}
            Self::Only(paths) => {
                let mut shown = Map::new();
                for name in ALWAYS {
                    shown.extend(all.get(*name).cloned().map(|value| ((*name).to_owned(), value)));
                }
                for path in paths {
                    copy(&all, &mut shown, path);
                }
                all = shown;
            }
            Self::Without(paths) => paths.iter().filter(|path| !is_always(path)).for_each(|path| cut(&mut all, path)),
        }
        Value::Object(all)
    }
}

fn is_always(path: &AttributePath) -> bool {
    path.schema.is_none() && ALWAYS.iter().any(|name| path.name.eq_ignore_ascii_case(name))
}

fn copy(from: &Map<String, Value>, to: &mut Map<String, Value>, path: &AttributePath) {
    if let Some(schema) = &path.schema {
        let Some(Value::Object(inner)) = from.get(schema.as_str()) else { return };
        let Value::Object(into) = to.entry(schema.clone()).or_insert_with(|| json!({})) else { return };
        copy(inner, into, &AttributePath { schema: None, ..path.clone() });
        return;
    }
    let Some(name) = key(from, &path.name) else { return };
    let value = match &path.sub {
        None => from[&name].clone(),
        Some(sub) => map_objects(&from[&name], |object| {
            key(object, sub).map(|key| (key.clone(), object[&key].clone())).into_iter().collect()
        }),
    };
    match (to.get_mut(&name), value) {
        (Some(Value::Object(shown)), Value::Object(more)) => shown.extend(more),
        (_, value) => drop(to.insert(name, value)),
    }
}

fn cut(from: &mut Map<String, Value>, path: &AttributePath) {
    if let Some(schema) = &path.schema {
        if let Some(Value::Object(inner)) = from.get_mut(schema.as_str()) {
            cut(inner, &AttributePath { schema: None, ..path.clone() });
        }
        return;
    }
    let Some(name) = key(from, &path.name) else { return };
    match &path.sub {
        None => drop(from.remove(&name)),
        Some(sub) => {
            let left = map_objects(&from[&name], |object| {
                let mut left = object.clone();
                if let Some(key) = key(object, sub) {
                    left.remove(&key);
                }
                left
            });
            from.insert(name, left);
        }
    }
}

/// The same with every object in it, or the one that it is, made another.
fn map_objects(value: &Value, map: impl Fn(&Map<String, Value>) -> Map<String, Value>) -> Value {
    match value {
        Value::Object(object) => Value::Object(map(object)),
        Value::Array(items) => {
            let each = items.iter().map(|item| item.as_object().map_or_else(|| item.clone(), |o| map(o).into()));
            Value::Array(each.collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// How an object spells this name.
pub(super) fn key(object: &Map<String, Value>, name: &str) -> Option<String> {
    if object.contains_key(name) {
        return Some(name.to_owned());
    }
    object.keys().find(|key| key.eq_ignore_ascii_case(name)).cloned()
}

/// What an object has under this name; `null` is nothing.
pub(super) fn field<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let found =
        object.get(name).or_else(|| object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, v)| v));
    found.filter(|value| !value.is_null())
}

/// A page of resources (RFC 7644 §3.4.2).
#[must_use]
pub fn list_json(resources: Vec<Value>, total: usize, start: usize) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": total,
        "startIndex": start,
        "itemsPerPage": resources.len(),
        "Resources": resources,
    })
}

/// Shown whatever is asked for.
const ALWAYS: &[&str] = &["schemas", "id"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_shows_what_is_asked_for() {
        let resource = json!({
            "schemas": ["s"], "id": "u1-1", "userName": "anna", "name": {"givenName": "A", "familyName": "B"},
            "emails": [{"value": "a@b", "type": "work"}],
        });
        let of = |only, without| Projection::parse(only, without).unwrap().of(resource.clone());
        let only = of(Some("USERNAME, emails.value,name.givenName,name.familyName"), None);
        let expected = json!({
            "schemas": ["s"], "id": "u1-1", "userName": "anna", "emails": [{"value": "a@b"}],
            "name": {"givenName": "A", "familyName": "B"},
        });
        assert_eq!(only, expected);
        let without = of(None, Some("emails,name.givenName,id"));
        assert_eq!(without, json!({"schemas": ["s"], "id": "u1-1", "userName": "anna", "name": {"familyName": "B"}}));
        assert!(Projection::parse(Some("a"), Some("b")).is_err() && Projection::parse(Some("a,,b"), None).is_err());
        assert!(!Projection::parse(None, Some("members")).unwrap().shows("Members"));
    }
}
