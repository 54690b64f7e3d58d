//! What strangers try at the place to sign in, and what people who signed in try at applications.

use std::process::Command;
use std::time::{Duration, Instant};

use postern_tests::client::Answer;
use postern_tests::person::{Person, leads_to};
use postern_tests::world::write_secret;

use super::{PASSWORD, Scene, login_url, opened, url};

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
/// Medians differ by less than this share, on machines that do other things, too. Without hashing for who does not exist it would
/// be nearly all.
const TIMING_DIFFERENCE_MAX: f64 = 0.5;

fn flow(text: &str) -> String {
    text.split("name=\"flow\" value=\"")
        .nth(1)
        .unwrap_or_else(|| panic!("{text}"))
        .split('"')
        .next()
        .unwrap()
        .to_owned()
}

/// A form of the sign-in page, ready to be sent.
fn form(person: &mut Person, scene: &Scene, login: &str, password: &str) -> String {
    let page = person.open(&url(&scene.wiki, "/bytes/3")).unwrap();
    format!("flow={}&login={login}&password={}", flow(&page.answer.text()), password.replace(' ', "+"))
}

fn code(answer: &Answer) -> String {
    answer.text().split("<code>").nth(1).map_or_else(String::new, |rest| rest.split('<').next().unwrap().to_owned())
}

#[test]
fn forms_and_links_of_other_sites_do_nothing() {
    let scene = Scene::start();
    let (sign_in, sign_out) = (login_url(&scene, "/sign-in"), login_url(&scene, "/sign-out"));
    let own = login_url(&scene, "");
    let mut person = scene.person();
    let body = form(&mut person, &scene, "anna", PASSWORD);
    let other = format!("https://{}", scene.wiki.host);
    let foreign: [&[(&str, &str)]; 6] = [
        &[FORM],
        &[FORM, ("Origin", "null")],
        &[FORM, ("Origin", &other)],
        &[FORM, ("Origin", &own), ("Origin", &own)],
        &[FORM, ("Origin", &other), ("X-Forwarded-Host", &scene.wiki.host)],
        &[("Content-Type", "text/plain"), ("Origin", &own)],
    ];
    for fields in foreign {
        let answer = person.step("POST", &sign_in, fields, &body).unwrap();
        assert_eq!((answer.status, &*code(&answer)), (403, "sign-in-form-foreign"), "{fields:?} {answer:?}");
    }
    let form = [FORM, ("Origin", &*own)];
    for body in [format!("{body}&login=bert"), format!("{body}&flow=x"), body.replace("flow=", "flaw=")] {
        let answer = person.step("POST", &sign_in, &form, &body).unwrap();
        assert_eq!(answer.status, 400, "{answer:?}");
    }
    assert_eq!(person.step("GET", &format!("{sign_in}?{body}"), &[], "").unwrap().status, 405);
    assert_eq!(scene.sessions().len(), 0);

    let mut anna = scene.signed_in("anna");
    for fields in foreign {
        assert_eq!(anna.step("POST", &sign_out, fields, "").unwrap().status, 403, "{fields:?}");
    }
    for site in ["cross-site", "same-site"] {
        let link = url(&scene.wiki, "/.postern/sign-out");
        let answer = anna.step("GET", &link, &[("Sec-Fetch-Site", site)], "").unwrap();
        assert_eq!(answer.status, 303);
    }
    anna.open(&sign_out).unwrap();
    assert_eq!(scene.sessions().len(), 1);
    assert_eq!(opened(&mut anna, &url(&scene.wiki, "/bytes/3")).0, 200);
}

#[test]
fn a_code_is_good_in_its_browser_once_and_a_second_time_ends_the_session() {
    let scene = Scene::start();
    let mut person = scene.person();
    let own = login_url(&scene, "");
    let form_fields = [FORM, ("Origin", &*own)];
    let body = form(&mut person, &scene, "anna", PASSWORD);
    let done = person.step("POST", &login_url(&scene, "/sign-in"), &form_fields, &body).unwrap();
    let back = leads_to(&done).unwrap();
    // The same form again: the sign-in is over.
    let again = person.clone().step("POST", &login_url(&scene, "/sign-in"), &form_fields, &body).unwrap();
    assert_eq!(code(&again), "sign-in-over");
    // Somebody who saw the URL, in a browser of their own: with a sign-in in progress, and without.
    let mut thief = scene.person();
    assert_eq!(thief.step("GET", &back, &[], "").unwrap().status, 400);
    thief.open(&url(&scene.wiki, "/bytes/3")).unwrap();
    assert_eq!(thief.step("GET", &back, &[], "").unwrap().status, 400);
    // At another application, whoever brings it.
    let elsewhere = back.replace(&scene.wiki.host, &scene.crm.host);
    assert_eq!(person.clone().step("GET", &elsewhere, &[], "").unwrap().status, 400);
    let copy = person.clone();
    assert_eq!(person.step("GET", &back, &[], "").unwrap().status, 303);
    assert_eq!(opened(&mut person, &url(&scene.wiki, "/bytes/3")), (200, url(&scene.wiki, "/bytes/3")));
    assert_eq!(person.step("GET", &back, &[], "").unwrap().status, 400, "its flow is over");
    assert_eq!(scene.sessions().len(), 1);
    // With the browser's own cookies, a second time: somebody has a copy of all of it.
    assert_eq!(copy.clone().step("GET", &back, &[], "").unwrap().status, 400);
    assert_eq!(scene.sessions().len(), 0);
    assert!(opened(&mut person, &url(&scene.wiki, "/bytes/3")).1.contains("/authorize?"));
}

