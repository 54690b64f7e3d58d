//! What the relay answers by itself: in maintenance, to crawlers, to preflights, to scripts without a session; what it adds to
//! every answer; and how its own pages look.

use std::time::Duration;

use postern_tests::client::{Answer, Client};
use postern_tests::origin::Origin;
use postern_tests::origin::websocket::{frame, masked_frame};
use postern_tests::person::Person;
use postern_tests::world::{World, write_secret};

const PASSWORD: &str = "correct horse battery";
const PAGE: &[(&str, &str)] = &[("Accept", "text/html")];
/// One pixel.
const PNG: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// Sets something, and gives back what was warned of.
fn set(world: &World, name: &str, settings: &[&str]) -> String {
    let mut words = vec!["app", "set", name];
    settings.iter().for_each(|setting| words.extend(["--set", *setting]));
    let output = world.cli_output(&words).unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

fn ask(client: &Client, method: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
    client.connect().unwrap().request(method, path, fields, b"").unwrap()
}

/// Until every worker answers so.
fn wait(world: &World, what: &str, is_so: impl Fn() -> bool) {
    world.expect_within(Duration::from_secs(10), what, |_| (0..8).all(|_| is_so())).unwrap();
}

fn published(preauth: &str, settings: &[&str]) -> (World, Origin, Client) {
    let mut world = World::usual().unwrap();
    let origin = Origin::start().unwrap();
    if preauth == "oidc" {
        world.start_identity().unwrap();
    }
    let client = world.publish("app", &origin.url()).unwrap();
    if preauth == "oidc" {
        world.cli(&["app", "set", "app", "--preauth", "oidc"]).unwrap();
        wait(&world, "it asks", || ask(&client, "GET", "/", &[]).status == 401);
    }
    if !settings.is_empty() {
        set(&world, "app", settings);
    }
    (world, origin, client)
}

#[test]
fn in_maintenance_everybody_is_told_so_and_when_to_come_back() {
    let (world, origin, client) = published("passthrough", &[]);
    let (mut open, head) = client.websocket("/ws", &[]).unwrap();
    assert_eq!(head.status, 101);
    let said = set(&world, "app", &["maintenance=New disks until 2030-01-31T06:00:00Z", "error_title=Example AG"]);
    assert!(said.contains("maintenance: every request is answered with 503"), "{said}");
    wait(&world, "maintenance", || ask(&client, "GET", "/bytes/3", &[]).status == 503);
    let before = origin.requests();
    let answer = ask(&client, "POST", "/bytes/3", &[]);
    let json: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((json["code"].as_str(), json["status"].as_u64()), (Some("maintenance"), Some(503)), "{json}");
    assert!(json["detail"].as_str().unwrap().starts_with("New disks until"), "{json}");
    assert!(json["request_id"].is_string() && json["time"].as_str().unwrap().ends_with('Z'), "{json}");
    assert!(answer.header("retry-after").unwrap().parse::<u32>().unwrap() > 1);
    let page = ask(&client, "GET", "/", PAGE).text();
    assert!(page.contains("New disks until") && page.contains("Example AG"), "{page}");
    assert_eq!(origin.requests(), before, "the application is left alone");
    // What was open is left alone, too.
    open.send(&masked_frame(0x81, b"hello")).unwrap();
    assert_eq!(open.exactly(7).unwrap(), frame(0x81, b"hello"));
    set(&world, "app", &["maintenance=off"]);
    wait(&world, "it is back", || ask(&client, "GET", "/bytes/3", &[]).status == 200);
    let refused = world.cli(&["app", "set", "app", "--set", "maintenance=true"]).unwrap_err().to_string();
    assert!(refused.contains("must be off, on, or what users read"), "{refused}");
}

#[test]
fn crawlers_find_nothing_unless_the_application_answers_them() {
    let (world, origin, client) = published("passthrough", &[]);
    let answer = ask(&client, "GET", "/robots.txt", &[]);
    assert_eq!((answer.status, answer.text().as_str()), (200, "User-agent: *\nDisallow: /\n"));
    assert!(origin.heads().iter().all(|head| !head.contains("/robots.txt")));
    let head = ask(&client, "HEAD", "/robots.txt", &[]);
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, Some("26"), 0));
    set(&world, "app", &["robots=pass"]);
    wait(&world, "the application answers", || {
        ask(&client, "GET", "/robots.txt", &[]).text().contains("private application")
    });
}

