//! PATCH (RFC 7644 §3.5.2), with what Entra ID and Okta send besides: operations with capitals, paths as keys of a value
//! without a path.

use serde_json::{Map, Value, json};

use super::json::{field, key};
use super::{AttributePath, Filter, Literal, OPERATIONS_MAX, Operator, PatchPath, ScimError, ScimType, VALUES_MAX};

/// One operation.
#[derive(Debug, Clone, PartialEq)]
pub struct PatchOp {
    /// What is done.
    pub operation: Operation,
    /// Where.
    pub path: PatchPath,
    /// With what; `null` without.
    pub value: Value,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Joins what is there, or takes the place of a single value.
    Add,
    /// Takes the place of what is there.
    Replace,
    /// Takes it away.
    Remove,
}

impl PatchOp {
    /// Reads a request's body. An operation without a path becomes one for each attribute of its value.
    pub fn read(body: &Value) -> Result<Vec<Self>, ScimError> {
        let syntax = |detail: &str| ScimError::bad(ScimType::InvalidSyntax, detail);
        let operations = body.as_object().and_then(|body| field(body, "Operations")).and_then(Value::as_array);
        let operations = operations.ok_or_else(|| syntax("a PATCH has a list of Operations"))?;
        if operations.len() > OPERATIONS_MAX {
            return Err(ScimError::status(413, format!("a PATCH has at most {OPERATIONS_MAX} operations")));
        }
        let mut read = Vec::new();
        for operation in operations {
            let operation = operation.as_object().ok_or_else(|| syntax("an operation is an object"))?;
            let name = field(operation, "op").and_then(Value::as_str).unwrap_or_default();
            let kind = match name.to_ascii_lowercase().as_str() {
                "add" => Operation::Add,
                "replace" => Operation::Replace,
                "remove" => Operation::Remove,
                _ => return Err(syntax("op is add, replace or remove")),
            };
            let value = field(operation, "value").cloned().unwrap_or_default();
            match (field(operation, "path"), value) {
                (Some(Value::String(path)), value) => read.push(Self::at(kind, path, value)?),
                (Some(_), _) => return Err(syntax("a path is text")),
                (None, _) if kind == Operation::Remove => {
                    return Err(ScimError::bad(ScimType::NoTarget, "remove needs a path"));
                }
                (None, Value::Object(parts)) => {
                    for (path, value) in parts.into_iter().filter(|(path, _)| !is_schemas(path)) {
                        read.push(Self::at(kind, &path, value)?);
                    }
                }
                (None, _) => return Err(syntax("without a path the value is an object of attributes")),
            }
            if read.len() > OPERATIONS_MAX {
                return Err(ScimError::status(413, format!("a PATCH changes at most {OPERATIONS_MAX} attributes")));
            }
        }
        Ok(read)
    }

    fn at(operation: Operation, path: &str, value: Value) -> Result<Self, ScimError> {
        if operation == Operation::Add && value.is_null() {
            return Err(ScimError::value(path, "add needs a value"));
        }
        Ok(Self { operation, path: PatchPath::parse(path)?, value })
    }
}

fn is_schemas(path: &str) -> bool {
    path.eq_ignore_ascii_case("schemas")
}

/// Does the operations one after the other. A resource of which one fails is of no use any more.
pub fn apply(resource: &mut Map<String, Value>, operations: &[PatchOp]) -> Result<(), ScimError> {
    operations.iter().try_for_each(|operation| change(resource, operation))
}

