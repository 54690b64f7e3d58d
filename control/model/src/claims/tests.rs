use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::functions::FUNCTIONS;
use super::*;
use crate::directory::{Assignment, Principal};
use crate::ids::{AppId, SessionId, TenantId, UserGroupId, UserId};
use crate::session::{AuthMethod, SessionRecord, Subject};

fn record() -> SessionRecord {
    let tenant = TenantId::DEFAULT;
    let groups = ["staff", "wiki-admins", "wiki-readers"];
    SessionRecord {
        id: SessionId(1),
        user: Subject {
            id: UserId::new(tenant, 7),
            login: "anna@corp.example".parse().unwrap(),
            display_name: "Anna Bj\u{f6}rk".parse().unwrap(),
            mail: Some("Anna.B@Example.com".parse().unwrap()),
            attributes: BTreeMap::from([("department".parse().unwrap(), " Sales ".parse().unwrap())]),
            guest: false,
            groups: (1..)
                .zip(groups)
                .map(|(seq, name)| (UserGroupId::new(tenant, seq), name.parse().unwrap()))
                .collect(),
            expires_unix: None,
        },
        authenticated_unix: 1_700_000_000,
        methods: BTreeSet::from([AuthMethod::Password, AuthMethod::OneTimePassword]),
        provider: None,
        expires_unix: 1_800_000_000,
        idle_s: 60,
        persistent: false,
        source: None,
        risk: Default::default(),
        terms: Default::default(),
        device: None,
        claimed_device: Default::default(),
    }
}

fn assignment() -> Assignment {
    Assignment {
        app: AppId::new(TenantId::DEFAULT, 1),
        principal: Principal::Everyone,
        role: Some("editor".parse().unwrap()),
        expires_unix: None,
        created_unix_ms: 0,
    }
}

fn of(text: &str) -> String {
    let expression: Expression = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
    expression.evaluate(&Claims::of(&record(), &assignment())).unwrap().into_owned()
}

fn refused(text: &str) -> String {
    text.parse::<Expression>().unwrap_err().to_string()
}

