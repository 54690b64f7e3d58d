//! What identity providers ask for and change by SCIM.

use postern_model::scim::{
    AttributePath, ENTERPRISE_SCHEMA, FILTER_BYTES_MAX, Filter, Literal, OPERATIONS_MAX, Operator, PatchOp, PatchPath,
    UserInput, VALUES_MAX, apply,
};
use serde_json::{Map, Value, json};

/// Text as a filter and as a path: what was read reads the same when it is written down again, and what is decided by an index is
/// what is decided by looking.
pub(crate) fn filter(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(path) = PatchPath::parse(text) {
        let filter = path.filter.as_ref().map(|filter| format!("[{}]", written(filter))).unwrap_or_default();
        let sub = path.sub.as_ref().map(|sub| format!(".{sub}")).unwrap_or_default();
        let again = format!("{}{filter}{sub}", attribute(&path.attribute));
        if again.len() <= FILTER_BYTES_MAX && path.filter.as_ref().is_none_or(is_exact) {
            assert_eq!(PatchPath::parse(&again), Ok(path), "{again}");
        }
    }
    let Ok(filter) = Filter::parse(text) else { return };
    decided_by_looking(&filter);
    let again = written(&filter);
    if again.len() <= FILTER_BYTES_MAX && is_exact(&filter) {
        assert_eq!(Filter::parse(&again), Ok(filter), "{again}");
    }
}

fn decided_by_looking(filter: &Filter) {
    for name in ["userName", "id", "externalId"] {
        for value in filter.is_one_of(name).unwrap_or_default() {
            assert!(filter.matches(&json!({name: value})), "{name} {value:?} is not found by looking");
        }
    }
    let user = Value::Object(user());
    for name in ["members", "userName"] {
        let mut without = user.clone();
        if let Value::Object(user) = &mut without {
            user.remove(name);
        }
        let same = filter.matches(&user) == filter.matches(&without);
        assert!(same || filter.asks_for(name), "what it does not ask for decides it: {name}");
    }
}

/// A PATCH of a user who is switched off: what only the server says stays, and nobody comes back unless it is said.
pub(crate) fn patch(data: &[u8]) {
    let Ok(body) = serde_json::from_slice::<Value>(data) else { return };
    let Ok(operations) = PatchOp::read(&body) else { return };
    assert!(operations.len() <= OPERATIONS_MAX, "{} operations", operations.len());
    let before = user();
    let is_off = UserInput::read_exactly(&Value::Object(before.clone())).is_ok_and(|user| !user.enabled);
    assert!(is_off, "what is changed is a user who is switched off");
    let mut after = before.clone();
    if apply(&mut after, &operations).is_err() {
        return;
    }
    for fixed in ["id", "meta", "groups"] {
        assert_eq!(after.get(fixed), before.get(fixed), "{fixed} is the server's");
    }
    for (name, value) in &after {
        let others = after.keys().filter(|other| other.eq_ignore_ascii_case(name));
        assert_eq!(others.count(), 1, "{name} is there in two spellings");
        assert!(value.as_array().is_none_or(|values| values.len() <= VALUES_MAX), "{name} has too many values");
    }
    let Ok(input) = UserInput::read_exactly(&Value::Object(after)) else { return };
    let says_so = |patch: &PatchOp| {
        let is_true = patch.value.as_str().is_some_and(|text| text.eq_ignore_ascii_case("true"));
        patch.path.attribute.is("active") && (is_true || patch.value == Value::Bool(true))
    };
    assert!(!input.enabled || operations.iter().any(says_so), "nobody said that the user is active");
}

fn user() -> Map<String, Value> {
    let user = json!({
        "id": "u1-7", "userName": "anna", "active": false, "displayName": "Anna", "meta": {"resourceType": "User"},
        "name": {"givenName": "Anna", "familyName": "B"},
        "emails": [{"value": "a@x.example", "type": "work", "primary": true}, {"value": "b@x.example", "type": "home"}],
        "groups": [{"value": "g1-1"}], "members": [{"value": "u1-8"}], "title": null, "height": 7,
        ENTERPRISE_SCHEMA: {"department": "d", "manager": {"value": "u1-9"}},
    });
    if let Value::Object(user) = user { user } else { Map::new() }
}

/// Numbers of other kinds are read to the last digit but one.
fn is_exact(filter: &Filter) -> bool {
    match filter {
        Filter::And(all) | Filter::Or(all) => all.iter().all(is_exact),
        Filter::Not(one) | Filter::Within(_, one) => is_exact(one),
        Filter::Compare(_, _, Literal::Number(number)) => number.fract() == 0.0 && number.abs() < EXACT_BELOW,
        Filter::Compare(..) | Filter::Present(_) => true,
    }
}

/// With no more parentheses than it needs.
fn written(filter: &Filter) -> String {
    match filter {
        Filter::And(all) => joined(all, " and "),
        Filter::Or(any) => joined(any, " or "),
        Filter::Not(one) => format!("not ({})", written(one)),
        Filter::Present(path) => format!("{} pr", attribute(path)),
        Filter::Within(path, one) => format!("{}[{}]", attribute(path), written(one)),
        Filter::Compare(path, operator, literal) => {
            let literal = match literal {
                Literal::Text(text) => Value::from(text.as_str()).to_string(),
                Literal::Number(number) => number.to_string(),
                Literal::Bool(bool) => bool.to_string(),
                Literal::Null => "null".to_owned(),
            };
            format!("{} {} {literal}", attribute(path), word(*operator))
        }
    }
}

fn joined(parts: &[Filter], word: &str) -> String {
    let part = |part: &Filter| match part {
        // Within others of their kind they stood in parentheses, too.
        Filter::And(_) if word == " or " => written(part),
        Filter::And(_) | Filter::Or(_) => format!("({})", written(part)),
        Filter::Not(_) | Filter::Present(_) | Filter::Compare(..) | Filter::Within(..) => written(part),
    };
    parts.iter().map(part).collect::<Vec<_>>().join(word)
}

fn attribute(path: &AttributePath) -> String {
    let schema = path.schema.as_ref().map(|schema| format!("{schema}:")).unwrap_or_default();
    let sub = path.sub.as_ref().map(|sub| format!(".{sub}")).unwrap_or_default();
    format!("{schema}{}{sub}", path.name)
}

const fn word(operator: Operator) -> &'static str {
    match operator {
        Operator::Eq => "eq",
        Operator::Ne => "ne",
        Operator::Co => "co",
        Operator::Sw => "sw",
        Operator::Ew => "ew",
        Operator::Gt => "gt",
        Operator::Ge => "ge",
        Operator::Lt => "lt",
        Operator::Le => "le",
    }
}

/// 2⁵³: whole numbers below are themselves.
const EXACT_BELOW: f64 = 9_007_199_254_740_992.0;
