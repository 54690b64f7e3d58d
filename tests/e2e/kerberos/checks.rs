//! `postern app check` walks an operator through what Kerberos needs.

use postern_tests::kerberos::{APP, Apache, Kind, OTHER};
use postern_tests::world::{Options, START_TIMEOUT, World, write_secret};

use super::{ALICE, PASSWORD, Realm, connector};
use crate::app_check::{checked, step};

/// As an operator sets it up: what is wrong is named, one after the other, until all of it is good.
fn a_check_walks_an_operator_through(kind: Kind) {
    let Some(realm) = Realm::start(kind) else { return };
    let apache = Apache::start(&realm.kdc, realm.folder.path()).unwrap();
    let world = World::start(Options { connectors: 0, ..Options::default() }).unwrap();
    let delegating = connector(&realm, &world, &realm.kdc.connector_keytab(), "delegating");
    world.expect_within(START_TIMEOUT, "the connector is online", |world| world.connectors_online() == 1).unwrap();
    world.publish("app", &format!("http://{}/", apache.address())).unwrap();
    let file = world.path("password");
    write_secret(&file, &format!("{PASSWORD}\n")).unwrap();
    for user in [ALICE, "nobody@corp.example"] {
        world.cli(&["user", "create", user, "--password-file", &file.display().to_string()]).unwrap();
    }
    world.cli(&["assign", "app", "--user", ALICE]).unwrap();
    let (plain, passed) = checked(&world, &["app"]);
    let (_, challenge) = step(&plain, "challenge");
    assert!(passed && challenge.contains("--set sso=kerberos --set sso_spn=HTTP/"), "{plain:#}");
    let set = |spn: &str| {
        let spn = format!("sso_spn={}", realm.kdc.principal(spn));
        let sso = ["--set", "sso=kerberos", "--set", &spn, "--set", "sso_login=user-part"];
        world.cli(&[&["app", "set", "app", "--preauth", "oidc"], &sso[..]].concat()).unwrap();
    };
    for (spn, user, name, code) in [
        ("HTTP/none.example.test", ALICE, "spn", "KRB5KDC_ERR_S_PRINCIPAL_UNKNOWN (7)"),
        (OTHER, ALICE, "delegate", "KRB5KDC_ERR_BADOPTION (13)"),
        (APP, "nobody@corp.example", "impersonate", "KRB5KDC_ERR_C_PRINCIPAL_UNKNOWN (6)"),
    ] {
        set(spn);
        let (found, passed) = checked(&world, &["app", "--user", user]);
        let (result, said) = step(&found, name);
        assert!(!passed && result == "fail" && said.contains(code), "{kind:?} {spn}: {found:#}");
    }
    let (good, passed) = checked(&world, &["app", "--user", ALICE]);
    assert!(passed, "{kind:?}: {good:#}\n{}", delegating.log_tail());
    for name in ["keytab", "ticket", "clock", "spn", "impersonate", "delegate", "accept"] {
        assert_eq!(step(&good, name).0, "ok", "{good:#}");
    }
    assert!(
        step(&good, "accept").1.contains("proves who it is") && step(&good, "keytab").1.contains("kvno"),
        "{good:#}"
    );
    assert_eq!(step(&good, "access").0, "ok", "{good:#}");
    let (without, passed) = checked(&world, &["app"]);
    assert!(passed && step(&without, "spn").0 == "ok" && step(&without, "delegate").0 == "skipped", "{without:#}");
    let left = std::fs::read_dir(world.path("delegating")).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains("tickets")), "no ticket stays: {left:?}");
}

#[test]
fn a_check_finds_what_heimdal_refuses() {
    a_check_walks_an_operator_through(Kind::Heimdal);
}

#[test]
fn a_check_finds_what_mit_refuses() {
    a_check_walks_an_operator_through(Kind::Mit);
}

/// The application has another clock, and a connector has another's keytab.
#[test]
fn a_check_finds_a_wrong_clock_and_a_wrong_keytab() {
    let Some(realm) = Realm::start(Kind::Heimdal) else { return };
    let apache = Apache::start_with_clock(&realm.kdc, realm.folder.path(), &realm.prepared, 20).unwrap();
    let world = World::start(Options { connectors: 0, ..Options::default() }).unwrap();
    let _good = connector(&realm, &world, &realm.kdc.connector_keytab(), "good");
    world.expect_within(START_TIMEOUT, "the connector is online", |world| world.connectors_online() == 1).unwrap();
    let _wrong = connector(&realm, &world, &realm.kdc.app_keytab(), "wrong");
    world.expect_within(START_TIMEOUT, "both are online", |world| world.connectors_online() == 2).unwrap();
    world.publish("app", &format!("http://{}/", apache.address())).unwrap();
    let spn = format!("sso_spn={}", realm.kdc.principal(APP));
    world.cli(&["app", "set", "app", "--preauth", "oidc", "--set", "sso=kerberos", "--set", &spn]).unwrap();
    let (found, passed) = checked(&world, &["app"]);
    let (result, said) = step(&found, "clock");
    assert!(!passed && result == "fail" && said.contains("NTP"), "{found:#}");
    let differences = found["differences"].to_string();
    assert!(differences.contains("keytab: ok on ") && differences.contains(", fail on "), "{found:#}");
    let steps = found["connectors"][1]["steps"].to_string();
    assert!(steps.contains("it has keys of HTTP/app.example.test@"), "{found:#}");
}