#[test]
fn an_authorization_request_of_a_strangers_making_leads_nowhere() {
    let scene = Scene::start();
    let mut anna = scene.signed_in("anna");
    let state = "A".repeat(22);
    let challenge = "B".repeat(43);
    let right = format!("https://{}/.postern/callback", scene.wiki.host);
    let request = |app: &str, to: &str, more: &str| {
        let to = to.replace(':', "%3A").replace('/', "%2F");
        login_url(
            &scene,
            &format!(
                "/authorize?app={app}&redirect_uri={to}&state={state}&code_challenge={challenge}&code_challenge_method=S256{more}"
            ),
        )
    };
    let away = scene.person().step("GET", &url(&scene.wiki, "/"), &[], "").unwrap();
    let wiki = away.header("location").unwrap().split("?app=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    for (app, to, more) in [
        (&*wiki, "https://evil.example/.postern/callback", ""),
        (&*wiki, &*format!("{right}?x"), ""),
        (&*wiki, &*right.replace("https", "http"), ""),
        (&*wiki, &*format!("https://{}/.postern/callback", scene.crm.host), ""),
        ("a1-99", &*right, ""),
        ("x", &*right, ""),
        (&*wiki, &*right, "&state=other"),
        (&*wiki, &*right, "&redirect_uri=https%3A%2F%2Fevil.example"),
        (&*wiki, &*right, "&app=a1-99"),
    ] {
        let answer = anna.step("GET", &request(app, to, more), &[], "").unwrap();
        assert_eq!((answer.status, answer.header("location")), (400, None), "{app} {to} {more}");
    }
    let plain = request(&wiki, &right, "").replace("S256", "plain");
    assert_eq!(anna.step("GET", &plain, &[], "").unwrap().status, 400);
    // As a relay would make it, but not this browser's: it comes back with a code that is no use to it or to anybody.
    let answer = anna.step("GET", &request(&wiki, &right, ""), &[], "").unwrap();
    let to = answer.header("location").unwrap().to_owned();
    assert!(to.starts_with(&right), "{to}");
    assert_eq!(anna.step("GET", &to, &[], "").unwrap().status, 400);
    assert_eq!(scene.person().step("GET", &to, &[], "").unwrap().status, 400);
}

#[test]
fn who_guesses_waits_whatever_spelling_he_tries() {
    let scene = Scene::start();
    scene.world.cli(&["throttle", "set", "source", "--rps", "10000"]).unwrap();
    let own = login_url(&scene, "");
    let try_one = |login: &str, password: &str| {
        let mut person = scene.person();
        let body = form(&mut person, &scene, login, password);
        person.step("POST", &login_url(&scene, "/sign-in"), &[FORM, ("Origin", &own)], &body).unwrap()
    };
    for spelling in ["anna", "ANNA", "+anna+", "Anna%09", "%C2%A0anna"] {
        assert_eq!(try_one(spelling, "wrong horse battery").status, 200, "{spelling}");
    }
    let held_back = try_one("aNNa", PASSWORD);
    assert_eq!(held_back.status, 429, "{held_back:?}");
    assert!(held_back.header("retry-after").is_some() && held_back.text().contains("Too many attempts"));
    scene.add_user("bert", &[]);
    assert!(leads_to(&try_one("bert", PASSWORD)).is_some(), "others are not kept waiting");
    std::thread::sleep(Duration::from_secs(3));
    assert!(leads_to(&try_one("anna", PASSWORD)).is_some());
    let log = scene.world.cli(&["audit", "sign-ins"]).or_else(|_| scene.world.cli(&["audit", "list"])).unwrap();
    assert!(!log.contains("horse battery"), "{log}");
}

