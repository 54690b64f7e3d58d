//! What rules say, how they are written, and that no text breaks the parser.

use proptest::prelude::*;

use super::super::user::user;
use super::super::{RULE_BYTES_MAX, RULE_DEPTH_MAX, UserKind};
use super::*;

fn rule(text: &str) -> Rule {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn rules_are_true_of_whom_they_describe() {
    let mut anna = user(1, "anna@example.com", &[("department", "sales"), ("country", "FR"), ("title", "")]);
    anna.mail = Some("Anna@example.com".parse().unwrap());
    anna.kind = UserKind::Guest { expires_unix: None };
    for (text, holds) in [
        (r#"department == "sales""#, true),
        (r#"department == "Sales""#, false),
        (r#"department != "sales""#, false),
        (r#"country in ["DE", "FR"]"#, true),
        (r#"country in ["DE"]"#, false),
        (r#"login ends_with "@example.com""#, true),
        (r#"mail starts_with "Anna@""#, true),
        (r#"department contains "ale""#, true),
        (r#"kind == "guest""#, true),
        (r#"title present"#, true),
        (r#"title == """#, true),
        (r#"display_name present"#, false),
        (r#"team present"#, false),
        (r#"team == "x""#, false),
        (r#"team != "x""#, true),
        (r#"team in ["x"]"#, false),
        (r#"not team contains """#, true),
        (r#"team present or department present and not country == "FR""#, false),
        (r#"(team present or department present) and not country == "DE""#, true),
        (r#"department == "sales" and (country in ["DE", "FR"] or not title contains "intern")"#, true),
    ] {
        assert_eq!(rule(text).matches(&anna), holds, "{text}");
    }
}

#[test]
fn one_rule_has_one_spelling() {
    for (given, kept) in [
        (r#"a=="x"and b!="y""#, r#"a == "x" and b != "y""#),
        (r#"((a present))"#, "a present"),
        ("(a present and b present) and c present", "a present and b present and c present"),
        ("(a present and b present) or c present", "a present and b present or c present"),
        ("a present and (b present or c present)", "a present and (b present or c present)"),
        ("not (a present or b present)", "not (a present or b present)"),
        ("not(not  a present)", "not not a present"),
        ("\n a\tin[\"x\",\"y\"]", r#"a in ["x", "y"]"#),
        (r#"a == "\"\\""#, r#"a == "\"\\""#),
    ] {
        assert_eq!(rule(given).to_string(), kept, "{given}");
        assert_eq!(rule(kept), rule(given));
    }
    let json = serde_json::to_string(&rule("a  present")).unwrap();
    assert_eq!(json, "\"a present\"");
    assert!(serde_json::from_str::<Rule>("\"a\"").is_err());
}

#[test]
fn mistakes_are_found_where_they_are() {
    for (text, says) in [
        ("", "column 1: expected an attribute, login, mail, display_name, kind, not or `(`, found the end"),
        (
            r#"department = "sales""#,
            "column 12: expected ==, !=, in, contains, starts_with, ends_with or present, found \"= \\\"sales\\\"\"",
        ),
        ("a == sales", "column 6: expected a text in double quotes, found \"sales\""),
        (r#"a == "x"#, "column 8: expected the text's closing quote, found the end"),
        (r#"a == "\n""#, "column 7: expected \\\" or \\\\, found \"\\\\n\\\"\""),
        ("a in []", "column 7: expected a text in double quotes, found \"]\""),
        (r#"a in ["x" "y"]"#, "column 11: expected `,` or `]`, found \"\\\"y\\\"]\""),
        ("(a present", "column 11: expected and, or, or `)`, found the end"),
        ("a present b present", "column 11: expected and, or, or the end, found \"b present\""),
        (
            "a present and",
            "column 14: expected an attribute, login, mail, display_name, kind, not or `(`, found the end",
        ),
        (
            "A present",
            "column 1: expected an attribute, login, mail, display_name, kind, not or `(`, found \"A present\"",
        ),
        (
            "enabled present",
            "column 1: expected an attribute, login, mail, display_name, kind, not or `(`, found \"enabled present\"",
        ),
        ("a == \"\u{1b}\"", "column 7: expected no control characters in a text, found \"\\u{1b}\\\"\""),
        (
            "ä present",
            "column 1: expected an attribute, login, mail, display_name, kind, not or `(`, found \"ä present\"",
        ),
    ] {
        assert_eq!(text.parse::<Rule>().unwrap_err().to_string(), says, "{text}");
    }
}

#[test]
fn length_and_depth_are_bounded() {
    let deep = |depth| format!("{}a present{}", "(".repeat(depth), ")".repeat(depth));
    assert!(deep(RULE_DEPTH_MAX).parse::<Rule>().is_ok());
    let error = deep(RULE_DEPTH_MAX + 1).parse::<Rule>().unwrap_err().to_string();
    assert!(error.contains("at most 32 parentheses"), "{error}");
    assert!("not ".repeat(RULE_BYTES_MAX / 4).parse::<Rule>().is_err());
    let long = format!("a == \"{}\"", "x".repeat(RULE_BYTES_MAX));
    assert!(long.parse::<Rule>().unwrap_err().to_string().contains("at most 4096 bytes"));
    let tight = vec!["a in[\"x\"]"; 340].join("or ");
    assert!(tight.len() <= RULE_BYTES_MAX && tight.parse::<Rule>().is_err(), "too long once written out");
}

#[test]
fn every_test_says_why() {
    let anna = user(1, "anna", &[("country", "FR")]);
    let tested = rule(r#"not country == "DE" and (team present or login == "anna")"#).tested(&anna);
    let short: Vec<_> = tested.iter().map(|t| (t.test.as_str(), t.value.as_deref(), t.holds)).collect();
    let expected = [
        (r#"country == "DE""#, Some("FR"), false),
        ("team present", None, false),
        (r#"login == "anna""#, Some("anna"), true),
    ];
    assert_eq!(short, expected);
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z\"\\\\]{0,4}", "\\PC{0,6}"].prop_filter("control", |text| !text.contains(char::is_control))
}

fn any_test() -> impl Strategy<Value = Expression> {
    let key = prop_oneof![
        Just(Key::Login),
        Just(Key::Mail),
        Just(Key::DisplayName),
        Just(Key::Kind),
        "x[a-z0-9_]{0,5}".prop_map(|name| Key::Attribute(name.parse().unwrap())),
    ];
    let check = prop_oneof![
        text().prop_map(Check::Equals),
        text().prop_map(Check::Differs),
        prop::collection::vec(text(), 1..4).prop_map(Check::OneOf),
        text().prop_map(Check::Contains),
        text().prop_map(Check::StartsWith),
        text().prop_map(Check::EndsWith),
        Just(Check::Present),
    ];
    (key, check).prop_map(|(key, check)| Expression::Test(Test { key, check }))
}

fn any_expression() -> impl Strategy<Value = Expression> {
    any_test().prop_recursive(5, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(Expression::all),
            prop::collection::vec(inner.clone(), 1..4).prop_map(Expression::any),
            inner.prop_map(|part| Expression::Not(Box::new(part))),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_back(expression in any_expression()) {
        let rule = Rule(expression);
        prop_assert_eq!(rule.to_string().parse(), Ok(rule));
    }

    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,80}") {
        let _ = text.parse::<Rule>();
    }

    #[test]
    fn arbitrary_words_never_panic(words in prop::collection::vec(
        prop_oneof!["a|and|or|not|in|present|contains", "==|!=|\\(|\\)|\\[|\\]|,|\"x\"|\"|\\\\"], 0..40)) {
        if let Ok(rule) = words.join(" ").parse::<Rule>() {
            prop_assert_eq!(rule.to_string().parse(), Ok(rule));
        }
    }

    #[test]
    fn a_rule_is_what_its_tests_are(expression in any_expression(), department in "[a-c]{0,2}") {
        let user = user(1, "anna", &[("x", &department)]);
        let rule = Rule(expression);
        let tested = rule.tested(&user);
        prop_assert!(!tested.is_empty());
        for test in &tested {
            prop_assert_eq!(test.test.parse::<Rule>().unwrap().matches(&user), test.holds);
        }
        let inverted = Rule(Expression::Not(Box::new(rule.0.clone())));
        prop_assert_eq!(inverted.matches(&user), !rule.matches(&user));
    }
}
