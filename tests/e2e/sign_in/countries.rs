//! Policies that name countries: both daemons look them up in a file, and in another when there is one.

#[path = "../../../control/service/src/geoip/written.rs"]
mod written;

use super::*;
use nix::sys::signal::Signal;
use postern_tests::programs;

/// A file of countries in a folder of its own.
struct Database(tempfile::TempDir);

impl Database {
    fn path(&self) -> String {
        self.0.path().join("countries.mmdb").display().to_string()
    }

    /// As a tool replaces it: by renaming.
    fn replace(&self, bytes: &[u8]) {
        let next = self.0.path().join("next");
        std::fs::write(&next, bytes).unwrap();
        std::fs::rename(next, self.path()).unwrap();
    }

    fn locate(&self, code: &str) {
        self.replace(&written::database("GeoLite2-Country", &[("127.0.0.0/8", "country", code)]));
    }
}

/// Lines are written a moment after what they tell of.
fn is_logged(scene: &Scene, part: &str) {
    let log = scene.world.path("relay/access.log");
    let is_there = |_: &World| std::fs::read_to_string(&log).is_ok_and(|log| log.contains(part));
    scene.world.expect_within(START_TIMEOUT, part, is_there).unwrap();
}

#[test]
fn a_country_is_known_by_a_file_and_by_the_next_one() {
    let database = Database(tempfile::tempdir().unwrap());
    database.locate("DE");
    let geoip = vec!["--geoip".to_owned(), database.path()];
    let mut scene = Scene::with(Options { relay: geoip.clone(), control: geoip, ..Options::default() });
    let words = ["policy", "create", "only-here", "--everyone", "--all-apps", "--except-country", "DE", "--block"];
    scene.world.cli(&words).unwrap();
    let mut person = scene.signed_in("anna");
    let wiki = url(&scene.wiki, "/bytes/3");
    let what_if =
        |world: &World| world.cli(&["policy", "what-if", "--user", "anna", "--app", "wiki", "--ip", "127.0.0.1"]);
    assert!(what_if(&scene.world).unwrap().contains("allow"));

    database.locate("FR");
    let mut answers = |scene: &Scene, status: u16, what: &str| {
        let end = Instant::now() + START_TIMEOUT;
        // A dataplane that is killed resets connections.
        while person.open(&wiki).map(|page| page.answer.status).ok() != Some(status) {
            assert!(Instant::now() < end, "{what}\n{}", scene.world.logs());
            std::thread::sleep(Duration::from_millis(200));
        }
    };
    answers(&scene, 403, "the next file counts, nobody said anything");
    let blocks = |world: &World| what_if(world).is_ok_and(|answer| answer.contains("block"));
    scene.world.expect_within(START_TIMEOUT, "for control, too", blocks).unwrap();

    database.locate("DE");
    scene.world.relay().signal(Signal::SIGHUP);
    answers(&scene, 200, "a third");
    database.replace(b"this is none");
    scene.world.relay().signal(Signal::SIGHUP);
    let told = |world: &World| world.logs().contains("the database before it stays in force");
    scene.world.expect_within(START_TIMEOUT, "the damage is told", told).unwrap();
    answers(&scene, 200, "the third is still in force");

    std::fs::remove_file(database.path()).unwrap();
    let dataplane = scene.world.dataplane().unwrap();
    postern_tests::process::signal_pid(dataplane, Signal::SIGKILL);
    answers(&scene, 403, "a dataplane that has no file knows no country");
    for code in ["DE", "FR", "ZZ"] {
        is_logged(&scene, &format!("\"country\":\"{code}\""));
    }
}

