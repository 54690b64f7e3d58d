//! Whether a resource is what a filter asks for.

use serde_json::{Map, Value};

use super::{AttributePath, Filter, Literal, Operator};
use crate::scim::json::field;

impl Filter {
    /// Decides it on a resource, or on one value of an attribute.
    #[must_use]
    pub fn matches(&self, resource: &Value) -> bool {
        match self {
            Self::And(all) => all.iter().all(|one| one.matches(resource)),
            Self::Or(any) => any.iter().any(|one| one.matches(resource)),
            Self::Not(one) => !one.matches(resource),
            Self::Present(path) => path.values(resource).iter().any(|value| is_something(value)),
            Self::Within(path, inner) => path.values(resource).iter().any(|value| inner.matches(value)),
            Self::Compare(path, operator, literal) => compare(path, *operator, literal, resource),
        }
    }
}

impl AttributePath {
    /// The values of the attribute, each of several by itself.
    fn values<'a>(&self, resource: &'a Value) -> Vec<&'a Value> {
        let Some(object) = resource.as_object() else {
            // A value that has no parts is its own `value`.
            return if self.is("value") { vec![resource] } else { Vec::new() };
        };
        let object = match &self.schema {
            Some(schema) => field(object, schema).and_then(Value::as_object),
            None => Some(object),
        };
        let found = object.and_then(|object| field(object, &self.name));
        let each = found
            .into_iter()
            .flat_map(|value| value.as_array().map_or_else(|| vec![value], |all| all.iter().collect()));
        match &self.sub {
            None => each.collect(),
            Some(sub) => each.filter_map(|value| field(value.as_object()?, sub)).collect(),
        }
    }
}

fn compare(path: &AttributePath, operator: Operator, literal: &Literal, resource: &Value) -> bool {
    let values = path.values(resource);
    let exact = path.sub.as_ref().unwrap_or(&path.name);
    let exact = EXACT.iter().any(|name| name.eq_ignore_ascii_case(exact));
    let holds = |operator| values.iter().any(|value| holds(plain(value), operator, literal, exact));
    match (operator, literal) {
        (Operator::Eq, Literal::Null) => !values.iter().any(|value| is_something(value)),
        (Operator::Ne, Literal::Null) => values.iter().any(|value| is_something(value)),
        // None of them is it.
        (Operator::Ne, _) => !holds(Operator::Eq),
        (operator, _) => holds(operator),
    }
}

/// `emails eq "a@b"` means `emails.value` (RFC 7644 §3.4.2.2).
fn plain(value: &Value) -> &Value {
    value.as_object().and_then(|object: &Map<String, Value>| field(object, "value")).unwrap_or(value)
}

fn is_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(parts) => parts.values().any(is_something),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

fn holds(value: &Value, operator: Operator, literal: &Literal, exact: bool) -> bool {
    match (value, literal) {
        (Value::String(value), Literal::Text(text)) if exact => text_holds(value, operator, text),
        (Value::String(value), Literal::Text(text)) => {
            text_holds(&value.to_lowercase(), operator, &text.to_lowercase())
        }
        (Value::Number(value), Literal::Number(number)) => {
            value.as_f64().and_then(|value| value.partial_cmp(number)).is_some_and(|order| ordered(order, operator))
        }
        (Value::Bool(value), Literal::Bool(wanted)) => operator == Operator::Eq && value == wanted,
        _ => false, // values of two kinds never compare
    }
}

fn text_holds(value: &str, operator: Operator, text: &str) -> bool {
    match operator {
        Operator::Co => value.contains(text),
        Operator::Sw => value.starts_with(text),
        Operator::Ew => value.ends_with(text),
        Operator::Eq | Operator::Ne | Operator::Gt | Operator::Ge | Operator::Lt | Operator::Le => {
            ordered(value.cmp(text), operator)
        }
    }
}

fn ordered(order: std::cmp::Ordering, operator: Operator) -> bool {
    match operator {
        Operator::Eq => order.is_eq(),
        Operator::Ne => order.is_ne(),
        Operator::Gt => order.is_gt(),
        Operator::Ge => order.is_ge(),
        Operator::Lt => order.is_lt(),
        Operator::Le => order.is_le(),
        Operator::Co | Operator::Sw | Operator::Ew => false,
    }
}

/// `caseExact` in the schemas.
const EXACT: &[&str] = &["id", "externalId", "version", "location", "$ref"];