fn change(resource: &mut Map<String, Value>, patch: &PatchOp) -> Result<(), ScimError> {
    let AttributePath { schema, name, sub } = &patch.path.attribute;
    if schema.is_none() && READ_ONLY.iter().any(|fixed| fixed.eq_ignore_ascii_case(name)) {
        return Err(ScimError::bad(ScimType::Mutability, format!("{name} is not for clients to change")));
    }
    // Nothing in its place is as good as taken away.
    let is_taken = patch.operation == Operation::Remove || patch.value.is_null();
    if is_taken && patch.path.attribute.is("active") {
        // Without it a user would be active, and one who was not would come back.
        return Err(ScimError::bad(ScimType::Mutability, "active cannot be taken away: replace it by true or false"));
    }
    let holder = match schema {
        None => resource,
        Some(schema) => {
            let extension = resource.entry(schema.clone()).or_insert_with(|| json!({}));
            extension.as_object_mut().ok_or_else(|| ScimError::value(schema, "it is an object"))?
        }
    };
    let name = key(holder, name).unwrap_or_else(|| name.clone());
    match (&patch.path.filter, sub) {
        (Some(filter), _) => filtered(holder, &name, filter, patch),
        (None, None) => whole(holder, &name, patch),
        (None, Some(sub)) => part(holder, &name, sub, patch),
    }
}

/// `displayName`, `emails`, `name`.
fn whole(holder: &mut Map<String, Value>, name: &str, patch: &PatchOp) -> Result<(), ScimError> {
    if patch.operation == Operation::Remove {
        holder.remove(name);
        return Ok(());
    }
    let is_add = patch.operation == Operation::Add;
    match (holder.get_mut(name), patch.value.clone()) {
        // Parts that are not given stay, of an extension as of `name`.
        (Some(Value::Object(there)), Value::Object(more)) => merge(there, more),
        (Some(Value::Array(there)), Value::Array(more)) if is_add => {
            more.into_iter().for_each(|value| join(there, value));
        }
        (Some(Value::Array(there)), value) if is_add => join(there, value),
        (_, value) => drop(holder.insert(name.to_owned(), value)),
    }
    check_values(name, holder.get(name))
}

/// `name.givenName`.
fn part(holder: &mut Map<String, Value>, name: &str, sub: &str, patch: &PatchOp) -> Result<(), ScimError> {
    let whole = match (holder.get_mut(name), patch.operation) {
        (None, Operation::Remove) => return Ok(()),
        (None, _) => holder.entry(name.to_owned()).or_insert_with(|| json!({})),
        (Some(whole), _) => whole,
    };
    match whole {
        Value::Object(whole) => set(whole, sub, patch),
        Value::Array(values) => {
            values.iter_mut().filter_map(Value::as_object_mut).for_each(|value| set(value, sub, patch))
        }
        // Entra ID writes `manager` and means `manager.value`.
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            return Err(ScimError::bad(ScimType::InvalidPath, format!("{name} has no parts")));
        }
    }
    Ok(())
}

/// `emails[type eq "work"]`, `emails[type eq "work"].value`.
fn filtered(holder: &mut Map<String, Value>, name: &str, filter: &Filter, patch: &PatchOp) -> Result<(), ScimError> {
    let values = holder.entry(name.to_owned()).or_insert_with(|| json!([]));
    let values = values.as_array_mut().ok_or_else(|| {
        ScimError::bad(ScimType::InvalidPath, format!("{name} has one value: there is nothing to choose from"))
    })?;
    if patch.operation == Operation::Remove && patch.path.sub.is_none() {
        values.retain(|value| !filter.matches(value));
        return Ok(());
    }
    if patch.operation == Operation::Add && !values.iter().any(|value| filter.matches(value)) {
        values.push(Value::Object(described(filter)));
    }
    let mut found = false;
    for value in values.iter_mut().filter(|value| filter.matches(value)) {
        found = true;
        match (&patch.path.sub, value, &patch.value) {
            (Some(sub), Value::Object(value), _) => set(value, sub, patch),
            (None, Value::Object(there), Value::Object(more)) => merge(there, more.clone()),
            (_, value, more) => *value = more.clone(),
        }
    }
    if !found && patch.operation == Operation::Replace {
        return Err(ScimError::bad(ScimType::NoTarget, format!("none of {name} is what the path asks for")));
    }
    check_values(name, holder.get(name))
}

