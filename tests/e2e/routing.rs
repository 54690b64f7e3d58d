//! Where an application is reached: under other names, in segments with backends of their own, at the hosts below a wildcard, and
//! at its name below the tenant's suffix. And by which group's connectors, while that changes.

mod moved;
mod wildcard;

use std::time::Duration;

use postern_tests::client::Client;
use postern_tests::origin::Origin;
use postern_tests::person::Person;
use postern_tests::world::{START_TIMEOUT, World, write_secret};

const PASSWORD: &str = "correct horse battery";

/// `HOST:PORT` at the relay.
fn at(world: &World, host: &str) -> String {
    format!("{host}:{}", world.relay_address.port())
}

fn is_served(client: &Client) -> bool {
    client.get("/head").is_ok_and(|answer| answer.status == 200)
}

/// The head that the backend got, in lower case.
fn seen(client: &Client, path: &str) -> String {
    let answer = client.get(path).unwrap();
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.text().to_lowercase()
}

fn refused(world: &World, arguments: &[&str]) -> String {
    world.cli(arguments).unwrap_err().to_string()
}

#[test]
fn an_application_has_as_many_names_as_it_was_given() {
    let world = World::usual().unwrap();
    let origin = Origin::start().unwrap();
    let host = at(&world, "crm.example.org");
    let aliases = format!("external_aliases=https://{host}");
    let client = world.publish_with("crm", &origin.url(), &["--set", &aliases]).unwrap();
    let second = world.client(&host).unwrap();
    world.expect_within(START_TIMEOUT, "it is there by its other name", |_| is_served(&second)).unwrap();
    let head = seen(&second, "/head?x");
    assert!(head.contains(&format!("x-forwarded-host: {host}")), "{head}");
    assert!(head.contains(&format!("host: {}\r\n", origin.address())), "{head}");
    // Who came by one name stays there.
    let inside = origin.url();
    for client in [&client, &second] {
        let answer = client.get(&format!("/redirect?{inside}x")).unwrap();
        assert_eq!(answer.header("location"), Some(format!("https://{}/x", client.host).as_str()));
    }
    // The name is taken.
    let external = format!("https://{host}/");
    let publish =
        ["app", "publish", "wiki", "--external", &external, "--internal", &inside, "--preauth", "passthrough"];
    assert!(refused(&world, &publish).contains("already published as crm"), "{}", refused(&world, &publish));
    let wiki = world.publish("wiki", &inside).unwrap();
    let theirs = format!("external_aliases=https://{}", wiki.host);
    assert!(refused(&world, &["app", "set", "crm", "--set", &theirs]).contains("already published as wiki"));
    // And free again.
    world.cli(&["app", "set", "crm", "--unset", "external_aliases"]).unwrap();
    world.expect_within(START_TIMEOUT, "the name is gone", |_| !is_served(&second)).unwrap();
    assert!(is_served(&client));
    world.cli(&publish).unwrap_err(); // the application of that name is there
    let other = ["app", "publish", "third", "--external", &external, "--internal", &inside, "--preauth", "passthrough"];
    world.cli(&other).unwrap();
    world.expect_within(START_TIMEOUT, "another has the name", |_| is_served(&second)).unwrap();
}

#[test]
fn every_application_has_its_name_below_the_suffix() {
    let world = World::usual().unwrap();
    let origin = Origin::start().unwrap();
    let client = world.publish("crm", &origin.url()).unwrap();
    let own = world.client(&at(&world, "crm.apps.example.net")).unwrap();
    assert!(!is_served(&own));
    world.cli(&["tenant", "set", "default", "--app-suffix", "apps.example.net"]).unwrap();
    world.expect_within(START_TIMEOUT, "it is there by its own name", |_| is_served(&own)).unwrap();
    assert!(is_served(&client));
    assert_eq!(world.json(&["app", "show", "crm"]).unwrap()["cname_target"], "crm.apps.example.net");
    assert!(world.cli(&["app", "show", "crm"]).unwrap().contains("crm.apps.example.net"));
    assert_eq!(world.json(&["tenant", "show", "default"]).unwrap()["app_suffix"], "apps.example.net");
    // One that comes later has its own, too.
    world.publish("wiki", &origin.url()).unwrap();
    let wiki = world.client(&at(&world, "wiki.apps.example.net")).unwrap();
    world.expect_within(START_TIMEOUT, "and the next one", |_| is_served(&wiki)).unwrap();
    let url = origin.url();
    let publish = |name: &str, external: &str| {
        let internal = ["--internal", url.as_str(), "--preauth", "passthrough"];
        world.cli(&[&["app", "publish", name, "--external", external], internal.as_slice()].concat())
    };
    // Names and URLs that would meet are refused, whichever comes first.
    let error = publish("other", "https://crm.apps.example.net/").unwrap_err().to_string();
    assert!(error.contains("is the name of crm below"), "{error}");
    let error = publish("other", "https://*.apps.example.net/").unwrap_err().to_string();
    assert!(error.contains("each application of the tenant has its name"), "{error}");
    publish("early", "https://late.apps.example.net/").unwrap();
    let error = publish("late", "https://late.example.test/").unwrap_err().to_string();
    assert!(error.contains("already published as early"), "{error}");
    world.cli(&["tenant", "create", "acme"]).unwrap();
    let error = refused(&world, &["tenant", "set", "acme", "--app-suffix", "x.apps.example.net"]);
    assert!(error.contains("overlaps"), "{error}");
    world.cli(&["tenant", "set", "default", "--app-suffix", "none"]).unwrap();
    world.expect_within(START_TIMEOUT, "the names are gone", |_| !is_served(&own) && !is_served(&wiki)).unwrap();
    assert!(is_served(&client));
}

