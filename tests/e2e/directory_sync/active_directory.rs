//! The same of a real domain as Active Directory's are: what only such a directory has.

use std::fmt::Write as _;
use std::time::Duration;

use postern_tests::process::Process;
use postern_tests::samba::{BASE, Domain};
use postern_tests::world::{World, write_secret};
use serde_json::{Value, json};

use super::scene::Scene;
use super::troubles;

/// Of the namespace that the domain is in.
const SUBNET: u8 = 61;

/// A domain takes its time to be made: one for all.
#[test]
fn users_and_groups_follow_a_domain() {
    let Some(mut scene) = Scene::of_a_domain(SUBNET) else { return };
    are_read(&scene);
    stay_who_they_are(&scene);
    are_met_when_they_change(&scene);
    are_read_in_pages(&scene);
    are_gone_when_they_are_deleted(&scene);
    are_read_with_the_whole_domain(&scene);
    are_read_by_start_tls(&mut scene);
}

/// How somebody is called here.
fn login(name: &str) -> String {
    format!("{name}@corp.example.test")
}

/// In order: the directory has none.
fn groups_of(scene: &Scene<Domain>, name: &str) -> Vec<String> {
    let mut groups = scene.groups_of(&login(name));
    groups.sort();
    groups
}

fn are_read(scene: &Scene<Domain>) {
    scene.tool(&[
        "user create anna Pass-word-1 --userou=OU=People --given-name=Anna --surname=Berg --mail-address=anna@corp.example.test --department=sales",
        "user create bert Pass-word-1 --userou=OU=People",
        "group add sales --groupou=OU=Groups",
        "group add staff --groupou=OU=Groups",
        "group addmembers sales anna",
        "group addmembers staff sales,bert",
    ]);
    let last = scene.run();
    let counts = (&last["failed"], &last["created"], &last["troubles_total"]);
    let log = scene.sync.as_ref().map(Process::log_tail);
    assert_eq!(counts, (&Value::Null, &json!(4), &json!(0)), "{last}\n{log:?}");
    let anna = scene.user(&login("anna"));
    assert_eq!(
        (&anna["display_name"], &anna["mail"], &anna["enabled"], &anna["source"]),
        (&json!("Anna Berg"), &json!(login("anna")), &json!(true), &json!("corp"))
    );
    for (name, value) in [
        ("onprem_upn", &*login("anna")),
        ("sam_account_name", "anna"),
        ("given_name", "Anna"),
        ("family_name", "Berg"),
        ("department", "sales"),
    ] {
        assert_eq!(anna["attributes"][name], value, "{anna}");
    }
    assert_eq!(groups_of(scene, "anna"), ["sales", "staff"], "nested ones count");
    assert_eq!(groups_of(scene, "bert"), ["staff"]);
    let again = scene.run();
    assert_eq!((&again["created"], &again["changed"], &again["removed"]), (&json!(0), &json!(0), &json!(0)), "{again}");
}

/// By `objectGUID`: another name, another place, and somebody else of the old name.
fn stay_who_they_are(scene: &Scene<Domain>) {
    let anna = scene.user(&login("anna"));
    scene.tool(&[
        "ou add OU=Berlin,OU=People",
        "user rename anna --surname=Ek --samaccountname=anna.ek --upn=anna.ek@corp.example.test --reset-cn",
        "user move anna.ek OU=Berlin,OU=People",
    ]);
    scene.run();
    scene.tool(&[
        // For later, and not the last change that the next reading sees: that is looked at once more.
        "user create carl Pass-word-1",
        "group addmembers staff carl",
        "user create anna Pass-word-1 --userou=OU=People --given-name=Anna --surname=Berg",
    ]);
    scene.run();
    let (moved, other) = (scene.user(&login("anna.ek")), scene.user(&login("anna")));
    assert_eq!((&moved["id"], &moved["attributes"]["family_name"]), (&anna["id"], &json!("Ek")), "{moved}");
    assert!(other["id"].is_string() && other["id"] != anna["id"], "{other}");
    assert_eq!(groups_of(scene, "anna.ek"), ["sales", "staff"]);
    assert_eq!(groups_of(scene, "anna"), Vec::<String>::new());
}

