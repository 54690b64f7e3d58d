//! Users and groups of a real OpenLDAP, read by the real process, through the real relay, into control's directory.

mod active_directory;
mod scene;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use postern_tests::openldap::{group, person};
use postern_tests::origin::Origin;
use postern_tests::person::Person;
use postern_tests::process::Process;
use postern_tests::world::{World, write_secret};
use serde_json::{Value, json};

use scene::Scene;

const PEOPLE: &str = "ou=people,dc=example,dc=test";
const PASSWORD: &str = "correct horse battery";

fn troubles(last: &Value) -> String {
    last["troubles"].to_string()
}

#[test]
fn users_and_groups_follow_the_directory() {
    let Some(scene) = Scene::start(&["--gone", "delete", "--max-delete", "100%"]) else { return };
    let Scene { ldap, world, .. } = &scene;
    for entry in [
        person("Anna", "Anna Berg"),
        person("bert", "Bert"),
        group("sales", &["UID = anna,ou=People"]),
        group("staff & friends", &["cn=sales,ou=groups", "uid=bert,ou=people", "uid=nobody,ou=people"]),
    ] {
        ldap.change(&entry).unwrap();
    }
    let last = scene.run();
    assert_eq!(
        (&last["failed"], &last["created"], &last["troubles_total"]),
        (&Value::Null, &json!(4), &json!(0)),
        "{last}"
    );
    let anna = scene.user("anna");
    assert_eq!(
        (&anna["display_name"], &anna["mail"], &anna["enabled"]),
        (&json!("Anna Berg"), &json!("Anna@example.test"), &json!(true))
    );
    assert_eq!((&anna["attributes"]["family_name"], &anna["source"]), (&json!("Anna Berg"), &json!("corp")));
    assert_eq!(scene.groups_of("anna"), ["sales", "staff-friends"], "nested ones count");
    assert_eq!(scene.groups_of("bert"), ["staff-friends"]);
    assert_eq!(world.json(&["group", "show", "staff-friends"]).unwrap()["description"], "staff & friends");
    let again = scene.run();
    assert_eq!((&again["created"], &again["changed"], &again["removed"]), (&json!(0), &json!(0), &json!(0)), "{again}");

    // Another name, another place: the same user.
    ldap.change(&format!("dn: ou=berlin,{PEOPLE}\nobjectClass: organizationalUnit\nou: berlin\n")).unwrap();
    ldap.change(&format!(
        "dn: uid=anna,{PEOPLE}\nchangetype: modrdn\nnewrdn: uid=anna.ek\ndeleteoldrdn: 1\nnewsuperior: ou=berlin,{PEOPLE}\n"
    ))
    .unwrap();
    ldap.change(
        "dn: cn=sales,ou=groups,dc=example,dc=test\nchangetype: modify\nreplace: member\n\
         member: uid=anna.ek,ou=berlin,ou=people,dc=example,dc=test\nmember: uid=bert,ou=people,dc=example,dc=test\n",
    )
    .unwrap();
    // Somebody of ours in a group of the directory stays in it.
    world.cli(&["user", "create", "olga"]).unwrap();
    world.cli(&["group", "add", "sales", "--user", "olga"]).unwrap();
    scene.run();
    let moved = scene.user("anna.ek");
    assert_eq!((&moved["id"], scene.user("anna")), (&anna["id"], Value::Null));
    assert_eq!(scene.groups_of("anna.ek"), ["sales", "staff-friends"]);
    assert_eq!((scene.groups_of("bert").len(), scene.groups_of("olga").len()), (2, 2));

    // What somebody changes here is as the directory has it after the next pass.
    world.cli(&["user", "set", "anna.ek", "--display-name", "Somebody"]).unwrap();
    world.cli(&["group", "remove", "sales", "--user", "bert"]).unwrap();
    scene.run();
    assert_eq!((&scene.user("anna.ek")["display_name"], scene.groups_of("bert").len()), (&json!("Anna Berg"), 2));

    ldap.change(&format!("dn: uid=bert,{PEOPLE}\nchangetype: delete\n")).unwrap();
    ldap.change("dn: cn=sales,ou=groups,dc=example,dc=test\nchangetype: delete\n").unwrap();
    let last = scene.run();
    assert_eq!(last["removed"], 2, "{last}");
    ldap.change("dn: cn=staff & friends,ou=groups,dc=example,dc=test\nchangetype: delete\n").unwrap();
    let last = scene.run();
    assert_eq!(scene.user("bert"), Value::Null, "{last}");
    assert_eq!(scene.groups_of("anna.ek"), Vec::<String>::new(), "{last}");
    assert!(scene.user("olga")["enabled"] == true, "nobody else is touched");
    let audit = world.cli(&["audit", "list", "-o", "json"]).unwrap();
    assert!(audit.contains("directory-sync corp") && audit.contains("directory-sync.gone"), "{audit}");
}