#[test]
fn sources_and_functions_say_what_is_known() {
    for (text, value) in [
        ("login", "anna@corp.example"),
        ("user-part", "anna"),
        ("domain", "corp.example"),
        ("mail", "Anna.B@Example.com"),
        ("mail-prefix", "Anna.B"),
        ("display-name", "Anna Bj\u{f6}rk"),
        ("id", "u1-7"),
        ("role", "editor"),
        ("guest", "false"),
        ("provider", ""),
        ("auth-time", "1700000000"),
        ("attribute.department", " Sales "),
        ("attribute.absent", ""),
        ("'it is \"so\\'", "it is \"so\\"),
        (r#""a \"b\" \\c""#, r#"a "b" \c"#),
        (r#"join(",", groups)"#, "staff,wiki-admins,wiki-readers"),
        (r#"join(" ", methods)"#, "pwd otp"),
        (r#"join("@", user-part, "old.example")"#, "anna@old.example"),
        (r#"join("-", provider, user-part)"#, "-anna"),
        ("lower(mail)", "anna.b@example.com"),
        ("upper(display-name)", "ANNA BJ\u{f6}RK"),
        ("trim(attribute.department)", "Sales"),
        (r"prefix(user-part, 'CORP\')", r"CORP\anna"),
        ("prefix(provider, 'x')", ""),
        ("suffix(user-part, '.ext')", "anna.ext"),
        ("truncate(display-name, 7)", "Anna Bj"),
        ("truncate(login, 0)", ""),
        (r"replace(mail, '^([^.]+)\.(.)', '$2-$1$$')", "B-Anna$@Example.com"),
        (r"extract(login, '@(.+)\.example$', 1)", "corp"),
        ("extract(login, 'nobody', 0)", ""),
        ("if-empty(provider, 'local')", "local"),
        ("if-empty(login, 'local')", "anna@corp.example"),
        ("if-not-empty(role, 'yes')", "yes"),
        ("if-not-empty(provider, 'yes')", ""),
        ("if-in-group('wiki-admins', 'admin', 'user')", "admin"),
        ("if-in-group('others', 'admin', lower(mail-prefix))", "anna.b"),
        ("join(',', groups-matching('^wiki-'))", "wiki-admins,wiki-readers"),
        ("join(',', groups-matching('^wiki-(.*)$', 1))", "admins,readers"),
        (
            "join(',', groups-mapped('wiki-admins' = 'Admins', 'others' = 'X', 'staff' = 'Admins'), role)",
            "Admins,editor",
        ),
        (" lower ( upper( 'a' ) ) ", "a"),
    ] {
        assert_eq!(of(text), value, "{text}");
    }
}

#[test]
fn letters_that_are_like_ascii_ones_stay_what_they_are() {
    // KELVIN SIGN: lower case by Unicode is `k`.
    assert_eq!(of("lower('\u{212a}arl')"), "\u{212a}arl");
    assert_eq!(of("upper('\u{131}')"), "\u{131}");
}

#[test]
fn what_is_no_expression_is_refused_with_its_place() {
    for (text, message) in [
        ("", "column 1: expected a source such as login, a function, or a text in quotes, found the end"),
        ("logni", "column 1: expected a source or a function, perhaps login, found \"logni\""),
        ("display_name", "column 1: expected a source or a function, perhaps display-name, found \"display_name\""),
        ("login mail", "column 7: expected the end, found \"mail\""),
        ("groups", "column 1: expected one text: join(\",\", groups\u{2026}) makes one of a list, found \"groups\""),
        (
            "lower(groups)",
            "column 7: expected one text: join(\",\", groups\u{2026}) makes one of a list, found \"groups)\"",
        ),
        ("lower(login", "column 12: expected `)`, found the end"),
        ("lower login", "column 7: expected `(`, found \"login\""),
        ("join(',')", "column 9: expected `,` and what is to be joined, found \")\""),
        ("'abc", "column 5: expected the text's closing quote, found the end"),
        (r#""\w""#, r#"column 2: expected \" or \\, or single quotes around the text, found "\\w\"""#),
        ("extract(login, '(', 0)", "column 16: expected a regular expression (unclosed group), found \"'(', 0)\""),
        ("extract(login, '(a)', 2)", "column 23: expected a number from 0 to 1, found \"2)\""),
        (
            "replace(login, 'a', '$1')",
            "column 21: expected $$ for a dollar sign, or $0 to $0 for a group, found \"'$1')\"",
        ),
        ("attribute.Dep", "attribute.NAME"),
        ("if-in-group('No Name', '', '')", "a group's name"),
        ("truncate(login, -1)", "a number from 0 to 4096"),
        ("truncate(login, 99999999999999999999999)", "a number from 0 to 4096"),
        ("'a\nb'", "no control characters in a text"),
    ] {
        let error = refused(text);
        assert!(error.contains(message), "{text}: {error}");
    }
}

#[test]
fn a_separator_that_a_name_may_hold_is_refused() {
    for separator in ["", "-", "a", "0-"] {
        assert!(refused(&format!("join('{separator}', groups)")).contains("separator"), "{separator}");
        assert!(format!("join('{separator}', login, mail)").parse::<Expression>().is_ok(), "{separator}");
    }
    assert!(refused("join(';', groups-mapped('a' = 'b;c'))").contains("separator"));
    assert!("join(', ', groups, methods)".parse::<Expression>().is_ok());
}

#[test]
fn nothing_grows_without_bound() {
    let deep = |depth: usize| format!("{}login{}", "lower(".repeat(depth), ")".repeat(depth));
    assert!(deep(DEPTH_MAX).parse::<Expression>().is_ok());
    assert!(refused(&deep(DEPTH_MAX + 1)).contains("at most 16 functions inside each other"));
    assert!(refused(&deep(1_300)).contains("at most"));
    assert!(refused(&"a".repeat(EXPRESSION_BYTES_MAX + 1)).contains("at most 8192 bytes"));
    let huge = r"extract(login, '(\w{100}){100}', 0)";
    assert!(refused(huge).contains("a smaller regular expression"), "{}", refused(huge));
    assert!(refused(&format!("extract(login, '{}', 0)", "a".repeat(257))).contains("at most 256 bytes"));
    let mut long = String::from("login");
    for _ in 0..12 {
        long = format!("replace({long}, '', '$0-------------------------')");
    }
    let expression: Expression = long.parse().unwrap();
    assert_eq!(expression.evaluate(&Claims::of(&record(), &assignment())), Err(TooLong));
}

#[test]
fn no_two_texts_become_the_same_value() {
    for (text, value) in [
        ("Anna Berg", "Anna Berg"),
        ("j\u{f6}rg", "UTF-8''j%C3%B6rg"),
        (" root", "UTF-8''%20root"),
        ("root ", "UTF-8''root%20"),
        ("a\tb", "UTF-8''a%09b"),
        ("a\r\nx-postern-user: root", "UTF-8''a%0D%0Ax-postern-user%3A%20root"),
        ("utf-8''j%c3%b6rg", "UTF-8''utf-8%27%27j%25c3%25b6rg"),
        ("UTF-8'x", "UTF-8'x"),
        ("100%", "100%"),
    ] {
        assert_eq!(field_value(text), Ok(Some(value.into())), "{text:?}");
    }
    assert_eq!(field_value(""), Ok(None));
    assert_eq!(field_value(&"\u{e4}".repeat(VALUE_BYTES_MAX / 6 + 1)), Err(TooLong));
}

#[test]
fn headers_are_named_once_and_none_that_means_something() {
    let parse = |text: &str| text.parse::<SsoHeaders>();
    let headers = parse("X-Remote-User=login; x_mail = lower(mail) ;\n X-Absent=provider;").unwrap();
    let (record, assignment) = (record(), assignment());
    let values = headers.values(&Claims::of(&record, &assignment)).unwrap();
    let values: Vec<_> = values.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(values, [("x-remote-user", "anna@corp.example"), ("x_mail", "anna.b@example.com")]);
    assert_eq!(parse("none").unwrap().iter().count(), 0);
    assert_eq!(SsoHeaders::standard().iter().count(), 3);
    for (text, message) in [
        ("", "column 1: expected NAME=EXPRESSION, or none, found the end"),
        ("X-User", "column 7: expected `=`, found the end"),
        ("X-User=login X-Mail=mail", "column 14: expected `;` and another header, or the end, found \"X-Mail=mail\""),
        ("X-User=login; x_USER=mail", "column 15: expected each header once, found \"x_USER\""),
        ("Host=login", "column 1: expected a header that has no meaning of its own"),
        ("content_length=login", "column 1: expected a header that has no meaning of its own"),
        ("X-Postern-Service=login", "column 1: expected a header that has no meaning of its own"),
        ("x.user=login", "column 1: expected a header's name"),
        ("1x=login", "column 1: expected a header's name"),
        (&(0..33).map(|n| format!("x-{n}=login;")).collect::<String>(), "at most 32 headers"),
    ] {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.contains(message), "{text}: {error}");
    }
    for name in ["Transfer-Encoding", "TE", "Cookie", "Authorization", "Forwarded", "X-Forwarded-For", "Connection"] {
        assert!(parse(&format!("{name}=login")).is_err(), "{name}");
    }
    for name in ["Remote-User", "X-Forwarded-User", "X-Postern-User", "OIDC_CLAIM_sub", "X-WEBAUTH-USER"] {
        assert!(parse(&format!("{name}=login")).is_ok(), "{name}");
    }
    let long = (0..32).map(|n| format!("x-{n}='{}';", "a".repeat(200))).collect::<String>();
    assert!(parse(&long).unwrap().values(&Claims::of(&record, &assignment)).is_ok());
    let many = "x-a=join(',', groups)".parse::<SsoHeaders>().unwrap();
    let mut crowd = record.clone();
    crowd.user.groups = (0..300)
        .map(|seq| (UserGroupId::new(TenantId::DEFAULT, seq), format!("a-long-name-{seq}").parse().unwrap()))
        .collect();
    let error = many.values(&Claims::of(&crowd, &assignment)).unwrap_err();
    assert_eq!(error.to_string(), "x-a: what is to be told of the user is too long");
}

fn arbitrary_expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("login".to_owned()),
        Just("mail".to_owned()),
        Just("display-name".to_owned()),
        Just("attribute.department".to_owned()),
        "[ -&(-~\u{e4}\u{1f600}]{0,8}".prop_map(|text| format!("'{text}'")),
    ];
    leaf.prop_recursive(5, 32, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("join(', ', {a}, groups, {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("if-empty({a}, {b})")),
            inner.clone().prop_map(|a| format!("replace({a}, '(.)', '$1$1')")),
            inner.clone().prop_map(|a| format!("extract({a}, '[^@]+', 0)")),
            (inner.clone(), 0_usize..9).prop_map(|(a, n)| format!("truncate({a}, {n})")),
            (prop::sample::select(&["lower", "upper", "trim"][..]), inner).prop_map(|(name, a)| format!("{name}({a})")),
        ]
    })
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,60}") {
        let _ = (text.parse::<Expression>(), text.parse::<SsoHeaders>(), text.parse::<HeaderName>());
    }

    #[test]
    fn words_of_the_language_in_any_order_never_panic(
        words in prop::collection::vec(prop::sample::select([&FUNCTIONS[..], &["(", ")", ",", "=", ";", "login", "groups", "'a'", "1", "x-a"]].concat()), 0..20)
    ) {
        let text = words.concat();
        let _ = (text.parse::<Expression>(), text.parse::<SsoHeaders>());
    }

    #[test]
    fn what_comes_out_is_a_field_value_or_an_error(text in arbitrary_expression(), name in "\\PC{0,20}") {
        let expression: Expression = text.parse().unwrap();
        let (mut record, assignment) = (record(), assignment());
        if let Ok(name) = name.parse() {
            record.user.display_name = name;
        }
        let Ok(result) = expression.evaluate(&Claims::of(&record, &assignment)) else { return Ok(()) };
        prop_assert!(result.len() <= VALUE_BYTES_MAX);
        if let Ok(Some(value)) = field_value(&result) {
            prop_assert!(value.bytes().all(|byte| matches!(byte, b' '..=b'~')) && value.trim() == value, "{value:?}");
        }
    }

    #[test]
    fn values_can_be_told_apart(one in ".{0,12}", other in "(?i)(utf-8'')?[%0-9a-f' \u{e4}]{0,9}") {
        prop_assert_eq!(one == other, field_value(&one) == field_value(&other));
    }
}