/// Between readings of everything, by `uSNChanged`.
fn are_met_when_they_change(scene: &Scene<Domain>) {
    scene.world.cli(&["directory-sync", "set", "corp", "--interval", "5s", "--full-every", "1h"]).unwrap();
    scene.run();
    let met = |what: &str, is_true: &dyn Fn() -> bool| {
        scene.world.expect_within(Duration::from_secs(20), what, |_: &World| is_true()).unwrap();
    };
    let is_enabled = |name: &str| scene.user(&login(name))["enabled"] == true;
    let is_in = |group: &str, name: &str| groups_of(scene, name).contains(&group.to_owned());
    assert!(is_enabled("bert") && scene.user(&login("carl")).is_null(), "below another entry");
    // A group changes when somebody joins, not when an entry above its members is renamed, and neither do these. Nor does it
    // when a member comes from elsewhere.
    scene.tool(&[
        "ou rename OU=Berlin,OU=People OU=Bonn,OU=People",
        "user move carl OU=People",
        "group addmembers sales bert",
        "user disable bert",
        "user setexpiry anna --days=0",
    ]);
    met("a user who was disabled", &|| !is_enabled("bert"));
    met("an account that has expired", &|| !is_enabled("anna"));
    met("a member who joined", &|| is_in("sales", "bert"));
    met("a member who came from elsewhere", &|| is_in("staff", "carl"));
    assert!(is_in("sales", "anna.ek"), "below an entry that was renamed: {:?}", scene.user(&login("anna.ek")));
    scene.tool(&["group removemembers sales bert", "user enable bert", "user setexpiry anna --noexpiry"]);
    met("a user who was enabled", &|| is_enabled("bert") && is_enabled("anna"));
    met("a member who left", &|| !is_in("sales", "bert"));
    assert!(is_in("sales", "anna.ek") && is_in("staff", "carl"));
    scene.world.cli(&["directory-sync", "set", "corp", "--interval", "1h"]).unwrap();
    // Over before others are counted.
    scene.run();
}

fn are_read_in_pages(scene: &Scene<Domain>) {
    let (mut users, mut members) = (String::new(), String::new());
    for nth in 0..MANY {
        let name = format!("person-{nth}");
        let dn = format!("CN={name},OU=People,{BASE}");
        // A normal account for which no password is needed.
        let login = login(&name);
        writeln!(users, "dn: {dn}\nobjectClass: user\nsAMAccountName: {name}\nuserPrincipalName: {login}").unwrap();
        writeln!(users, "userAccountControl: 544\n").unwrap();
        writeln!(members, "member: {dn}").unwrap();
    }
    scene.ldap.change(&users).unwrap();
    let group = format!("dn: CN=everybody,OU=Groups,{BASE}\nobjectClass: group\nsAMAccountName: everybody\n");
    scene.ldap.change(&(group + &members)).unwrap();
    let last = scene.run();
    assert_eq!((&last["failed"], &last["created"]), (&Value::Null, &json!(MANY + 1)), "{last}");
    assert_eq!(scene.world.json(&["group", "show", "everybody"]).unwrap()["members"], MANY);
}

fn are_gone_when_they_are_deleted(scene: &Scene<Domain>) {
    scene.tool(&["user delete bert", "group delete everybody"]);
    let last = scene.run();
    assert_eq!((&last["failed"], &last["removed"]), (&Value::Null, &json!(2)), "{last}");
    assert_eq!(scene.user(&login("bert"))["enabled"], false);
    assert!(scene.world.json(&["group", "show", "everybody"]).is_err());
}

/// Where the domain refers to its other parts, and has accounts of its own without a name to sign in by.
fn are_read_with_the_whole_domain(scene: &Scene<Domain>) {
    scene.world.cli(&["directory-sync", "set", "corp", "--users-base", BASE]).unwrap();
    let last = scene.run();
    assert_eq!((&last["failed"], &last["removed"]), (&Value::Null, &json!(0)), "{last}");
    let said = troubles(&last);
    assert!(said.contains("CN=krbtgt") && said.contains("no login name"), "{said}");
    let reader = scene.user(&login("postern-reader"));
    assert_eq!((&reader["enabled"], &reader["source"]), (&json!(true), &json!("corp")));
}

fn are_read_by_start_tls(scene: &mut Scene<Domain>) {
    let start_tls = scene.ldap.arguments(&scene.ldap.ldap_url());
    scene.restart(&start_tls);
    let last = scene.run();
    assert_eq!((&last["failed"], &last["created"], &last["removed"]), (&Value::Null, &json!(0), &json!(0)), "{last}");
    let wrong_password = scene.world.path("wrong-password");
    write_secret(&wrong_password, "wrong\n").unwrap();
    let mut wrong = start_tls;
    wrong[7] = wrong_password.display().to_string();
    scene.restart(&wrong);
    assert_eq!(scene.run()["failed"], "directory-bind-refused");
}

/// More than a page of users has.
const MANY: usize = 600;
