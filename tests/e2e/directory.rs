//! The embedded directory by command line, against a real control: users, groups, assignments, and that all of it lasts.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use postern_tests::world::{Options, World, write_secret};

/// Control and nothing else.
fn control() -> World {
    let mut world = World::bare(Options::default()).unwrap();
    world.start_control().unwrap();
    world
}

fn done(world: &World, line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    world.cli(&words).unwrap()
}

/// What it says on stderr as it fails, or warns.
fn said(world: &World, line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    String::from_utf8(world.cli_output(&words).unwrap().stderr).unwrap()
}

const RULE: &str = r#"department == "sales" and not title contains "intern""#;

/// Three users, a ruled group in an assigned one, and both assigned to an application.
fn fill(world: &World) {
    done(
        world,
        "app publish wiki --external https://wiki.localhost/ --internal http://127.0.0.1:9/ --preauth passthrough",
    );
    done(world, "user create anna@example.com --display-name Anna --attribute department=sales --attribute title=lead");
    done(world, "user create berta --mail berta@example.com --attribute department=sales --attribute title=intern");
    done(world, "user create carl@partner.example --guest --expires 30d");
    world.cli(&["group", "create", "sales", "--rule", RULE, "--owner", "berta"]).unwrap();
    done(world, "group create staff --description everyone");
    done(world, "group add staff --group sales --user berta");
    done(world, "assign wiki --group staff --role reader");
    done(world, "assign wiki --user carl@partner.example --expires 14d");
}

#[test]
fn who_may_pass_is_written_down_by_command_line_and_lasts() {
    let mut world = control();
    fill(&world);
    let warned = said(&world, "assign wiki --group staff --role reader");
    assert!(warned.contains("wiki is published with --preauth passthrough: everybody reaches it"), "{warned}");
    let anna = done(&world, "user show anna@example.com");
    assert!(anna.contains("sales (by its rule)") && anna.contains("staff (through a group in it)"), "{anna}");
    assert!(anna.contains("wiki: group/staff, role reader"), "{anna}");
    let berta = done(&world, "group test sales --user berta");
    assert!(berta.contains("berta is not in sales") && berta.contains("title contains \"intern\""), "{berta}");
    assert_eq!(world.json(&["group", "show", "staff"]).unwrap()["members"], 2);
    assert!(said(&world, "group add sales --user berta").contains("rule"));
    let cycle = said(&world, "group create loop") + &said(&world, "group add loop --group staff");
    assert_eq!(cycle, "");
    assert!(said(&world, "group add staff --group loop").contains("staff → loop → staff"));
    done(&world, "group delete loop");
    assert!(said(&world, "group delete staff").contains("assigned to wiki"));
    assert!(said(&world, "user show brta").contains("did you mean \"berta\""));

    // What was acknowledged is there, whatever becomes of control.
    done(&world, "user disable berta");
    world.control().kill();
    world.start_control().unwrap();
    assert_eq!(world.json(&["user", "show", "berta"]).unwrap()["enabled"], false);
    assert_eq!(world.json(&["group", "show", "staff"]).unwrap()["members"], 1);
    assert_eq!(world.json(&["assign", "list", "wiki"]).unwrap()["items"].as_array().unwrap().len(), 2);
    assert_eq!(world.json(&["assign", "list", "--expiring", "15d"]).unwrap()["items"].as_array().unwrap().len(), 1);
    done(&world, "assign remove wiki --user carl@partner.example");
    let gone = said(&world, "group delete staff --force");
    assert!(gone.contains("staff is no longer assigned to wiki"), "{gone}");
    assert!(world.json(&["assign", "list"]).unwrap()["items"].as_array().unwrap().is_empty());
}