/// The value that a filter describes: what Entra ID adds to.
fn described(filter: &Filter) -> Map<String, Value> {
    // Everything but equality says what it is not, or leaves it open.
    let equal = |filter: &Filter| {
        let Filter::Compare(AttributePath { schema: None, name, sub: None }, Operator::Eq, literal) = filter else {
            return None;
        };
        let value = match literal {
            Literal::Text(text) => text.as_str().into(),
            Literal::Bool(bool) => (*bool).into(),
            Literal::Number(_) | Literal::Null => return None,
        };
        Some((name.clone(), value))
    };
    filter.conditions().iter().filter_map(equal).collect()
}

fn set(holder: &mut Map<String, Value>, name: &str, patch: &PatchOp) {
    let name = key(holder, name).unwrap_or_else(|| name.to_owned());
    match patch.operation {
        Operation::Remove => drop(holder.remove(&name)),
        Operation::Add | Operation::Replace => drop(holder.insert(name, patch.value.clone())),
    }
}

fn merge(there: &mut Map<String, Value>, more: Map<String, Value>) {
    for (name, value) in more {
        let name = key(there, &name).unwrap_or(name);
        there.insert(name, value);
    }
}

/// A value that is there already is not there twice (RFC 7644 §3.5.2.1).
fn join(there: &mut Vec<Value>, value: Value) {
    if there.len() <= VALUES_MAX && !there.contains(&value) {
        there.push(value);
    }
}

fn check_values(name: &str, values: Option<&Value>) -> Result<(), ScimError> {
    match values {
        Some(Value::Array(values)) if values.len() > VALUES_MAX => {
            Err(ScimError::value(name, format!("it has at most {VALUES_MAX} values")))
        }
        Some(_) | None => Ok(()),
    }
}

