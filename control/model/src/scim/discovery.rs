//! What this server tells of itself (RFC 7643 §5 to §7): what it can do, and which attributes it keeps.

use serde_json::{Value, json};

use super::user::MAPPED;
use super::{ENTERPRISE_SCHEMA, GROUP_SCHEMA, USER_SCHEMA};

/// `ServiceProviderConfig`; `place` is the server's URL.
#[must_use]
pub fn service_provider_config(place: &str, results_max: usize) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
        "patch": {"supported": true},
        "bulk": {"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
        "filter": {"supported": true, "maxResults": results_max},
        "changePassword": {"supported": true},
        "sort": {"supported": false},
        "etag": {"supported": true},
        "authenticationSchemes": [{
            "type": "oauthbearertoken",
            "name": "Bearer token",
            "description": "The token that `postern scim enable` gives out",
            "primary": true,
        }],
        "meta": {"resourceType": "ServiceProviderConfig", "location": format!("{place}/ServiceProviderConfig")},
    })
}

/// All resource types.
#[must_use]
pub fn resource_types(place: &str) -> Vec<Value> {
    ["User", "Group"].iter().filter_map(|name| resource_type(place, name)).collect()
}

/// One of them by name.
#[must_use]
pub fn resource_type(place: &str, name: &str) -> Option<Value> {
    let (endpoint, schema, extensions) = match name {
        "User" => ("/Users", USER_SCHEMA, json!([{"schema": ENTERPRISE_SCHEMA, "required": false}])),
        "Group" => ("/Groups", GROUP_SCHEMA, json!([])),
        _ => return None, // the standard has others, this server has not
    };
    Some(json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
        "id": name,
        "name": name,
        "endpoint": endpoint,
        "schema": schema,
        "schemaExtensions": extensions,
        "meta": {"resourceType": "ResourceType", "location": format!("{place}/ResourceTypes/{name}")},
    }))
}

/// All schemas.
#[must_use]
pub fn schemas(place: &str) -> Vec<Value> {
    [USER_SCHEMA, ENTERPRISE_SCHEMA, GROUP_SCHEMA].iter().filter_map(|id| schema(place, id)).collect()
}

/// One of them by its URN.
#[must_use]
pub fn schema(place: &str, id: &str) -> Option<Value> {
    let (name, description, attributes) = match id {
        USER_SCHEMA => ("User", "A user", user()),
        ENTERPRISE_SCHEMA => ("EnterpriseUser", "What enterprises know of a user", texts(Some(ENTERPRISE_SCHEMA))),
        GROUP_SCHEMA => ("Group", "A group of users", group()),
        _ => return None, // the standard has others, this server has not
    };
    Some(json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
        "id": id,
        "name": name,
        "description": description,
        "attributes": attributes,
        "meta": {"resourceType": "Schema", "location": format!("{place}/Schemas/{id}")},
    }))
}

fn user() -> Vec<Value> {
    let login = attribute("userName", "string", &json!({"required": true, "uniqueness": "server"}));
    let password = attribute("password", "string", &json!({"mutability": "writeOnly", "returned": "never"}));
    let fixed = json!({"mutability": "readOnly"});
    let email = vec![
        attribute("value", "string", &json!({})),
        attribute("type", "string", &fixed),
        attribute("primary", "boolean", &fixed),
    ];
    let mut all = vec![
        login,
        password,
        attribute("displayName", "string", &json!({})),
        attribute("active", "boolean", &json!({"required": true})),
        attribute("name", "complex", &json!({"subAttributes": texts(Some("name"))})),
        attribute("emails", "complex", &json!({"multiValued": true, "subAttributes": email})),
    ];
    all.extend(texts(None));
    all
}

fn group() -> Vec<Value> {
    let member = vec![
        attribute("value", "string", &json!({"mutability": "immutable", "caseExact": true})),
        attribute(
            "$ref",
            "reference",
            &json!({"mutability": "immutable", "referenceTypes": ["User", "Group"], "caseExact": true}),
        ),
        attribute("type", "string", &json!({"mutability": "immutable", "canonicalValues": ["User", "Group"]})),
    ];
    vec![
        attribute("displayName", "string", &json!({"required": true})),
        attribute("members", "complex", &json!({"multiValued": true, "subAttributes": member})),
    ]
}

/// Those that are kept as attributes of the directory.
fn texts(holder: Option<&str>) -> Vec<Value> {
    let own = MAPPED.iter().filter(|mapped| mapped.holder == holder);
    own.map(|mapped| attribute(mapped.name, "string", &json!({}))).collect()
}

/// An attribute (RFC 7643 §7): the usual, and what is special.
fn attribute(name: &str, kind: &str, special: &Value) -> Value {
    let mut attribute = json!({
        "name": name,
        "type": kind,
        "multiValued": false,
        "description": name,
        "required": false,
        "mutability": "readWrite",
        "returned": "default",
    });
    if kind != "complex" && kind != "boolean" {
        attribute["caseExact"] = false.into();
        attribute["uniqueness"] = "none".into();
    }
    if let (Value::Object(all), Value::Object(special)) = (&mut attribute, special) {
        all.extend(special.clone());
    }
    attribute
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_and_type_is_found_by_its_id() {
        for schema in schemas("https://x") {
            let id = schema["id"].as_str().unwrap();
            assert_eq!(super::schema("https://x", id).as_ref(), Some(&schema));
        }
        for kind in resource_types("https://x") {
            assert!(super::schema("https://x", kind["schema"].as_str().unwrap()).is_some());
            assert_eq!(resource_type("https://x", kind["id"].as_str().unwrap()), Some(kind));
        }
        assert!(schema("https://x", "urn:x").is_none() && resource_type("https://x", "Device").is_none());
        assert_eq!(service_provider_config("https://x", 100)["bulk"]["supported"], false);
    }
}