#[test]
fn segments_have_backends_of_their_own_under_one_application() {
    let world = World::usual().unwrap();
    let [first, api, other] = [(); 3].map(|()| Origin::start().unwrap());
    let (name, far) = (at(&world, "crm.example.test"), at(&world, "far.example.org"));
    let segments = format!("segments=https://{name}/api/={},https://{far}={}", api.url(), other.url());
    let client = world.publish_with("crm", &first.url(), &["--set", &segments]).unwrap();
    let far = world.client(&far).unwrap();
    world.expect_within(START_TIMEOUT, "the other host is served", |_| is_served(&far)).unwrap();
    for (client, path, origin, line) in [
        (&client, "/head", &first, "get /head http/1.1"),
        (&client, "/api/head?a=b", &api, "get /head?a=b http/1.1"),
        (&far, "/head", &other, "get /head http/1.1"),
    ] {
        let head = seen(client, path);
        assert!(
            head.starts_with(line) && head.contains(&format!("\r\nhost: {}\r\n", origin.address())),
            "{path}: {head}"
        );
    }
    // Links lead from one to the other.
    let answer = client.get(&format!("/redirect?{}x", api.url())).unwrap();
    assert_eq!(answer.header("location"), Some(format!("https://{name}/api/x").as_str()));
    let answer = far.get(&format!("/redirect?{}x", first.url())).unwrap();
    assert_eq!(answer.header("location"), Some(format!("https://{name}/x").as_str()));
    // A segment is another application's place for nobody else, and its own one twice neither.
    let error = refused(&world, &["app", "set", "crm", "--set", &format!("segments=https://{name}/={}", api.url())]);
    assert!(error.contains("is a place of this very application already"), "{error}");
    // What is open in a segment that goes ends; the rest goes on.
    let (mut going, _) = client.websocket("/api/ws", &[]).unwrap();
    let (mut staying, _) = client.websocket("/ws", &[]).unwrap();
    world.cli(&["app", "set", "crm", "--unset", "segments"]).unwrap();
    let (_, closed) = going.drain_within(Duration::from_secs(5)).unwrap();
    assert!(closed, "a segment that went is still served");
    let (_, closed) = staying.drain_within(Duration::from_millis(500)).unwrap();
    assert!(!closed, "what stayed was cut");
    world
        .expect_within(START_TIMEOUT, "its path is the application's again", |_| {
            client.get("/api/head").is_ok_and(|answer| !answer.text().contains(&api.address().to_string()))
        })
        .unwrap();
}

#[test]
fn people_sign_in_at_each_place_and_are_known_at_all() {
    let mut world = World::usual().unwrap();
    world.start_identity().unwrap();
    let origin = Origin::start().unwrap();
    let (alias, api) = (at(&world, "crm.example.org"), at(&world, "api.example.org"));
    let aliases = format!("external_aliases=https://{alias}");
    let segments = format!("segments=https://{api}/v1/={}", origin.url());
    let client = world.publish_with("crm", &origin.url(), &["--set", &aliases, "--set", &segments]).unwrap();
    world.cli(&["app", "set", "crm", "--preauth", "oidc"]).unwrap();
    world.cli(&["tenant", "set", "default", "--app-suffix", "apps.example.net"]).unwrap();
    let file = world.path("password");
    write_secret(&file, &format!("{PASSWORD}\n")).unwrap();
    world
        .cli(&["user", "create", "anna", "--display-name", "Anna Berg", "--password-file", &file.display().to_string()])
        .unwrap();
    world.cli(&["assign", "--user", "anna", "crm"]).unwrap();
    let mut person = Person::new(&client);
    let wanted = format!("https://{alias}/head?page=7");
    let page = person.sign_in(&wanted, "anna", PASSWORD, false).unwrap();
    assert_eq!((page.answer.status, page.url.as_str()), (200, wanted.as_str()), "{}", world.logs());
    assert!(page.answer.text().to_lowercase().contains("x-postern-user: anna"), "{}", page.answer.text());
    let own = at(&world, "crm.apps.example.net");
    for url in
        [format!("https://{}/head", client.host), format!("https://{api}/v1/head"), format!("https://{own}/head")]
    {
        let page = person.open(&url).unwrap();
        assert_eq!((page.answer.status, page.url.as_str()), (200, url.as_str()), "no second password");
    }
    // Without TLS nobody is known.
    let plain = ["app", "set", "crm", "--set", "external_aliases=http://crm.example.org"];
    assert!(refused(&world, &plain).contains("plain text"), "{}", refused(&world, &plain));
    world.cli(&["session", "revoke", "--all"]).unwrap();
    let page = person.open(&format!("https://{alias}/head")).unwrap();
    assert!(page.url.contains("login.example.test"), "signed out at one place, signed out at all: {}", page.url);
}