#[test]
fn time_does_not_tell_who_exists() {
    let scene = Scene::start();
    scene.world.cli(&["throttle", "set", "source", "--rps", "10000"]).unwrap();
    let own = login_url(&scene, "");
    // A name each: else they would wait. Before a source has to, too.
    let names: Vec<String> = (0..10).map(|nth| format!("known{nth}")).collect();
    names.iter().for_each(|name| scene.add_user(name, &[]));
    scene.world.cli(&["user", "disable", "known9"]).unwrap();
    let mut times = [Vec::new(), Vec::new()];
    let mut bodies = Vec::new();
    for name in &names {
        for (times, login) in times.iter_mut().zip([name.clone(), name.replace("known", "other")]) {
            let mut person = scene.person();
            let body = form(&mut person, &scene, &login, "wrong horse battery");
            let begun = Instant::now();
            let answer = person.step("POST", &login_url(&scene, "/sign-in"), &[FORM, ("Origin", &own)], &body).unwrap();
            times.push(begun.elapsed());
            let text = answer.text();
            bodies.push((answer.status, text.replace(&flow(&text), "FLOW")));
        }
    }
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
    let [known, unknown] = times.map(|mut times| {
        times.sort();
        times[times.len() / 2].as_secs_f64() * 1e3
    });
    println!("a wrong password takes {known:.1} ms for who exists, {unknown:.1} ms for who does not (medians of 10)");
    assert!((known - unknown).abs() / known.max(unknown) < TIMING_DIFFERENCE_MAX, "{known} {unknown}");
}

#[test]
fn questions_for_control_are_held_back_at_their_source() {
    let scene = Scene::start();
    let mut person = scene.signed_in("anna");
    let session = scene.sessions()[0]["id"].as_str().unwrap().to_owned();
    let mut stranger = scene.person();
    let away = stranger.step("GET", &url(&scene.wiki, "/bytes/3"), &[], "").unwrap();
    let state = away.header("location").unwrap().split("state=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    let issuer = login_url(&scene, "").replace(':', "%3A").replace('/', "%2F");
    scene.world.cli(&["session", "revoke", &session]).unwrap();
    scene.world.cli(&["throttle", "set", "source", "--rps", "1", "--burst", "5"]).unwrap();
    let statuses: Vec<u16> = (0..10)
        .map(|nth| {
            let guess = url(&scene.wiki, &format!("/.postern/callback?code=guess{nth}&state={state}&iss={issuer}"));
            stranger.clone().step("GET", &guess, &[], "").unwrap().status
        })
        .collect();
    assert!(statuses[0] == 400 && statuses[7..].iter().all(|status| *status == 429), "{statuses:?}");
    std::thread::sleep(Duration::from_secs(6));
    // Nor does an old cookie make work: its session ended long ago.
    let version = || scene.world.json(&["status"]).unwrap()["version"].clone();
    let before = version();
    let cookie = person.cookie(&scene.wiki.host);
    let statuses: Vec<u16> = (0..10)
        .map(|_| {
            person.take_cookies_of(&person.clone(), &scene.wiki.host);
            let mut copy = person.clone();
            assert_eq!(copy.cookie(&scene.wiki.host), cookie);
            copy.step("GET", &url(&scene.wiki, "/.postern/sign-out"), &[], "").unwrap().status
        })
        .collect();
    assert!(statuses[0] == 303 && statuses[7..].iter().all(|status| *status == 429), "{statuses:?}");
    assert_eq!(version(), before);
}

#[test]
fn what_a_client_says_of_who_it_is_reaches_no_application_over_any_version_of_http() {
    let scene = Scene::start();
    let mut person = scene.signed_in("anna");
    let cookie = person.cookie(&scene.wiki.host);
    let forged = "X-Postern-User: root\nx_postern_user: root\nX-POSTERN-USER: root\nX-Postern-Groups: root\nRemote-User: root\nremote_user: root\nX-Forwarded-User: root\nX-Auth-Request-Email: root\n";
    let fields = scene.world.path("fields");
    let (first, second) = cookie.split_at(cookie.len());
    write_secret(&fields, &format!("{forged}Cookie: a=1; {first}{second}\nCookie: b=2\n")).unwrap();
    for version in ["--http2", "--http1.1"] {
        let mut curl = Command::new("curl");
        curl.args(scene.world.curl(scene.wiki.host.split(':').next().unwrap())).args([version, "-sf", "-H"]);
        let output = curl.arg(format!("@{}", fields.display())).arg(url(&scene.wiki, "/head")).output().unwrap();
        let head = String::from_utf8_lossy(&output.stdout).to_lowercase();
        assert_eq!(head.matches("x-postern-user: anna\r\n").count(), 1, "{version} {head}");
        assert!(!head.contains("root") && !head.contains("__host-postern"), "{version} {head}");
        assert!(head.contains("a=1") && head.contains("b=2"), "{version} {head}");
    }
    // The application that people sign in at is told where they come from by the relay alone.
    let page = person.step(
        "GET",
        &login_url(&scene, "/"),
        &[("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-Host", "evil.example")],
        "",
    );
    assert_eq!(page.unwrap().status, 200);
}