#[test]
fn who_is_disabled_there_is_out_here_within_a_second() {
    let Some(mut scene) = Scene::start(&[]) else { return };
    scene.world.start_identity().unwrap();
    let origin = Origin::start().unwrap();
    let wiki = scene.world.publish("wiki", &origin.url()).unwrap();
    scene.world.cli(&["app", "set", "wiki", "--preauth", "oidc"]).unwrap();
    scene.ldap.change(&person("anna", "Anna")).unwrap();
    scene.ldap.change(&person("bert", "Bert")).unwrap();
    scene.ldap.change(&group("sales", &["uid=anna,ou=people"])).unwrap();
    scene.run();
    let file = scene.world.path("password");
    write_secret(&file, &format!("{PASSWORD}\n")).unwrap();
    scene.world.cli(&["user", "password", "anna", "--password-file", &file.display().to_string()]).unwrap();
    scene.world.cli(&["assign", "--group", "sales", "wiki"]).unwrap();
    let url = format!("https://{}/bytes/3", wiki.host);
    let mut anna = Person::new(&wiki);
    let page = anna.sign_in(&url, "anna", PASSWORD, false).unwrap();
    assert!(page.answer.status == 200 && page.url == url, "{page:?}\n{}", scene.world.logs());

    // Without being asked: by the next look at what has changed.
    scene.world.cli(&["directory-sync", "set", "corp", "--interval", "5s", "--full-every", "1h"]).unwrap();
    scene.run();
    scene.modify("anna", "replace: userAccountControl\nuserAccountControl: 514\n");
    let is_disabled = |_: &World| scene.user("anna")["enabled"] == false;
    scene.world.expect_within(Duration::from_secs(15), "a change is met", is_disabled).unwrap();
    let known = Instant::now();
    let is_out = || anna.open(&url).is_ok_and(|page| page.url != url);
    assert!(postern_tests::within(Duration::from_secs(1), is_out), "{}", scene.world.logs());
    eprintln!("out {} ms after control knew", known.elapsed().as_millis());
    assert_eq!(scene.world.json(&["session", "list"]).unwrap()["items"], json!([]));

    scene.modify("anna", "replace: userAccountControl\nuserAccountControl: 512\n");
    scene.run();
    assert_eq!(scene.user("anna")["enabled"], true);
    // Whom somebody here disabled is not enabled by the directory.
    scene.world.cli(&["user", "disable", "bert"]).unwrap();
    scene.modify("bert", "replace: mail\nmail: other@example.test\n");
    scene.run();
    let bert = scene.user("bert");
    assert_eq!((&bert["enabled"], &bert["mail"]), (&json!(false), &json!("other@example.test")));
}

#[test]
fn too_many_who_are_gone_stop_the_pass_until_somebody_confirms() {
    let Some(scene) = Scene::start(&[]) else { return };
    scene.ldap.add_people(0, 10).unwrap();
    scene.run();
    // Not people any more, but for the filter.
    scene.world.cli(&["directory-sync", "set", "corp", "--users-filter", "(uid=person-1)"]).unwrap();
    scene.ldap.change(&person("late", "Late")).unwrap();
    let last = scene.run();
    assert_eq!(
        (&last["failed"], &last["to_confirm"], &last["removed"]),
        (&json!("directory-sync-stopped"), &json!(9), &json!(0)),
        "{last}"
    );
    assert!(last["detail"].as_str().unwrap().contains("9 of 10 users"), "{last}");
    assert_eq!(scene.user("person-7")["enabled"], true);
    let output =
        scene.world.cli_output(&["directory-sync", "run", "corp", "--wait", "60s", "--confirm-removals", "8"]).unwrap();
    assert_eq!(
        (output.status.code(), scene.user("person-7")["enabled"].clone()),
        (Some(1), json!(true)),
        "more than that"
    );
    let last = scene.run_with(&["--confirm-removals", "9"]);
    assert_eq!((&last["failed"], &last["removed"]), (&Value::Null, &json!(9)), "{last}");
    assert_eq!((&scene.user("person-7")["enabled"], &scene.user("person-1")["enabled"]), (&json!(false), &json!(true)));
    // They come back as who they were.
    scene.world.cli(&["directory-sync", "set", "corp", "--unset", "users_filter"]).unwrap();
    let last = scene.run();
    let enabled = |name: &str| scene.user(name)["enabled"].clone();
    assert_eq!((enabled("person-7"), enabled("late")), (json!(true), json!(true)), "{last}");

    // A directory that is empty all of a sudden.
    scene.world.cli(&["directory-sync", "set", "corp", "--users-base", "ou=groups,dc=example,dc=test"]).unwrap();
    let last = scene.run();
    assert_eq!((&last["failed"], &last["to_confirm"]), (&json!("directory-sync-stopped"), &json!(11)), "{last}");
    scene.world.cli(&["directory-sync", "set", "corp", "--users-base", "ou=nowhere,dc=example,dc=test"]).unwrap();
    let last = scene.run();
    assert!(last["failed"] == "directory-read-failed" && last["detail"].to_string().contains("32"), "{last}");
    assert_eq!(scene.world.json(&["directory-sync", "status", "corp"]).unwrap()["users"], 11);
}

