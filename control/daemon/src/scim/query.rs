//! What a list is asked for: which resources, from where, how many, and what of each.

use postern_model::scim::{Filter, Projection, ScimError, ScimType};
use serde_json::Value;

use crate::limits::{SCIM_RESULTS_DEFAULT, SCIM_RESULTS_MAX};

/// RFC 7644 §3.4.2.
#[derive(Debug)]
pub(super) struct ListQuery {
    pub(super) filter: Option<Filter>,
    /// From 1.
    pub(super) start: usize,
    pub(super) count: usize,
    pub(super) projection: Projection,
}

/// Its parts as text, before they are read.
#[derive(Default)]
struct Parts {
    filter: Option<String>,
    start: Option<String>,
    count: Option<String>,
    attributes: Option<String>,
    excluded: Option<String>,
}

impl ListQuery {
    /// From the URL. What is not known is not for this server: there is nothing to sort, for example.
    pub(super) fn of_url(query: &str) -> Result<Self, ScimError> {
        let mut parts = Parts::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            if let Some(part) = parts.part(&name)
                && part.replace(value.into_owned()).is_some()
            {
                return Err(ScimError::value(&name, "it is there twice"));
            }
        }
        parts.read()
    }

    /// From the body of a `.search` (RFC 7644 §3.4.3).
    pub(super) fn of_body(body: &Value) -> Result<Self, ScimError> {
        let wrong = || ScimError::bad(ScimType::InvalidSyntax, "a search is an object");
        let mut parts = Parts::default();
        for (name, value) in body.as_object().ok_or_else(wrong)? {
            let Some(part) = parts.part(name) else { continue };
            *part = match value {
                Value::String(text) => Some(text.clone()),
                Value::Number(number) => Some(number.to_string()),
                Value::Array(names) => Some(names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")),
                Value::Null => None,
                Value::Bool(_) | Value::Object(_) => {
                    return Err(ScimError::value(name, "it is text, a number or a list"));
                }
            };
        }
        parts.read()
    }
}

impl Parts {
    fn part(&mut self, name: &str) -> Option<&mut Option<String>> {
        match name.to_ascii_lowercase().as_str() {
            "filter" => Some(&mut self.filter),
            "startindex" => Some(&mut self.start),
            "count" => Some(&mut self.count),
            "attributes" => Some(&mut self.attributes),
            "excludedattributes" => Some(&mut self.excluded),
            _ => None, // there are others, and names have no end
        }
    }

    fn read(self) -> Result<ListQuery, ScimError> {
        let filter = self.filter.filter(|text| !text.is_empty());
        let start = number("startIndex", self.start.as_deref())?.unwrap_or(1).max(1);
        let count = number("count", self.count.as_deref())?
            .map_or(SCIM_RESULTS_DEFAULT, |count| usize::try_from(count).unwrap_or(0).min(SCIM_RESULTS_MAX));
        Ok(ListQuery {
            filter: filter.map(|text| Filter::parse(&text)).transpose()?,
            start: usize::try_from(start).unwrap_or(1),
            count,
            projection: Projection::parse(self.attributes.as_deref(), self.excluded.as_deref())?,
        })
    }
}

fn number(name: &str, text: Option<&str>) -> Result<Option<i64>, ScimError> {
    text.map(|text| text.parse().map_err(|_| ScimError::value(name, "it is a whole number"))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_list_is_asked_for_by_url_or_body() {
        let query = ListQuery::of_url("filter=userName%20eq%20%22a%22&startIndex=0&count=-1&sortBy=x").unwrap();
        assert_eq!((query.start, query.count, query.filter.is_some()), (1, 0, true));
        let query = ListQuery::of_url("").unwrap();
        assert_eq!((query.start, query.count, query.filter.is_some()), (1, SCIM_RESULTS_DEFAULT, false));
        let body =
            json!({"schemas": ["x"], "startIndex": 3, "count": 9_999, "attributes": ["userName", "name.givenName"]});
        let query = ListQuery::of_body(&body).unwrap();
        assert_eq!((query.start, query.count), (3, SCIM_RESULTS_MAX));
        assert!(query.projection.shows("username") && !query.projection.shows("emails"));
        for wrong in
            ["count=many", "startIndex=1.5", "filter=x", "count=1&count=2", "attributes=a&excludedAttributes=b"]
        {
            assert_eq!(ListQuery::of_url(wrong).unwrap_err().status, 400, "{wrong}");
        }
        assert!(ListQuery::of_body(&json!([])).is_err() && ListQuery::of_body(&json!({"count": {}})).is_err());
    }
}
