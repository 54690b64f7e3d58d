//! What is transparent in a plain reverse proxy is so here: the same requests go through Postern and through nginx to the same
//! application. What it sees and what the client gets are equal but for what `differential/cases.txt` says, with reasons.

mod case;
mod exchange;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use postern_tests::certificate;
use postern_tests::client::Client;
use postern_tests::nginx::Nginx;
use postern_tests::played::Played;
use postern_tests::world::World;

use case::{Case, Side};
use exchange::{Got, Seen, ask, take};

/// What Postern says of its own to every application; nginx says nothing unless told to.
const SAID_BY_POSTERN: [&str; 4] = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"];
/// What it says where the client did not: no case does.
const BEGUN_BY_POSTERN: [&str; 1] = ["traceparent"];

/// The application: plays the answers of all cases, and keeps what it saw by the case's name.
struct Recorder(Arc<Mutex<BTreeMap<String, Seen>>>);

impl Recorder {
    fn start(played: Played, cases: &[Case]) -> Recorder {
        let answers: BTreeMap<String, Vec<u8>> =
            cases.iter().map(|case| (case.name.clone(), case.answer.clone())).collect();
        let seen = Arc::new(Mutex::new(BTreeMap::new()));
        let keeping = Arc::clone(&seen);
        // It lives as long as the process: when nothing arrives for a while it looks again.
        std::thread::spawn(move || {
            loop {
                let Ok(mut taken) = played.next() else { continue };
                let name = taken.field("x-case").unwrap_or_default().to_owned();
                let what = take(&mut taken);
                keeping.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), what);
                // Whoever breaks off meanwhile is seen to at the other end.
                let _ = taken.send(answers.get(&name).map_or(&[][..], Vec::as_slice));
            }
        });
        Recorder(seen)
    }

    /// What it saw of a case; nothing if the proxy refused it by itself.
    fn seen(&self, name: &str) -> Option<Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(name)
    }
}

/// What became of a case by one way.
fn by(client: &Client, case: &Case, recorder: &Recorder) -> (Option<Seen>, Got) {
    let got = ask(client, case);
    (recorder.seen(&case.name), got)
}

fn compare<T: PartialEq + std::fmt::Debug>(case: &Case, side: Side, plain: &T, ours: &T, wrong: &mut Vec<String>) {
    let reasons: Vec<&str> = case.reasons(side).collect();
    match (plain == ours, reasons.is_empty()) {
        (true, true) | (false, false) => {}
        (false, true) => wrong.push(format!("{}, {side:?}:\n  nginx:   {plain:?}\n  Postern: {ours:?}", case.name)),
        (true, false) => {
            wrong.push(format!("{}, {side:?}: no difference, though one is stated: {reasons:?}", case.name))
        }
    }
}

#[test]
fn everything_else_is_as_with_nginx() {
    let world = World::usual().unwrap();
    let played = Played::start().unwrap();
    let backend = played.address();
    let leaf = certificate::self_signed(world.folder(), "same.example.test").unwrap();
    let nginx = Nginx::start_proxy(world.folder(), &leaf, backend).unwrap();
    let ours = world.publish("same", &played.url()).unwrap();
    // That is no matter of passing things on.
    world.cli(&["app", "set", "same", "--set", "hsts=off"]).unwrap();
    let plain = Client::new(nginx.address(), &ours.host, &leaf.certificate).unwrap();
    let cases = case::all(&ours.host, &backend.to_string());
    assert!(cases.len() >= 60, "{} cases", cases.len());
    let recorder = Recorder::start(played, &cases);

    let mut wrong = Vec::new();
    let mut differences = 0;
    for case in &cases {
        let (plain_seen, plain_got) = by(&plain, case, &recorder);
        let (ours_seen, ours_got) = by(&ours, case, &recorder);
        let told = ours_seen.as_ref().is_none_or(|seen| SAID_BY_POSTERN.iter().all(|name| seen.has(name)));
        if !told {
            wrong.push(format!("{}: the application is not told who asks: {ours_seen:?}", case.name));
        }
        let ours_seen = ours_seen.map(|seen| seen.without(&SAID_BY_POSTERN).without(&BEGUN_BY_POSTERN));
        compare(case, Side::Backend, &plain_seen, &ours_seen, &mut wrong);
        compare(case, Side::Client, &plain_got, &ours_got, &mut wrong);
        differences += case.differences();
    }
    println!("{} requests through both, {differences} intended differences", cases.len());
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n"),
        nginx.process().log_tail()
    );
}