/// A user with far too much, and users whose names are no names. LDIF holds these as base64: "a" RLO "b", a line break in a
/// login name, an escape.
fn hostile() -> [String; 5] {
    let mut bomb = person("bomb", "Bomb");
    for nth in 0..20_000 {
        writeln!(bomb, "mail: bomb-{nth}@example.test").unwrap();
    }
    writeln!(bomb, "title: {}", "x".repeat(900_000)).unwrap();
    let bidi = format!(
        "dn: cn=bidi,{PEOPLE}\nobjectClass: inetOrgPerson\ncn: bidi\nsn:: YeKArmI=\nuid: bidi\ndisplayName: x\n"
    );
    let broken =
        format!("dn: cn=broken,{PEOPLE}\nobjectClass: inetOrgPerson\ncn: broken\nsn: x\nuid:: Y2FybAphZG1pbg==\n");
    let nameless = format!("dn: cn=nameless,{PEOPLE}\nobjectClass: inetOrgPerson\ncn: nameless\nsn: x\n");
    let escape =
        "dn:: Y249G1szMW0sb3U9cGVvcGxlLGRjPWV4YW1wbGUsZGM9dGVzdA==\nobjectClass: inetOrgPerson\ncn:: G1szMW0=\nsn: x\n"
            .to_owned();
    [bomb, bidi, broken, nameless, escape]
}

#[test]
fn nobody_is_taken_over_and_hostile_entries_are_reported() {
    let Some(scene) = Scene::start(&["--login", "uid"]) else { return };
    let Scene { world, ldap, .. } = &scene;
    world.cli(&["user", "create", "carl", "--display-name", "Our own"]).unwrap();
    world.cli(&["group", "create", "admins"]).unwrap();
    world.cli(&["group", "add", "admins", "--user", "carl"]).unwrap();
    let [bomb, bidi, broken, nameless, escape] = hostile();
    for entry in [person("Carl", "Not ours"), bomb, bidi, broken, nameless, escape, person("dora", "Dora")] {
        ldap.change(&entry).unwrap();
    }
    // A circle, and a group of ours by name.
    ldap.change(&group("admins", &["uid=dora,ou=people", "uid=carl,ou=people", "cn=circle,ou=groups"])).unwrap();
    ldap.change(&group("circle", &["cn=admins,ou=groups"])).unwrap();
    let last = scene.run();
    let said = troubles(&last);
    assert_eq!(last["failed"], Value::Null, "{last}\n{:?}", scene.sync.as_ref().map(Process::log_tail));
    for words in ["carl", "not taken over", "cn=bidi", "direction of writing", "cn=broken", "no login name", "title"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!said.contains("\\u001b") && !said.contains('\u{202e}'), "{said}");
    let carl = scene.user("carl");
    assert_eq!((&carl["display_name"], &carl["source"]), (&json!("Our own"), &Value::Null));
    assert_eq!((&scene.user("bidi")["enabled"], &scene.user("bomb")["enabled"]), (&json!(true), &json!(true)));
    assert_eq!(scene.groups_of("carl"), ["admins"], "a user of ours is in no group of the directory");
    let dora = scene.groups_of("dora");
    assert!(dora.contains(&"admins-2".to_owned()) && !dora.contains(&"admins".to_owned()), "{dora:?}");

    // The group is the source's, and nobody else's.
    for refused in [
        &[
            "app",
            "publish",
            "x",
            "--external",
            "https://x.example.test/",
            "--internal",
            "http://127.0.0.1:1/",
            "--preauth",
            "passthrough",
            "--group",
            "directory-sync-corp",
        ][..],
        &["connector-group", "create", "directory-sync-other"],
        &["connector-group", "delete", "directory-sync-corp"],
        &["directory-sync", "set", "corp", "--id-attribute", "uid"],
        &["directory-sync", "set", "corp", "--mail", "mail)(uid=*"],
        &["directory-sync", "add", "corp", "--kind", "ldap", "--users-base", PEOPLE],
    ] {
        assert!(world.cli(refused).is_err(), "{refused:?}");
    }
    let output = world.cli(&["directory-sync", "status", "corp"]).unwrap();
    assert!(!output.contains('\u{1b}') && output.contains("not taken over"), "{output}");
    assert!(world.cli(&["directory-sync", "list"]).unwrap().contains("corp"));
    world.cli(&["directory-sync", "remove", "corp"]).unwrap();
    assert_eq!((&scene.user("dora")["enabled"], &scene.user("dora")["source"]), (&json!(true), &Value::Null));
    assert!(world.cli(&["connector-group", "show", "directory-sync-corp"]).is_err());
}

