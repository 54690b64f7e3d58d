use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use postern_io::{BackendKind, Runtime, RuntimeOptions, now, sleep, spawn};

use super::*;
use crate::limits::{RESOLVED_FOR, RESOLVED_MAX, RESOLVED_OLD_FOR, RESOLVED_PATIENCE, UNRESOLVED_FOR};

/// A resolver that knows what a test says, and takes as long.
#[derive(Debug, Default)]
pub(crate) struct Script {
    names: Mutex<HashMap<String, Vec<IpAddr>>>,
    takes: Mutex<Duration>,
    asked: AtomicUsize,
    chosen: AtomicUsize,
}

impl Script {
    /// From now on; nothing: it cannot be resolved.
    pub(crate) fn set(&self, host: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        self.names.lock().unwrap().insert(host.into(), addresses);
    }

    pub(crate) fn takes(&self, time: Duration) {
        *self.takes.lock().unwrap() = time;
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// How often for names that users choose.
    pub(crate) fn asked_for_chosen(&self) -> usize {
        self.chosen.load(Ordering::Relaxed)
    }

    pub(super) async fn look_up(&self, host: &str, is_chosen: bool) -> io::Result<Vec<IpAddr>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.chosen.fetch_add(usize::from(is_chosen), Ordering::Relaxed);
        let takes = *self.takes.lock().unwrap();
        if !takes.is_zero() {
            sleep(takes).await;
        }
        let found = self.names.lock().unwrap().get(host).cloned().unwrap_or_default();
        if found.is_empty() { Err(io::Error::from(io::ErrorKind::NotFound)) } else { Ok(found) }
    }
}

fn sim(test: impl Future<Output = ()> + 'static) {
    let options = RuntimeOptions { backend: BackendKind::Sim, seed: Some(1), ..RuntimeOptions::default() };
    Runtime::new(options).unwrap().run(test).unwrap();
}

fn scripted(addresses: &[&str]) -> (Arc<Script>, Names) {
    let script = Arc::new(Script::default());
    script.set("app", addresses);
    let names = Names::new(Resolver::scripted(&script));
    (script, names)
}

async fn found(names: &Names) -> Vec<String> {
    let found = names.addresses("app").await;
    found.map(|found| found.iter().map(IpAddr::to_string).collect()).unwrap_or_default()
}

#[test]
fn addresses_need_no_look_up_and_unknown_names_fail() {
    sim(async {
        let (script, names) = scripted(&[]);
        assert_eq!(*names.addresses("::1").await.unwrap(), ["::1".parse::<IpAddr>().unwrap()]);
        assert_eq!(script.asked(), 0);
        assert!(names.addresses("nowhere.invalid").await.is_err());
    });
}

#[test]
fn the_hosts_resolver_is_asked_on_its_own_thread() {
    let runtime = Runtime::new(RuntimeOptions::default()).unwrap();
    let found = runtime.run(async {
        let resolver = Resolver::start().unwrap();
        let again = resolver.clone();
        postern_io::sync::join(resolver.look_up("localhost"), again.look_up("localhost")).await
    });
    let (found, again) = found.unwrap();
    assert!(found.as_ref().unwrap().iter().all(IpAddr::is_loopback));
    assert_eq!(found.unwrap(), again.unwrap());
}

#[test]
fn an_answer_is_good_for_a_while_and_a_failure_for_a_shorter_one() {
    sim(async {
        let (script, names) = scripted(&[]);
        assert!(found(&names).await.is_empty() && found(&names).await.is_empty());
        assert_eq!(script.asked(), 1, "the failure is remembered");
        script.set("app", &["10.0.0.1"]);
        sleep(UNRESOLVED_FOR).await;
        assert_eq!(found(&names).await, ["10.0.0.1"]);
        script.set("app", &["10.0.0.2"]);
        sleep(RESOLVED_FOR - Duration::from_secs(1)).await;
        assert_eq!((found(&names).await, script.asked()), (vec!["10.0.0.1".into()], 2));
        sleep(Duration::from_secs(2)).await;
        assert_eq!((found(&names).await, script.asked()), (vec!["10.0.0.2".into()], 3));
    });
}

