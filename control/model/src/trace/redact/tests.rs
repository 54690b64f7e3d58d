use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn recorded(kind: &str, body: &str) -> String {
    String::from_utf8(content(kind, body.as_bytes()).unwrap().into_owned()).unwrap()
}

#[test]
fn names_of_secrets_are_known_in_every_spelling() {
    for name in [
        "password",
        "PassWord",
        "new_password",
        "user[password]",
        "pass%77ord",
        "access_token",
        "X-API-Key",
        "code",
        "sid",
        "JSESSIONID",
        "client_secret",
        "id_token",
        "SAMLResponse",
        "csrfmiddlewaretoken",
        "pwd",
        "otp",
        "__Host-session",
        "PHPSESSID",
        "SAMLart",
        "pass[pass1]",
        "pass1",
        "user_pass",
        "horde_pass",
        "db_pass",
        "userpw",
        "user_pin",
        "pwd1",
        "otp_attempt",
        "totp_code",
        "sms_code",
        "bearer",
        "X-Auth",
        "X-Registry-Auth",
    ] {
        assert!(is_secret(name), "{name}");
    }
    for name in [
        "page",
        "q",
        "user",
        "lang",
        "zip_code",
        "status",
        "accept",
        "monk",
        "encode",
        "decoder",
        "content-type",
        "compass",
        "bypass",
        "spin",
        "passenger",
        "author",
        "address1",
        "123",
    ] {
        assert!(!is_secret(name), "{name}");
    }
}

#[test]
fn urls_keep_everything_but_secrets() {
    for (given, expected) in [
        ("https://a.example/x?page=2&q=b", "https://a.example/x?page=2&q=b"),
        ("https://a.example/x?token=abc&q=b", "https://a.example/x?token=[redacted]&q=b"),
        ("/cb?state=1;x&code=s3cret#id_token=y", "/cb?state=[redacted]&code=[redacted]#id_token=[redacted]"),
        ("https://anna:pw@a.example/x", "https://[redacted]@a.example/x"),
        ("/a;jsessionid=12?b=c", "/a;jsessionid=[redacted]"),
        ("/x?url=https://b/?key=1", "/x?url=https://b/?key=[redacted]"),
        ("/x?to=%2Fy%3Ftoken%3Dabc&q=1", "/x?to=[redacted]&q=1"),
        ("/x?to=%252Fy%253Ftoken%253Dabc", "/x?to=[redacted]"),
        ("/x?to=https%3A%2F%2Fanna%3Apw%40b%2F", "/x?to=[redacted]"),
        ("/x?to=%2Fy%3Fpage%3D2", "/x?to=%2Fy%3Fpage%3D2"),
        ("/x?proof=eyJhbGciOiJ9.e30.c2ln", "/x?proof=[redacted]"),
        ("/x?token=&token", "/x?token=&token"),
        ("/reset/eyJhbGciOiJ9.e30.c2ln/form?a=b", "/reset/[redacted]/form?a=b"),
        ("/x?variables={\"password\":\"s3cret\"}&q=1", "/x?variables=[redacted]&q=1"),
        ("/x?variables=%7B%22user%22:%7B%22password%22:%22s3cret%22%7D%7D", "/x?variables=[redacted]"),
        ("/x?variables=%7B%22page%22:2%7D", "/x?variables=%7B%22page%22:2%7D"),
        ("/%zz?%=%&=", "/%zz?%=%&="),
    ] {
        assert_eq!(url(given), expected, "{given}");
    }
}