#[test]
fn a_directory_that_fails_changes_nobody() {
    let Some(mut scene) = Scene::start(&[]) else { return };
    scene.ldap.change(&person("anna", "Anna")).unwrap();
    assert_eq!(scene.run()["failed"], Value::Null);

    scene.ldap.process().kill();
    let last = scene.run();
    assert_eq!(last["failed"], "directory-unreachable", "{last}");
    scene.ldap.restart().unwrap();
    let start_tls = scene.ldap.arguments(&scene.ldap.ldap_url());
    scene.restart(&start_tls);
    let last = scene.run();
    assert_eq!((&last["failed"], &last["users_read"]), (&Value::Null, &json!(1)), "by StartTLS: {last}");

    // Another authority; another password; a directory without TLS where it should be; the first of two is away.
    let other = postern_tests::certificate::self_signed(&scene.world.path(""), "other.example.test").unwrap();
    let wrong_password = scene.world.path("wrong-password");
    write_secret(&wrong_password, "wrong\n").unwrap();
    let good = scene.ldap.arguments(&scene.ldap.ldaps_url());
    let with = |at: usize, value: String| {
        let mut arguments = good.clone();
        arguments[at] = value;
        arguments
    };
    let plain = scene.ldap.ldap_url().replace("ldap://", "ldaps://");
    for (arguments, code) in [
        (with(3, other.certificate.display().to_string()), json!("directory-untrusted")),
        (with(7, wrong_password.display().to_string()), json!("directory-bind-refused")),
        (with(1, plain), json!("directory-untrusted")),
        (with(1, format!("ldaps://127.0.0.1:1,{}", good[1])), Value::Null),
    ] {
        scene.restart(&arguments);
        let last = scene.run();
        // A plaintext server breaks TLS off, by an alert or without.
        let is_right = last["failed"] == code
            || (arguments[1] != good[1] && last["failed"] == "directory-unreachable" && !code.is_null());
        assert!(is_right, "{arguments:?}: {last}");
        assert!(!last.to_string().contains("wrong\n") && scene.user("anna")["enabled"] == true);
    }
}

#[test]
fn ten_thousand_users_are_read_in_parts() {
    let Some(scene) = Scene::start(&[]) else { return };
    scene.ldap.add_people(0, 10_000).unwrap();
    let names: Vec<String> = (0..10_000).map(|nth| format!("uid=person-{nth},ou=people")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    scene.ldap.change(&group("everybody", &names)).unwrap();
    let timed = |what: &str| {
        let begun = Instant::now();
        let last = scene.run();
        eprintln!(
            "{what}: {} ms, {} of them the pass; the process has {} MiB, control {} MiB",
            begun.elapsed().as_millis(),
            last["took_ms"],
            scene.sync.as_ref().map_or(0, |sync| sync.rss_kib() >> 10),
            scene.world.control.as_ref().map_or(0, |control| control.rss_kib() >> 10),
        );
        last
    };
    let last = timed("10,000 users and a group of all of them, the first time");
    assert_eq!((&last["failed"], &last["created"]), (&Value::Null, &json!(10_001)), "{last}");
    let last = timed("the same once more");
    assert_eq!((&last["created"], &last["changed"]), (&json!(0), &json!(0)), "{last}");
    scene.modify("person-77", "replace: cn\ncn: Another\n");
    let last = timed("one of them changed");
    assert_eq!(last["changed"], 1, "{last}");
    let shown = scene.world.json(&["group", "show", "everybody"]).unwrap();
    assert_eq!(shown["members"], 10_000);
}
