use super::*;
use crate::scim::{FILTER_BYTES_MAX, FILTER_DEPTH_MAX, FILTER_TESTS_MAX};
use proptest::prelude::*;
use serde_json::{Value, json};

fn anna() -> Value {
    json!({
        "id": "u1-1", "externalId": "Ab", "userName": "anna@example.com", "active": true, "title": "",
        "name": {"givenName": "Anna", "familyName": "Berg"},
        "emails": [{"value": "anna@example.com", "type": "work"}, {"value": "a@home.example", "type": "home"}],
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": "Sales"},
        "meta": {"lastModified": "2026-01-02T00:00:00Z"}, "age": 30,
    })
}

#[test]
fn filters_decide_as_the_standard_says() {
    for (filter, expected) in [
        (r#"userName eq "ANNA@example.com""#, true),
        (r#"USERNAME Eq "anna@example.com""#, true),
        (r#"userName eq "bert""#, false),
        (r#"externalId eq "Ab""#, true),
        (r#"externalId eq "ab""#, false),
        (r#"userName sw "anna" and userName ew ".com" and userName co "@""#, true),
        (r#"name.familyName eq "berg" or userName eq "x" and userName eq "y""#, true),
        (r#"(name.familyName eq "berg" or userName eq "x") and userName eq "y""#, false),
        (r#"not (userName eq "x")"#, true),
        ("title pr", false),
        ("name pr and emails pr and externalId pr", true),
        ("nickName pr", false),
        (r#"emails eq "a@home.example""#, true),
        (r#"emails[type eq "work" and value co "home"]"#, false),
        (r#"emails[type eq "home" and value co "home"]"#, true),
        (r#"emails.type eq "home""#, true),
        (r#"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department eq "sales""#, true),
        (r#"urn:ietf:params:scim:schemas:core:2.0:User:userName sw "anna""#, true),
        ("active eq true", true),
        ("active eq False", false),
        (r#"active eq "true""#, false),
        ("nickName eq null", true),
        ("userName ne null", true),
        (r#"meta.lastModified gt "2026-01-01T00:00:00Z""#, true),
        (r#"meta.lastModified lt "2026-01-01T00:00:00Z""#, false),
        ("age ge 30 and age le 30.0 and not (age gt 30)", true),
        (r#"userName ne "x""#, true),
        (r#"userName eq "an\u006ea@example.com""#, true),
    ] {
        let parsed = Filter::parse(filter).unwrap_or_else(|error| panic!("{filter}: {error}"));
        assert_eq!(parsed.matches(&anna()), expected, "{filter}");
    }
}

#[test]
fn what_is_no_filter_is_refused_where_it_goes_wrong() {
    for (filter, says) in [
        ("", "the name of an attribute"),
        ("userName", "an operator"),
        ("userName eq", "a value"),
        ("userName eq x", "a value"),
        (r#"userName eq "x"#, "a value"),
        (r#"userName eq "\q""#, "a value"),
        (r#"userName is "x""#, "an operator"),
        (r#"(userName eq "x""#, "\")\""),
        (r#"emails[type eq "x""#, "\"]\""),
        (r#"userName eq "x" xor title pr"#, "its end"),
        (r#"userName eq "x")"#, "its end"),
        (r#"a.b.c eq "x""#, "not the name"),
        (r#"urn:other:2.0:User:a eq "x""#, "not the name"),
        (r#"name.givenName[a eq "x"]"#, "no part"),
        (r#"1a eq "x""#, "not the name"),
    ] {
        let error = Filter::parse(filter).unwrap_err();
        assert!(error.detail.contains(says), "{filter}: {error}");
        assert_eq!((error.status, error.kind), (400, Some(ScimType::InvalidFilter)), "{filter}");
    }
}

#[test]
fn filters_are_bounded() {
    let nested = |depth: usize| format!("{}title pr{}", "(".repeat(depth), ")".repeat(depth));
    assert!(Filter::parse(&nested(FILTER_DEPTH_MAX)).is_ok());
    assert!(Filter::parse(&nested(FILTER_DEPTH_MAX + 1)).unwrap_err().detail.contains("nested deeper"));
    assert!(Filter::parse(&"not (".repeat(300)).unwrap_err().detail.contains("nested deeper"));
    assert!(Filter::parse(&"a[".repeat(300)).unwrap_err().detail.contains("nested deeper"));
    let wide = |tests: usize| vec!["a pr"; tests].join(" or ");
    assert!(Filter::parse(&wide(FILTER_TESTS_MAX)).is_ok());
    assert!(Filter::parse(&wide(FILTER_TESTS_MAX + 1)).unwrap_err().detail.contains("at most"));
    assert!(Filter::parse(&" ".repeat(FILTER_BYTES_MAX + 1)).unwrap_err().detail.contains("too long"));
}

#[test]
fn paths_lead_to_attributes_values_and_parts() {
    let path = PatchPath::parse(r#"emails[type eq "work"].value"#).unwrap();
    assert_eq!((path.attribute.name.as_str(), path.sub.as_deref()), ("emails", Some("value")));
    let path = PatchPath::parse(r#"members[value eq "u1-1" or value eq "u1-2"]"#).unwrap();
    assert_eq!(path.filter.unwrap().is_one_of("value"), Some(vec!["u1-1", "u1-2"]));
    let path = PatchPath::parse("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value").unwrap();
    assert_eq!((path.attribute.name.as_str(), path.attribute.sub.as_deref()), ("manager", Some("value")));
    assert_eq!(PatchPath::parse(ENTERPRISE_SCHEMA).unwrap().attribute.name, ENTERPRISE_SCHEMA);
    for wrong in ["", "a[", "a[b eq 1].c.d", "a[b eq 1]c", "a.b[c eq 1]", "a b", "a[]"] {
        assert_eq!(PatchPath::parse(wrong).unwrap_err().kind, Some(ScimType::InvalidPath), "{wrong}");
    }
}

/// Pieces of filters in any order: nearer to one than noise is.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "userName",
        "emails",
        "eq",
        "pr",
        "and",
        "or",
        "not",
        "(",
        ")",
        "[",
        "]",
        ".",
        "\"",
        "\\",
        "\"x\"",
        "1e999",
        "-",
        "true",
        "null",
        " ",
        "urn:",
        "$ref",
        "ü",
        "\u{0}",
        "value",
        ":",
        "name.givenName",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.join(" "))
}

/// Filters as text, with what they decide of a resource whose attributes are those in the list.
fn filters() -> impl Strategy<Value = (String, bool)> {
    let leaf = (0u8..3, any::<bool>()).prop_map(|(value, yes)| {
        let wanted = if yes { value } else { value + 1 };
        (format!("v{value} eq {wanted}"), yes)
    });
    leaf.prop_recursive(4, 16, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|((a, x), (b, y))| (format!("({a}) and ({b})"), x && y)),
            (inner.clone(), inner.clone()).prop_map(|((a, x), (b, y))| (format!("({a}) or ({b})"), x || y)),
            inner.prop_map(|(a, x)| (format!("not ({a})"), !x)),
        ]
    })
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,80}") {
        let _ = (PatchPath::parse(&text), Filter::parse(&text).map(|filter| filter.matches(&anna())));
    }

    #[test]
    fn pieces_of_filters_never_panic(text in pieces()) {
        let _ = (PatchPath::parse(&text), Filter::parse(&text).map(|filter| filter.matches(&anna())));
    }

    #[test]
    fn a_filter_decides_what_it_is_made_of((text, expected) in filters()) {
        let resource = json!({"v0": 0, "v1": 1, "v2": 2});
        prop_assert_eq!(Filter::parse(&text).unwrap().matches(&resource), expected, "{}", text);
    }

    #[test]
    fn text_in_quotes_is_taken_as_it_is(value in "\\PC{0,30}") {
        let filter = format!("userName eq {}", serde_json::to_string(&value).unwrap());
        let parsed = Filter::parse(&filter).unwrap();
        prop_assert_eq!(parsed.is_eq("userName"), Some(value.as_str()));
    }
}