#[test]
fn a_password_comes_from_a_file_and_is_seen_nowhere() {
    let world = control();
    let secret = "correct horse battery staple";
    let file = world.path("anna.password");
    write_secret(&file, &format!("{secret}\n")).unwrap();
    let file = file.to_str().unwrap();
    done(&world, &format!("user create anna --password-file {file}"));
    done(&world, "user create berta");
    done(&world, &format!("user password berta --password-file {file}"));
    let rss = world.control.as_ref().unwrap().rss_kib();
    assert!(rss < 64 << 10, "control holds {rss} KiB after hashing");
    write_secret(file.as_ref(), "password1").unwrap();
    assert!(said(&world, &format!("user password berta --password-file {file}")).contains("tried first"));
    let seen =
        done(&world, "user list -o json") + &done(&world, "audit list") + &done(&world, "export") + &world.logs();
    assert!(seen.contains("user.password") && !seen.contains(secret) && !seen.contains("argon2id"), "{seen}");
    for entry in std::fs::read_dir(world.path("control")).unwrap() {
        let entry = entry.unwrap();
        let bytes = std::fs::read(entry.path()).unwrap_or_default();
        let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "the password is in {}", entry.path().display());
    }
}

#[test]
fn what_is_exported_makes_the_same_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("postern.toml");
    let name = file.to_str().unwrap();
    let exported = {
        let world = control();
        fill(&world);
        done(&world, &format!("export --out {name}"));
        assert!(done(&world, &format!("apply -f {name} --prune")).starts_with("no change"));
        std::fs::read_to_string(&file).unwrap()
    };
    let world = control();
    let applied = done(&world, &format!("apply -f {name}"));
    assert!(
        applied.contains("+ user anna@example.com") && applied.contains("+ assignment wiki group/staff"),
        "{applied}"
    );
    assert_eq!(done(&world, "export"), exported);
    assert!(done(&world, &format!("diff -f {name}")).starts_with("no difference"));

    // A mistake is told at its line, and nothing is changed by it.
    std::fs::write(&file, "[user.dora]\n[group.staff]\nusers = [\"dora\", \"emil\"]\n").unwrap();
    let refused = said(&world, &format!("apply -f {name}"));
    assert!(refused.contains("postern.toml:3: there is no user \"emil\""), "{refused}");
    assert!(said(&world, "user show dora").contains("no user"));
}

#[test]
fn ten_thousand_users_take_seconds_and_no_memory() {
    let world = control();
    let file = world.path("many.toml");
    let mut text = String::from("[group.staff]\nusers = [\n");
    (0..10_000).for_each(|n| writeln!(text, "'user{n}@example.com',").unwrap());
    text.push_str("]\n[group.sales]\nrule = 'department == \"d7\"'\n[group.all]\ngroups = ['staff', 'sales']\n");
    for n in 0..10_000 {
        let section = format!("user.'user{n}@example.com'");
        writeln!(text, "[{section}]\ndisplay-name = 'User {n}'\n[{section}.attributes]\ndepartment = 'd{}'", n % 100)
            .unwrap();
    }
    std::fs::write(&file, text).unwrap();
    let name = file.to_str().unwrap();
    let begun = Instant::now();
    let applied = done(&world, &format!("apply -f {name} -o json"));
    let applied: serde_json::Value = serde_json::from_str(&applied).unwrap();
    assert_eq!(applied["changes"].as_array().unwrap().len(), 10_000 + 3 + 2);
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(30), "{took:?}");
    assert!(done(&world, &format!("apply -f {name}")).starts_with("no change"));

    let begun = Instant::now();
    assert_eq!(world.json(&["group", "show", "all"]).unwrap()["members"], 10_000);
    assert_eq!(world.json(&["group", "show", "sales"]).unwrap()["members"], 100);
    assert_eq!(done(&world, "user list --limit 20000").lines().count(), 10_001);
    assert!(done(&world, "user list --filter user77@").contains("user77@example.com"));
    let user = done(&world, "user show user107@example.com");
    assert!(user.contains("sales (by its rule)"), "{user}");
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
    let rss = world.control.as_ref().unwrap().rss_kib();
    assert!(rss < 64 << 10, "control holds {rss} KiB");
}