#[test]
fn fields_keep_names_schemes_and_attributes() {
    for (name, given, expected) in [
        ("cookie", "a=1; b=2", "a=[redacted]; b=[redacted]"),
        ("cookie", "alone", "[redacted]"),
        ("set-cookie", "sid=abc; Path=/; HttpOnly", "sid=[redacted]; Path=/; HttpOnly"),
        ("authorization", "Bearer abc.def", "Bearer [redacted]"),
        ("authorization", "abc", "[redacted]"),
        ("proxy-authorization", "Basic YTpi", "Basic [redacted]"),
        ("www-authenticate", "Negotiate oYG2", "Negotiate [redacted]"),
        ("www-authenticate", "Basic realm=\"x\"", "Basic realm=\"x\""),
        ("x-api-key", "1", "[redacted]"),
        ("x-who", "eyJhbGciOiJ9.e30.c2ln", "[redacted]"),
        ("x-who", "Bearer eyJhbGciOiJ9.e30.c2ln", "Bearer [redacted]"),
        ("x-who", "anna:eyJhbGciOiJ9.e30.c2ln", "anna:[redacted]"),
        ("location", "/reset/eyJhbGciOiJ9.e30.c2ln/", "/reset/[redacted]/"),
        ("x-params", "a=b; token=\"s3cret; x\"; c=d", "a=b; token=\"[redacted]\"; c=d"),
        ("x-params", "token=s3cret; a=b", "token=[redacted] a=b"),
        ("x-params", "a=b, token='s3 cret'", "a=b, token='[redacted]'"),
        ("x-params", "a=\"/x?token=s3cret\"", "a=\"/x?token=[redacted]\""),
        ("x-json", "{\"password\":\"s3cret\"}", "{\"password\":\"[redacted]\"}"),
        ("set-cookie", "sid=abc; s3cret; Max-Age=5;token=x", "sid=[redacted]; [redacted]; Max-Age=5; [redacted]"),
        ("www-authenticate", "Basic realm=\"x, y\", Negotiate oYG2==", "Basic realm=\"x, y\", Negotiate [redacted]"),
        ("www-authenticate", "Negotiate, Basic realm=\"x\"", "Negotiate, Basic realm=\"x\""),
        ("sec-websocket-protocol", "v1, base64.abc", "[redacted]"),
        ("access-control-allow-credentials", "true", "true"),
        ("location", "https://l.example/?state=abc", "https://l.example/?state=[redacted]"),
        ("referer", "https://a:b@c.example/?q=1", "https://[redacted]@c.example/?q=1"),
        ("link", "<https://a/?key=1>; rel=next", "<https://a/?key=[redacted]>; rel=next"),
        ("x-params", "a=b; token=c", "a=b; token=[redacted]"),
        ("accept", "text/html;q=0.9, */*", "text/html;q=0.9, */*"),
    ] {
        assert_eq!(header(name, given), expected, "{name}: {given}");
    }
}

#[test]
fn forms_keep_all_but_the_values_of_secrets() {
    let urlencoded = "application/x-www-form-urlencoded";
    assert_eq!(recorded(urlencoded, "login=anna&pass%77ord=a b;c&x=1"), "login=anna&pass%77ord=[redacted]&x=1");
    assert_eq!(
        recorded(urlencoded, "login=anna&password=begin"),
        "login=anna&password=[redacted]",
        "cut in its middle"
    );
    assert_eq!(recorded("", "password=abc"), "password=[redacted]", "a form that says not what it is");
    assert_eq!(recorded(urlencoded, "[x]=1&password=b"), "[x]=1&password=[redacted]", "no JSON");
    let cut = content(urlencoded, b"password=a\xc3").unwrap();
    assert_eq!(&*cut, b"password=[redacted]", "in the middle of a character");
    let latin = content(urlencoded, b"login=J\xfcrgen&password=a\xdf").unwrap();
    assert_eq!(&*latin, b"login=J\xfcrgen&password=[redacted]", "in another encoding");
    let part =
        |name: &str, value: &str| format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let whole = [part("login", "anna"), part("password", "s3cret"), part("x", "1")].concat() + "--b--\r\n";
    let kept = [part("login", "anna"), part("password", "[redacted]"), part("x", "1")].concat() + "--b--\r\n";
    assert_eq!(recorded("multipart/form-data; boundary=b", &whole), kept);
    assert_eq!(recorded("multipart/form-data; boundary=\"b\"", &whole), kept);
    for end in 0..whole.len() {
        let cut = recorded("multipart/form-data; boundary=b", &whole[..end]);
        assert!(!cut.contains("s3c"), "{cut}");
    }
    assert!(content("multipart/form-data", whole.as_bytes()).is_err(), "nobody knows where its fields end");
}

#[test]
fn parts_are_looked_through_by_their_own_types() {
    let kind = "multipart/form-data; boundary=b";
    let part = |head: &str, value: &str| format!("--b\n{head}\n\n{value}\n--b--\n");
    let named = "Content-Disposition: form-data; name=\"x\"";
    let typed = |more: &str| format!("{named}\n{more}");
    for (head, value, expected) in [
        ("Content-Disposition: form-data; name=\"password\"".to_owned(), "s3cret", "[redacted]"),
        (typed("content-type: application/json"), "{\"token\":\"s3cret\"}", "{\"token\":\"[redacted]\"}"),
        (typed("Content-Type: text/xml"), "<password>s3cret</password>", "[redacted]"),
        (typed("Content-Type: multipart/mixed; boundary=c"), "s3cret", "[redacted]"),
        (typed("Content-Transfer-Encoding: base64"), "czNjcmV0", "[redacted]"),
        (typed("Content-Type: text/html"), "<p>", "<p>"),
    ] {
        assert_eq!(recorded(kind, &part(&head, value)), part(&head, expected));
    }
    let odd = format!("s3cret{}--b\r\nname=s3cret", part(named, "y"));
    assert!(!recorded(kind, &odd).contains("s3cret"), "before the first and in a head without an end");
    let mixed = "--b\r\nContent-Type: application/json\r\n\r\n{\"token\":\"s3cret\"}\r\n--b--";
    assert!(!recorded("multipart/mixed; boundary=b", mixed).contains("s3cret"));
}

