//! Domains of tenants: a record in a real DNS shows whose they are, and what is published elsewhere is refused where the deployment
//! asks for that.

use std::process::Output;

use postern_tests::dnsmasq::Dnsmasq;
use postern_tests::pass_over;
use postern_tests::world::{Options, World};

/// A name server and a control that asks it; `required`: nothing is published but at verified domains.
fn scene(required: bool) -> Option<(tempfile::TempDir, Dnsmasq, World)> {
    if !Dnsmasq::is_possible() {
        pass_over("needs dnsmasq-base");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let dns = Dnsmasq::start(folder.path(), &[]).unwrap();
    let mut control = vec!["--dns-server".to_owned(), dns.address().to_string()];
    control.extend(required.then(|| "--verified-domains".to_owned()));
    let world = World::start(Options { control, ..Options::default() }).unwrap();
    world.cli(&["tenant", "create", "other"]).unwrap();
    Some((folder, dns, world))
}

fn publish(world: &World, tenant: &str, name: &str, host: &str) -> Output {
    let external = format!("https://{host}/");
    let words = ["--tenant", tenant, "app", "publish", name, "--external", &external];
    world
        .cli_output(&[&words[..], &["--internal", "http://127.0.0.1:9/", "--preauth", "passthrough"]].concat())
        .unwrap()
}

/// Refused, with all of these words.
fn refused(output: &Output, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(words.iter().all(|word| said.contains(word)), "{said}");
}

fn done(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Adds the domain for the default tenant, and puts its record into the DNS.
fn added(world: &World, dns: &mut Dnsmasq, domain: &str) -> String {
    let added = world.json(&["domain", "add", domain]).unwrap();
    let (name, value) = (added["record_name"].as_str().unwrap(), added["record_value"].as_str().unwrap());
    dns.set(&[(name, "v=spf1 -all"), (name, value)]).unwrap();
    value.to_owned()
}

#[test]
fn a_domain_is_verified_by_its_record_and_nobody_elses_then() {
    let Some((_folder, mut dns, world)) = scene(false) else { return };
    let run = |words: &[&str]| world.cli_output(words).unwrap();
    let first = world.cli(&["domain", "add", "example.test"]).unwrap();
    assert!(first.contains("_postern-challenge.example.test TXT \"postern-verification="), "{first}");
    refused(&run(&["domain", "verify", "example.test"]), &["no TXT record _postern-challenge.example.test"]);
    dns.set(&[("_postern-challenge.example.test", "postern-verification=0123")]).unwrap();
    refused(&run(&["domain", "verify", "example.test"]), &["none of them is this one"]);
    // A record that another tenant was told proves nothing for this one.
    let theirs = world.json(&["--tenant", "other", "domain", "add", "example.test"]).unwrap();
    let value = added(&world, &mut dns, "example.test");
    assert_ne!(theirs["record_value"].as_str().unwrap(), value);
    refused(&run(&["--tenant", "other", "domain", "verify", "example.test"]), &["none of them is this one"]);
    done(&run(&["domain", "verify", "example.test"]));
    let list = world.json(&["domain", "list"]).unwrap();
    assert!(list["items"][0]["verified_unix"].as_u64().is_some(), "{list}");

    // From now on it is this tenant's, with all names below.
    refused(&run(&["--tenant", "other", "domain", "verify", "example.test"]), &["the tenant default has verified"]);
    refused(&run(&["--tenant", "other", "domain", "add", "sub.example.test"]), &["the tenant default has verified"]);
    refused(&publish(&world, "other", "a", "a.example.test"), &["a.example.test", "the tenant default has verified"]);
    refused(&publish(&world, "other", "b", "*.example.test"), &["the tenant default has verified"]);
    refused(&run(&["--tenant", "other", "cert", "request", "a.example.test"]), &["the tenant default has verified"]);
    done(&publish(&world, "default", "a", "a.example.test"));
    // Nothing is asked of other hosts here.
    done(&publish(&world, "other", "c", "c.example.org"));
    let removed = run(&["domain", "remove", "example.test"]);
    done(&removed);
    assert!(String::from_utf8_lossy(&removed.stderr).contains("1 applications are published"), "{removed:?}");
    done(&publish(&world, "other", "b", "b.example.test"));
}

#[test]
fn nothing_is_published_at_an_unverified_domain_where_that_is_asked() {
    let Some((_folder, mut dns, world)) = scene(true) else { return };
    refused(&publish(&world, "default", "a", "a.example.test"), &["a.example.test", "postern domain add"]);
    let value = added(&world, &mut dns, "example.test");
    refused(&publish(&world, "default", "a", "a.example.test"), &["not verified yet", &value]);
    let file = world.path("apps.toml");
    let text = "[app.a]\nexternal = \"https://a.example.test/\"\ninternal = \"http://127.0.0.1:9/\"\npreauth = \"passthrough\"\n";
    std::fs::write(&file, text).unwrap();
    let apply = || world.cli_output(&["apply", "-f", file.to_str().unwrap()]).unwrap();
    refused(&apply(), &["not verified yet"]);
    world.cli(&["domain", "verify", "example.test"]).unwrap();
    done(&apply());
    done(&publish(&world, "default", "b", "b.example.test"));
    // What is there can be changed, but not moved to where it could not be published.
    world.cli(&["domain", "remove", "example.test"]).unwrap();
    done(&world.cli_output(&["app", "set", "b", "--set", "backend_timeout_ms=1000"]).unwrap());
    refused(
        &world.cli_output(&["app", "set", "b", "--external", "https://c.example.test/"]).unwrap(),
        &["postern domain add"],
    );
}