#[test]
fn browsers_are_told_to_come_by_tls_alone_as_long_as_is_set() {
    let (world, _origin, client) = published("passthrough", &[]);
    let said = || ask(&client, "GET", "/", &[]).header("strict-transport-security").map(str::to_owned);
    assert_eq!(said().as_deref(), Some("max-age=31536000"));
    set(&world, "app", &["hsts=600,includeSubDomains"]);
    wait(&world, "another time", || said().as_deref() == Some("max-age=600; includeSubDomains"));
    set(&world, "app", &["hsts=off"]);
    wait(&world, "nothing", || said().is_none());
    let refused = world.cli(&["app", "set", "app", "--set", "hsts=600,preload"]).unwrap_err().to_string();
    assert!(refused.contains("preload needs includeSubDomains"), "{refused}");
}

#[test]
fn preflights_are_answered_or_passed_on_before_anybody_is_asked() {
    let rules = "cors=/api/ origins=https://a.example,https://*.b.example methods=GET,PUT headers=X-A credentials=true max_age=60; /head pass";
    let (world, _origin, client) = published("oidc", &[rules]);
    let asked = [
        ("Origin", "https://x.b.example"),
        ("Access-Control-Request-Method", "PUT"),
        ("Access-Control-Request-Headers", "x-a"),
    ];
    wait(&world, "the rules", || ask(&client, "OPTIONS", "/api/x", &asked).status == 204);
    let answer = ask(&client, "OPTIONS", "/api/x", &asked);
    for (name, value) in [
        ("access-control-allow-origin", "https://x.b.example"),
        ("access-control-allow-methods", "GET, PUT"),
        ("access-control-allow-headers", "x-a"),
        ("access-control-allow-credentials", "true"),
        ("access-control-max-age", "60"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{answer:?}");
    }
    let from_elsewhere = [("Origin", "https://evil.example"), asked[1]];
    let refused = ask(&client, "OPTIONS", "/api/x", &from_elsewhere);
    assert!(refused.status == 403 && refused.text().contains("cors-refused"), "{refused:?}");
    assert_eq!(refused.header("access-control-allow-origin"), None);
    assert_eq!(ask(&client, "OPTIONS", "/other", &asked).status, 401, "no rule is there");
    // The application answers those itself; nothing else gets in with them.
    let passed = ask(&client, "OPTIONS", "/head", &asked);
    assert!(passed.status == 200 && passed.text().starts_with("OPTIONS /head "), "{passed:?}");
    assert_eq!(ask(&client, "GET", "/head", &asked).status, 401);
    let with_cookie = [asked[0], asked[1], ("Cookie", "a=1")];
    assert_eq!(ask(&client, "OPTIONS", "/head", &with_cookie).status, 401);

    let script = [("Origin", "https://a.example"), ("Sec-Fetch-Mode", "cors"), ("Accept", "text/html, */*")];
    let answer = ask(&client, "GET", "/api/x", &script);
    assert_eq!((answer.status, answer.header("location")), (401, None), "{answer:?}");
    let json: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(json["code"], "sign-in-required");
    assert_eq!(json["sign_in"], format!("https://{}/", client.host));
    assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer "), "{answer:?}");
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://a.example"));
    let refused = world.cli(&["app", "set", "app", "--set", "cors=/ origins=* credentials=true"]).unwrap_err();
    assert!(refused.to_string().contains("any page could act as the user"), "{refused}");
}

#[test]
fn answers_of_the_application_can_be_read_by_pages_of_listed_origins() {
    let (world, _origin, client) = published("passthrough", &["cors=/ origins=https://a.example expose=X-A"]);
    let of = |origin: &str| {
        let answer = ask(&client, "GET", "/bytes/3", &[("Origin", origin)]);
        (answer.header("access-control-allow-origin").map(str::to_owned), answer.header("vary").map(str::to_owned))
    };
    let (allowed, varies) = (Some("https://a.example".to_owned()), Some("Origin".to_owned()));
    wait(&world, "the rule", || of("https://a.example") == (allowed.clone(), varies.clone()));
    assert_eq!(of("https://evil.example"), (None, varies));
}

#[test]
fn a_sessions_cookie_has_the_attributes_that_were_chosen_and_their_risks_are_named() {
    let (world, _origin, client) = published("oidc", &[]);
    let file = world.path("password");
    write_secret(&file, &format!("{PASSWORD}\n")).unwrap();
    let file = file.display().to_string();
    world.cli(&["user", "create", "anna", "--display-name", "Anna Berg", "--password-file", &file]).unwrap();
    world.cli(&["assign", "--user", "anna", "app"]).unwrap();
    let url = format!("https://{}/head", client.host);
    let risks = set(&world, "app", &["cookie_persistent=true", "cookie_http_only=false", "cookie_same_site=none"]);
    for risk in
        ["cookie_persistent=true: whoever uses the browser profile later", "cookie_http_only=false: every script"]
    {
        assert!(risks.contains(risk), "{risks}");
    }
    let refused = world.cli(&["app", "set", "app", "--set", "cookie_secure=false"]).unwrap_err().to_string();
    assert!(refused.contains("needs cookie_secure=true"), "{refused}");
    // By a page of its own, as no redirect that another site began would bring the cookie.
    let safe = ["cookie_persistent=false", "cookie_http_only=true", "cookie_same_site=strict", "hsts=61"];
    assert!(!set(&world, "app", &safe).contains("cookie_"));
    let is_known = |hsts: &str| ask(&client, "GET", "/", &[]).header("strict-transport-security") == Some(hsts);
    wait(&world, "the strict cookie", || is_known("max-age=61"));
    let mut person = Person::new(&client);
    let page = person.sign_in(&url, "anna", PASSWORD, false).unwrap();
    let head = page.answer.text().to_lowercase();
    assert!(page.answer.status == 200 && head.contains("x-postern-user: anna"), "{page:?}");
    let plain = set(&world, "app", &["cookie_same_site=lax", "cookie_secure=false", "hsts=62"]);
    assert!(plain.contains("cookie_secure=false: browsers send the session's cookie in plain text"), "{plain}");
    wait(&world, "the cookie without Secure", || is_known("max-age=62"));
    let mut person = Person::new(&client);
    let page = person.sign_in(&url, "anna", PASSWORD, false).unwrap();
    let head = page.answer.text().to_lowercase();
    assert!(page.answer.status == 200 && !head.contains("postern-session-"), "the application gets it: {page:?}");
    assert!(person.cookie(&client.host).contains("postern-session-a1-"), "{}", person.cookie(&client.host));
}

#[test]
fn error_pages_are_the_organisations_own_and_say_no_internal_name() {
    let logo = format!("error_logo={PNG}");
    let settings = ["error_title=Example & Co", "error_support=help@example.com", &*logo];
    let (mut world, origin, client) = published("passthrough", &settings);
    world.connectors.clear();
    wait(&world, "503", || ask(&client, "GET", "/", &[]).status == 503);
    let answer = ask(&client, "GET", "/", PAGE);
    let page = answer.text();
    for part in [
        "<html lang=\"en\">",
        "Example &amp; Co",
        PNG,
        "mailto:help@example.com",
        "connector-unavailable",
        "<dt>Status</dt><dd>503</dd>",
        "<dt>Request id</dt>",
        "<dt>Time (UTC)</dt>",
        "color-scheme: light dark",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains(&origin.address().to_string()), "{page}");
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; img-src data:;"), "{policy}");
    assert_eq!(
        (answer.header("x-content-type-options"), answer.header("cache-control")),
        (Some("nosniff"), Some("no-store"))
    );
    let json = ask(&client, "GET", "/", &[("Accept", "application/json")]);
    assert_eq!(json.header("content-type"), Some("application/problem+json"));
    let json: serde_json::Value = serde_json::from_slice(&json.body).unwrap();
    assert_eq!(
        (json["code"].as_str(), json["support"].as_str()),
        (Some("connector-unavailable"), Some("help@example.com"))
    );
    let refused = world.cli(&["app", "set", "app", "--set", "error_logo=data:image/svg+xml;base64,AAAA"]).unwrap_err();
    assert!(refused.to_string().contains("PNG"), "{refused}");
}