#[test]
fn what_a_form_or_a_text_says_it_is_is_not_believed() {
    let form = "application/x-www-form-urlencoded";
    assert_eq!(recorded(form, r#"{"password":"s3cret"}"#), r#"{"password":"[redacted]"}"#);
    assert_eq!(recorded(form, "payload=%7B%22password%22%3A%22s3cret%22%7D&a=b"), "payload=[redacted]&a=b");
    assert_eq!(
        recorded("text/plain", "user=anna\r\npassword=a b\r\nx=y\n"),
        "user=anna\r\npassword=[redacted]\r\nx=y\n"
    );
    assert!(content("text/plain", b"<a><password>s3cret</password></a>").is_err());
    assert!(content("", b" <a password='s3cret'/>").is_err());
    let wide: Vec<u8> = "{\"password\":\"s3cret\"}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(content("application/json", &wide).is_err());
    assert!(content("text/xml; charset=UTF-16BE", b"\0<\0a").is_err());
    assert!(content("", b"\xff\xfea\0").is_err());
}

#[test]
fn what_is_malformed_hides_nothing() {
    let form = "application/x-www-form-urlencoded";
    for (kind, given) in [
        (form, r#"{"a":"token=x \u&password=s3cret"#),
        (form, r#"{"token":"x","a":"\u00&password=s3cret"#),
        ("text/plain", "{\"a\":\"token=x \\u\npassword=s3cret"),
        ("", r#"[{"a":"token=x \ud&password=s3cret"}]"#),
        ("application/json", r#"{"a":"token=x \u&password=s3cret"}"#),
        ("application/json", r#"{"a":"{\"b\":\"token=x \\u&password=s3cret\"}"}"#),
        ("application/json", "login=anna&password=s3cret"),
        ("text/html", "[a]=1\npassword=s3cret"),
    ] {
        let kept = content(kind, given.as_bytes()).map_or_else(|_| Vec::new(), Cow::into_owned);
        assert!(!String::from_utf8_lossy(&kept).contains("s3cret"), "{kind}: {given}");
    }
    assert!(content(form, br#"{"token":"x","a":"\u&password=s3cret"#).is_err(), "both, and neither is right");
    assert_eq!(recorded("application/json", r#"{"a":"b=c \u&d"#), r#"{"a":"b=c \u&d"#, "no secret");
}

#[test]
fn what_stands_in_strings_of_json_is_found() {
    let kind = "application/json";
    for (given, expected) in [
        (
            r#"{"access":"eyJh.e30.c2ln","refresh":"eyJi.e30.c2ln"}"#,
            r#"{"access":"[redacted]","refresh":"[redacted]"}"#,
        ),
        (r#"{"next":"https:\/\/a\/?token=s3cret","b":1}"#, r#"{"next":"https://a/?token=[redacted]","b":1}"#),
        (r#"["https://anna:s3cret@a/"]"#, r#"["https://[redacted]@a/"]"#),
        (r#"{"q":"a\u003db&t\u006fken=s3cret"}"#, r#"{"q":"a=b&token=[redacted]"}"#),
        (r#"{"body":"{\"password\":\"s3cret\"}"}"#, r#"{"body":"{\"password\":\"[redacted]\"}"}"#),
        (r#"{"name":"password","value":"s3cret"}"#, r#"{"name":"password","value":"[redacted]"}"#),
        (r#"[{"value":{"a":["s3cret"]},"Name":"Cookie"}]"#, r#"[{"value":"[redacted]","Name":"Cookie"}]"#),
        (
            r#"[{"name":"a","value":"b"},{"name":"pin","value":1}]"#,
            r#"[{"name":"a","value":"b"},{"name":"pin","value":"[redacted]"}]"#,
        ),
        (r#"{"a":"b\/c = d\u00e4","e":"1.5"}"#, r#"{"a":"b\/c = d\u00e4","e":"1.5"}"#),
    ] {
        assert_eq!(recorded(kind, given), expected);
    }
    let whole = r#"{"name":"password","value":"s3cret","b":"?token=s3cret","c":"{\"pin\":\"s3cret\"}"}"#;
    for end in 0..whole.len() {
        assert!(!recorded(kind, &whole[..end]).contains("s3"), "{end}");
    }
}

#[test]
fn members_of_json_are_found_wherever_it_is_cut() {
    let kind = "application/json";
    for (given, expected) in [
        (r#"{"a":1,"password":"x\"y","b":[2]}"#, r#"{"a":1,"password":"[redacted]","b":[2]}"#),
        (r#"{"p\u0061ssword" : "x"}"#, r#"{"p\u0061ssword" : "[redacted]"}"#),
        (r#"{"token":{"a":["}",1]},"b":2}"#, r#"{"token":"[redacted]","b":2}"#),
        (r#"{"pin":1234}"#, r#"{"pin":"[redacted]"}"#),
        (r#"["password",{"x":"token"}]"#, r#"["password",{"x":"token"}]"#),
        ("{\"a\":1}\n{\"secret\":\"x\"}\n", "{\"a\":1}\n{\"secret\":\"[redacted]\"}\n"),
    ] {
        assert_eq!(recorded(kind, given), expected);
        assert_eq!(recorded("", given), expected, "whatever it says it is");
    }
    let whole = r#"{"a":"b","x":{"password":"s3cret","c":"d"}}"#;
    for end in 0..whole.len() {
        assert!(!recorded("application/problem+json", &whole[..end]).contains("s3"), "{end}");
    }
    for odd in ["", "\"", "{\"", "{\"token\"", "{\"token\":", "}{", "]]", "{\"token\":]", "{\"token\":{]}"] {
        let _ = recorded(kind, odd);
    }
}

#[test]
fn xml_that_names_a_secret_is_not_recorded() {
    let login = b"<s:Envelope><wsse:Password Type=\"x\">s3cret</wsse:Password></s:Envelope>";
    assert!(content("text/xml; charset=utf-8", login).is_err());
    assert!(content("application/soap+xml", login).is_err());
    assert!(content("text/xml", b"<login user=\"anna\" password = \"s3cret\"/>").is_err());
    assert!(content("text/xml", b"<add key=\"x\" a:name=\"y\"/>").is_err());
    assert!(content("text/xml", b"<param name=\"password\">s3cret</param>").is_err());
    assert!(content("text/xml", b"<a><b>password</b></a>").is_ok());
    assert!(content("text/xml", b"<a b=\"password\" name='c'/>").is_ok());
}

#[test]
fn other_content_is_as_it_was() {
    let bytes = [0_u8, 159, 146, 150];
    assert_eq!(&*content("image/png", &bytes).unwrap(), &bytes);
    assert_eq!(&*content("", &bytes).unwrap(), &bytes);
    assert_eq!(recorded("text/html", "<p>token=1</p>"), "<p>token=1</p>");
}

#[test]
fn whatever_comes_takes_time_by_its_length_only() {
    let begun = std::time::Instant::now();
    for piece in ["a=%41;", "?a=%41", "&a=%25", "a=eyJ..;", "//@", "{\"token\":[", "\"a\" ", "<a", "--b\r\n"] {
        let long = piece.repeat((64 << 10) / piece.len());
        let _ = (url(&long), header("x-a", &long), header("cookie", &long), header("set-cookie", &long));
        for kind in ["", "application/json", "text/xml", "multipart/form-data; boundary=b"] {
            let _ = content(kind, long.as_bytes());
        }
    }
    // A minute and more, if each piece were looked at with all that follow it.
    assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{:?}", begun.elapsed());
    let boundary = "b".repeat(71);
    assert!(content(&format!("multipart/form-data; boundary={boundary}"), b"x").is_err(), "none that may be");
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(text in ".{0,200}", bytes in vec(any::<u8>(), 0..300), kind in 0..5_usize) {
        let form = "application/x-www-form-urlencoded";
        let kinds = ["", "application/json", "text/xml", "multipart/form-data; boundary=b", form];
        let _ = (url(&text), header("x-a", &text), header("cookie", &text), header("authorization", &text));
        let _ = (content(kinds[kind], &bytes), content(kinds[kind], text.as_bytes()));
    }

    #[test]
    fn a_secret_parameter_is_replaced_wherever_it_stands(
        before in "[a-z0-9=&;?/%#.]{0,30}",
        after in "[a-z0-9=&;?/%#.]{0,30}",
    ) {
        let given = format!("https://a.example/x?{before}&token=S3CRET&{after}");
        prop_assert!(!url(&given).contains("S3CRET"), "{given}");
        prop_assert!(!header("referer", &given).contains("S3CRET"), "{given}");
        let form = format!("{before}&token=S3CRET&{after}");
        let recorded = content("application/x-www-form-urlencoded", form.as_bytes()).unwrap();
        prop_assert!(!String::from_utf8_lossy(&recorded).contains("S3CRET"), "{form}");
    }
}