/// What only the server says.
const READ_ONLY: &[&str] = &["id", "meta", "groups"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::ENTERPRISE_SCHEMA;
    use proptest::prelude::*;

    fn patched(resource: Value, operations: Value) -> Result<Value, ScimError> {
        let mut resource = resource.as_object().unwrap().clone();
        let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations});
        apply(&mut resource, &PatchOp::read(&body)?)?;
        Ok(resource.into())
    }

    #[test]
    fn what_entra_id_sends_is_done() {
        let anna = json!({"userName": "anna", "active": true, "emails": [{"type": "work", "value": "old@a"}]});
        let done = patched(
            anna,
            json!([
                {"op": "Replace", "path": "active", "value": "False"},
                {"op": "Replace", "path": "emails[type eq \"work\"].value", "value": "new@a"},
                {"op": "Add", "path": "phoneNumbers[type eq \"mobile\"].value", "value": "1"},
                {"op": "Add", "path": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department", "value": "x"},
                {"op": "add", "value": {"name.givenName": "A", "displayName": "Anna", "schemas": ["x"]}},
            ]),
        );
        let expected = json!({
            "userName": "anna", "active": "False", "emails": [{"type": "work", "value": "new@a"}],
            "phoneNumbers": [{"type": "mobile", "value": "1"}], ENTERPRISE_SCHEMA: {"department": "x"},
            "name": {"givenName": "A"}, "displayName": "Anna",
        });
        assert_eq!(done.unwrap(), expected);
    }

    #[test]
    fn what_okta_sends_is_done() {
        let done = patched(
            json!({"userName": "anna", "active": true}),
            json!([{"op": "replace", "value": {"active": false}}]),
        );
        assert_eq!(done.unwrap(), json!({"userName": "anna", "active": false}));
    }

    #[test]
    fn operations_follow_the_standard() {
        let user = json!({"name": {"givenName": "A", "familyName": "B"}, "emails": [{"value": "a"}, {"value": "b"}]});
        for (operation, expected) in [
            (
                json!({"op": "replace", "path": "NAME", "value": {"givenName": "C"}}),
                json!({"name": {"givenName": "C", "familyName": "B"}, "emails": [{"value": "a"}, {"value": "b"}]}),
            ),
            (
                json!({"op": "remove", "path": "name.givenname"}),
                json!({"name": {"familyName": "B"}, "emails": [{"value": "a"}, {"value": "b"}]}),
            ),
            (json!({"op": "remove", "path": "name"}), json!({"emails": [{"value": "a"}, {"value": "b"}]})),
            (
                json!({"op": "remove", "path": "emails[value eq \"a\"]"}),
                json!({"name": {"givenName": "A", "familyName": "B"}, "emails": [{"value": "b"}]}),
            ),
            (
                json!({"op": "add", "path": "emails", "value": [{"value": "a"}, {"value": "c"}]}),
                json!({"name": {"givenName": "A", "familyName": "B"}, "emails": [{"value": "a"}, {"value": "b"}, {"value": "c"}]}),
            ),
            (
                json!({"op": "replace", "path": "emails", "value": []}),
                json!({"name": {"givenName": "A", "familyName": "B"}, "emails": []}),
            ),
        ] {
            assert_eq!(patched(user.clone(), json!([operation])).unwrap(), expected, "{operation}");
        }
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        let user = json!({"name": {"givenName": "A"}, "title": "x", "emails": [{"value": "a"}]});
        let many: Vec<Value> = (0..=VALUES_MAX).map(|n| json!({"value": n.to_string()})).collect();
        for (operation, kind) in [
            (json!({"op": "move", "path": "title"}), ScimType::InvalidSyntax),
            (json!({"op": "remove"}), ScimType::NoTarget),
            (json!({"op": "add", "value": "x"}), ScimType::InvalidSyntax),
            (json!({"op": "add", "path": "title"}), ScimType::InvalidValue),
            (json!({"op": "replace", "path": "id", "value": "u1-9"}), ScimType::Mutability),
            (json!({"op": "remove", "path": "Active"}), ScimType::Mutability),
            (json!({"op": "replace", "path": "active"}), ScimType::Mutability),
            (json!({"op": "replace", "value": {"active": null}}), ScimType::Mutability),
            (json!({"op": "replace", "path": "emails[value eq \"z\"].value", "value": "y"}), ScimType::NoTarget),
            (json!({"op": "replace", "path": "title.x", "value": "y"}), ScimType::InvalidPath),
            (json!({"op": "replace", "path": "title[x eq 1]", "value": "y"}), ScimType::InvalidPath),
            (json!({"op": "replace", "path": "urn:x:y", "value": "y"}), ScimType::InvalidPath),
            (json!({"op": "add", "path": "emails", "value": many}), ScimType::InvalidValue),
            (json!("x"), ScimType::InvalidSyntax),
        ] {
            assert_eq!(patched(user.clone(), json!([operation])).unwrap_err().kind, Some(kind), "{operation}");
        }
        let many = vec![json!({"op": "add", "path": "title", "value": "x"}); OPERATIONS_MAX + 1];
        assert_eq!(patched(user, many.into()).unwrap_err().status, 413);
    }

    proptest! {
        #[test]
        fn arbitrary_paths_and_values_never_panic(
            op in 0usize..3,
            path in prop::sample::select(vec!["emails", "name", "title", "emails[type eq \"a\"]", "emails[type eq \"a\"].value",
                "name.x", "emails.value", "not-there[a pr].b", ENTERPRISE_SCHEMA]),
            value in prop::sample::select(vec![json!(null), json!("x"), json!([]), json!(["x"]), json!({}), json!({"value": 1}), json!([{"type": "a"}])]),
            there in prop::sample::select(vec![json!(null), json!("x"), json!(["x", null]), json!({}), json!([{"type": "a"}])]),
        ) {
            let op = ["add", "replace", "remove"][op];
            let user = json!({"emails": there, "name": there, "title": there});
            let _ = patched(user, json!([{"op": op, "path": path, "value": value}]));
        }
    }
}