#[test]
fn many_who_ask_at_once_are_one_question() {
    sim(async {
        let (script, names) = scripted(&["10.0.0.1"]);
        script.takes(Duration::from_millis(50));
        let answered = Rc::new(RefCell::new(0));
        for _ in 0..20 {
            let (names, answered) = (names.clone(), Rc::clone(&answered));
            spawn(async move { *answered.borrow_mut() += found(&names).await.len() }).detach();
        }
        sleep(Duration::from_millis(100)).await;
        assert_eq!((*answered.borrow(), script.asked()), (20, 1));
    });
}

#[test]
fn old_addresses_are_used_while_the_resolver_is_slow_or_fails_but_not_for_ever() {
    sim(async {
        let (script, names) = scripted(&["10.0.0.1"]);
        assert_eq!(found(&names).await, ["10.0.0.1"]);
        script.set("app", &["10.0.0.2"]);
        script.takes(Duration::from_secs(2));
        sleep(RESOLVED_FOR).await;
        let begun = now();
        assert_eq!(found(&names).await, ["10.0.0.1"]);
        let waited = now().since(begun);
        assert!((RESOLVED_PATIENCE..RESOLVED_PATIENCE * 2).contains(&waited), "{waited:?}");
        let begun = now();
        assert_eq!(found(&names).await, ["10.0.0.1"]);
        assert!(now().since(begun) < RESOLVED_PATIENCE, "it is waited for once");
        sleep(Duration::from_secs(2)).await;
        assert_eq!(found(&names).await, ["10.0.0.2"], "it came although nobody waited");

        script.set("app", &[]);
        script.takes(Duration::ZERO);
        sleep(RESOLVED_OLD_FOR - Duration::from_secs(10)).await;
        assert_eq!(found(&names).await, ["10.0.0.2"]);
        sleep(Duration::from_secs(20)).await;
        assert!(found(&names).await.is_empty());
    });
}

#[test]
fn an_address_has_left_when_two_answers_in_a_row_lack_it() {
    sim(async {
        let (script, names) = scripted(&["10.0.0.1", "10.0.0.2"]);
        let has_left = |names: &Names, text: &str| names.has_left("app", text.parse().unwrap());
        found(&names).await;
        assert!(!has_left(&names, "10.0.0.1") && has_left(&names, "10.0.0.9"));
        script.set("app", &["10.0.0.2"]);
        for gone in [false, true] {
            sleep(RESOLVED_FOR).await;
            names.refresh("app");
            sleep(Duration::from_secs(1)).await;
            assert_eq!((has_left(&names, "10.0.0.1"), has_left(&names, "10.0.0.2")), (gone, false));
        }
        script.set("app", &[]);
        sleep(RESOLVED_FOR).await;
        names.refresh("app");
        sleep(Duration::from_secs(1)).await;
        assert!(!has_left(&names, "10.0.0.1"), "what cannot be resolved now has not left");
        assert!(!names.has_left("other", "10.0.0.1".parse().unwrap()));
    });
}

#[test]
fn what_has_addresses_is_remembered_however_many_names_have_none() {
    sim(async {
        let (script, names) = scripted(&["10.0.0.1"]);
        assert_eq!(found(&names).await, ["10.0.0.1"]);
        script.set("app", &[]);
        sleep(RESOLVED_FOR).await;
        for number in 0..RESOLVED_MAX + 10 {
            assert!(names.addresses(&format!("nowhere{number}")).await.is_err());
        }
        assert_eq!(found(&names).await, ["10.0.0.1"], "its last addresses are used");
    });
}

#[test]
fn names_that_users_choose_hold_up_no_others() {
    let runtime = Runtime::new(RuntimeOptions::default()).unwrap();
    let (queue, hung) = sync_channel(1);
    let found = runtime.run(async move {
        let threads = Arc::new(Threads { queue, asked: Arc::default() });
        let resolver = Resolver { for_chosen: Some(threads), ..Resolver::start().unwrap() };
        let chosen = resolver.for_chosen();
        let waiting = chosen.clone();
        spawn(async move { waiting.look_up("slow.corp").await.map(drop) }).detach();
        sleep(Duration::from_millis(1)).await;
        let error = chosen.look_up("other.corp").await.unwrap_err();
        assert!(error.to_string().contains("too many"), "{error}");
        resolver.look_up("localhost").await
    });
    assert!(found.unwrap().unwrap().iter().all(IpAddr::is_loopback));
    drop(hung);
}