#[test]
fn systems_and_anonymisers_count_with_every_request_and_at_sign_in() {
    let database = Database(tempfile::tempdir().unwrap());
    let locate = |asn: u32| database.replace(&written::systems(&[("127.0.0.0/8", asn)]));
    locate(64_500);
    let geoip = vec!["--geoip-asn".to_owned(), database.path()];
    let mut scene = Scene::with(Options { relay: geoip.clone(), control: geoip, ..Options::default() });
    let words = ["policy", "create", "only-here", "--everyone", "--all-apps", "--except-asn", "AS64500", "--block"];
    scene.world.cli(&words).unwrap();
    let mut person = scene.signed_in("anna");
    let wiki = url(&scene.wiki, "/bytes/3");
    let mut answers = |scene: &Scene, status: u16, what: &str| {
        let end = Instant::now() + START_TIMEOUT;
        while opened(&mut person, &wiki).0 != status {
            assert!(Instant::now() < end, "{what}\n{}", scene.world.logs());
            std::thread::sleep(Duration::from_millis(200));
        }
    };
    locate(64_501);
    scene.world.relay().signal(Signal::SIGHUP);
    answers(&scene, 403, "the next file counts");
    locate(64_500);
    scene.world.relay().signal(Signal::SIGHUP);
    answers(&scene, 200, "and the next");
    is_logged(&scene, "\"asn\":\"AS64501\"");

    // A list of anonymisers: what is none is refused by its line; then it is in force when the command returns.
    let list = scene.world.path("tor.txt");
    let set = ["network", "set", "tor", "--file", list.to_str().unwrap(), "--anonymiser"];
    std::fs::write(&list, "# exits\n192.0.2.0/24\nnobody\n").unwrap();
    let refused = scene.world.cli_output(&set).unwrap();
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && error.contains("tor.txt:3: \"nobody\" is not an address prefix"), "{error}");
    let many: String = (0..99_999u32).map(|n| format!("10.{}.{}.{}\n", n >> 16, n >> 8 & 255, n & 255)).collect();
    std::fs::write(&list, format!("{many}127.0.0.0/8 # this is one\n")).unwrap();
    scene.world.cli(&set).unwrap();
    assert!(scene.world.cli(&["network", "list"]).unwrap().contains("100000 of anonymisers"));
    answers(&scene, 200, "no policy asks");
    scene
        .world
        .cli(&["policy", "create", "no-tor", "--everyone", "--app", "wiki", "--network", "tor", "--block"])
        .unwrap();
    assert_eq!(opened(&mut person, &wiki).0, 403);
    scene.world.cli(&["policy", "delete", "no-tor"]).unwrap();
    assert_eq!(opened(&mut person, &wiki).0, 200);
    scene.signed_in("anna");
    let risks: Vec<_> = scene.sessions().iter().map(|session| session["risk"].clone()).collect();
    assert!(risks.contains(&"medium".into()), "whoever signs in from there is a risk: {risks:?}");
    let sign_ins = scene.world.json(&["audit", "sign-ins", "list"]).unwrap();
    assert_eq!(sign_ins["items"][0]["asn"], 64_500, "{sign_ins}");
}

#[test]
fn a_file_that_is_no_database_of_countries_is_refused_at_the_start() {
    let database = Database(tempfile::tempdir().unwrap());
    for (program, more) in [("postern-control", &[][..]), ("postern-relay", &["--listen", "127.0.0.1:0"])] {
        for (bytes, problem) in [
            (None, "cannot be read"),
            (Some(b"this is none".to_vec()), "no MaxMind database"),
            (Some(written::database("GeoLite2-ASN", &[])), "countries or cities is needed"),
        ] {
            let _ = std::fs::remove_file(database.path());
            if let Some(bytes) = bytes {
                database.replace(&bytes);
            }
            let mut command = programs::command(program);
            let socket = database.0.path().join("admin.sock");
            command.arg("--state-dir").arg(database.0.path().join(program)).args(more);
            match program {
                "postern-control" => command.arg("--admin-socket").arg(&socket),
                _ => command.arg("--control").arg(format!("unix:{}", socket.display())),
            };
            let output = command.args(["--geoip", &database.path()]).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{program}: {said}");
            assert!(said.contains("--geoip") && said.contains(problem), "{program}: {said}");
        }
    }
}
