//! The audit log and the sign-in log: what is told of them, what becomes of a file that someone wrote to, how long records stay.

use std::sync::mpsc;
use std::time::Duration;

use postern_model::admin::{PolicyApplied, SignInRecord, SignInResult};
use postern_model::chain::{ChainHash, Chained as _, Mark};
use postern_model::ids::{AppId, RequestId, SessionId, TenantId, UserId};
use postern_model::session::AuthMethod;
use rusqlite::{Connection, named_params};
use serde_json::{Value, json};

use crate::world::World;

const VERIFY: &str = "/v1/audit/verify";

fn get(world: &World, path: &str) -> Value {
    world.done("GET", path, &Value::Null)
}

fn tenants(world: &World, names: impl IntoIterator<Item = u32>) {
    for number in names {
        world.done::<Value>("POST", "/v1/tenants", &json!({"name": format!("acme-{number}")}));
    }
}

fn database(world: &World) -> Connection {
    Connection::open(world.state().join("control.db")).unwrap()
}

fn mark(head: &Value) -> String {
    format!("{}:{}", head["seq"], head["hash"].as_str().unwrap())
}

/// Stops control, has someone write to its file, and tells what `verify` finds then: the record, and what became of it.
fn tampered(prepare: &str, statements: &str, query: &str) -> (Value, Value, Value) {
    let mut world = World::start();
    tenants(&world, 0..8);
    let intact = get(&world, VERIFY);
    assert_eq!((&intact["intact"], &intact["records"]), (&json!(true), &json!(9)), "{intact}");
    let noted = mark(&get(&world, "/v1/audit/head")["audit"]);
    world.kill();
    let file = database(&world);
    file.execute_batch("DROP TRIGGER audit_no_update; DROP TRIGGER audit_no_delete; DROP TRIGGER chain_head;").unwrap();
    file.execute_batch(prepare).unwrap();
    file.execute_batch(statements).unwrap();
    drop(file);
    world.restart(&[]);
    let found = get(&world, &format!("{VERIFY}{}", query.replace("NOTED", &noted)));
    assert!(found["intact"] == true || world.log_text().contains("not as it was written"), "the log tells");
    (found["broken"]["seq"].clone(), found["broken"]["damage"].clone(), found["records"].clone())
}

#[test]
fn what_is_done_to_the_file_is_found() {
    let changed = (json!(4), json!("changed"), json!(3));
    assert_eq!(tampered("", "UPDATE audit SET target='tenant other' WHERE seq=4", ""), changed);
    assert_eq!(tampered("", "UPDATE audit SET at=at+1 WHERE seq=4", ""), changed);
    assert_eq!(tampered("", "UPDATE audit SET tenant=-1 WHERE seq=4", ""), changed, "into what is no tenant");
    assert_eq!(tampered("", "UPDATE audit SET hash=x'00' WHERE seq=4", ""), changed, "into what is no hash");
    assert_eq!(tampered("", "DELETE FROM audit WHERE seq=4", ""), (json!(4), json!("missing"), json!(3)));
    let swap =
        "UPDATE audit SET seq=99 WHERE seq=4; UPDATE audit SET seq=4 WHERE seq=6; UPDATE audit SET seq=6 WHERE seq=99";
    assert_eq!(tampered("", swap, ""), (json!(4), json!("reordered"), json!(3)));
    let close = "DELETE FROM audit WHERE seq=4; UPDATE audit SET seq=seq-1 WHERE seq>4;";
    assert_eq!(tampered("", close, ""), (json!(4), json!("reordered"), json!(3)));
}

#[test]
fn a_log_that_was_cut_at_its_end_is_found() {
    let cut = "DELETE FROM audit WHERE seq>7";
    assert_eq!(tampered("", cut, ""), (json!(8), json!("missing"), json!(7)), "control knows where it ended");
    let adapted = "UPDATE chain SET seq=7, hash=(SELECT hash FROM audit WHERE seq=7) WHERE log='audit'";
    let whole = (Value::Null, Value::Null, json!(7));
    assert_eq!(tampered(cut, adapted, ""), whole, "whoever adapts that too leaves no trace in the file");
    assert_eq!(tampered(cut, adapted, "?expect=NOTED"), (json!(8), json!("missing"), json!(7)), "but elsewhere");
}

#[test]
fn what_was_noted_is_compared() {
    let world = World::start();
    tenants(&world, 0..3);
    let noted = mark(&get(&world, "/v1/audit/head")["audit"]);
    tenants(&world, 3..6);
    assert_eq!(get(&world, &format!("{VERIFY}?expect={noted}"))["intact"], true);
    let other = format!("{}{}", &noted[..noted.len() - 1], if noted.ends_with('0') { '1' } else { '0' });
    let found = get(&world, &format!("{VERIFY}?expect={other}"));
    assert_eq!((&found["intact"], &found["broken"]["damage"]), (&json!(false), &json!("rewritten")));
    for wrong in ["expect=5", "expect=x", "colour=red", &format!("expect={noted}&expect={noted}")] {
        assert_eq!(world.refused("GET", &format!("{VERIFY}?{wrong}"), &Value::Null).0, "request-invalid", "{wrong}");
    }
}

/// Whatever moment control ends at: both chains are whole, and nothing that was acknowledged is gone.
#[test]
fn the_chain_survives_kill_9() {
    let mut world = World::start();
    for round in 0..5u32 {
        let (sender, receiver) = mpsc::channel();
        std::thread::scope(|scope| {
            let world = &world;
            scope.spawn(move || {
                for number in 0.. {
                    let name = json!({"name": format!("t{round}-{number}x")});
                    let Ok((201, _)) = world.try_ask("POST", "/v1/tenants", &name) else { return };
                    let Ok((200, heads)) = world.try_ask("GET", "/v1/audit/head", &Value::Null) else { return };
                    sender.send(mark(&heads["audit"])).unwrap();
                }
            });
            std::thread::sleep(Duration::from_millis(100) + Duration::from_millis(17) * round);
            let pid = nix::unistd::Pid::from_raw(i32::try_from(world.pid()).unwrap());
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
        });
        let acknowledged: Vec<String> = receiver.iter().collect();
        world.kill();
        world.restart(&[]);
        let last = acknowledged.last().expect("the round wrote something");
        let found = get(&world, &format!("{VERIFY}?expect={last}"));
        assert_eq!(found["intact"], true, "{found}");
    }
}

#[test]
fn audit_records_are_filtered_and_paged() {
    let world = World::start();
    tenants(&world, 0..5);
    world.publish("crm", "https://crm.localhost");
    let seqs = |query: &str| -> Vec<u64> {
        let page = get(&world, &format!("/v1/audit?{query}"));
        page["items"].as_array().unwrap().iter().map(|record| record["seq"].as_u64().unwrap()).collect()
    };
    let all = seqs("");
    assert!(all.is_sorted_by(|a, b| a > b) && all.len() >= 7, "{all:?}");
    assert_eq!(seqs("after=0&limit=3"), [1, 2, 3]);
    let page = get(&world, "/v1/audit?limit=2");
    assert_eq!(page["next"], page["items"][1]["seq"]);
    assert_eq!(get(&world, "/v1/audit?before=2&limit=1")["next"], Value::Null, "the first one is the last of all");
    assert_eq!(seqs(&format!("before={}&limit=1", page["next"])), [all[2]]);
    assert_eq!(seqs("action=init"), [1]);
    assert_eq!(seqs("target=app%20crm").len(), 1);
    assert_eq!(seqs("actor=control"), [1]);
    assert_eq!(seqs("tenant=acme-3").len(), 1);
    assert_eq!(seqs("since=0&until=1"), [0; 0]);
    let at = get(&world, "/v1/audit?limit=1")["items"][0]["at_unix_ms"].as_u64().unwrap();
    assert!(seqs(&format!("since={at}")).contains(&all[0]));
    assert!(!seqs(&format!("until={at}")).contains(&all[0]));
    for wrong in ["after=1&before=2", "since=yesterday", "limit=x", "tenant=nobody", "user=anna"] {
        let (code, detail) = world.refused("GET", &format!("/v1/audit?{wrong}"), &Value::Null);
        assert!(matches!(&*code, "request-invalid" | "not-found"), "{wrong}: {detail}");
    }
}

/// As control writes one; signing in itself is tested elsewhere.
fn sign_in(file: &Connection, last: Mark, with: impl FnOnce(&mut SignInRecord)) -> Mark {
    let mut record = SignInRecord {
        seq: 0,
        at_unix_ms: 1_700_000_000_000,
        tenant: TenantId::DEFAULT,
        user: None,
        login: "nobody".into(),
        app: None,
        app_name: None,
        result: SignInResult::Failure,
        code: Some("user-unknown".into()),
        methods: [AuthMethod::Password].into(),
        provider: None,
        source: Some("192.0.2.1".parse().unwrap()),
        user_agent: None,
        country: None,
        asn: None,
        device: None,
        device_state: None,
        policies: vec![PolicyApplied { policy: "p1-1".into(), outcome: "block".into() }],
        session: None,
        request: None,
        previous: ChainHash::ZERO,
        hash: ChainHash::ZERO,
    };
    with(&mut record);
    let record = record.behind(last);
    let put = "INSERT INTO sign_in VALUES (:seq, :at, :tenant, :user, :login, :app, :app_name, :result, :code, :methods, NULL,
        :source, NULL, NULL, NULL, NULL, NULL, :policies, :session, :request, :previous, :hash)";
    let values = named_params! {
        ":seq": i64::try_from(record.seq).unwrap(),
        ":at": i64::try_from(record.at_unix_ms).unwrap(),
        ":tenant": record.tenant.0,
        ":user": record.user.map(|user| user.to_string()),
        ":login": record.login,
        ":app": record.app.map(|app| app.to_string()),
        ":app_name": record.app_name.as_ref().map(ToString::to_string),
        ":result": record.result.as_str(),
        ":code": record.code,
        ":methods": serde_json::to_string(&record.methods).unwrap(),
        ":source": record.source.map(|source| source.to_string()),
        ":policies": serde_json::to_string(&record.policies).unwrap(),
        ":session": record.session.map(|session| session.to_string()),
        ":request": record.request.map(|request| request.to_string()),
        ":previous": record.previous.0,
        ":hash": record.hash.0,
    };
    file.prepare_cached(put).unwrap().execute(values).unwrap();
    record.mark()
}

#[test]
fn sign_ins_are_filtered_verified_and_removed_in_time() {
    let mut world = World::start();
    world.done::<Value>("POST", "/v1/tenants/default/users", &json!({"login": "anna"}));
    world.publish("crm", "https://crm.localhost");
    let id = UserId::new(TenantId::DEFAULT, 1);
    let file = database(&world);
    let first = sign_in(&file, Mark::START, |_| ());
    let second = sign_in(&file, first, |record| {
        (record.user, record.login) = (Some(id), "anna".into());
        (record.app, record.app_name) = (Some(AppId::new(TenantId::DEFAULT, 1)), Some("crm".parse().unwrap()));
        (record.result, record.code) = (SignInResult::Success, None);
        (record.session, record.request) = (Some(SessionId(7)), Some(RequestId(8)));
        record.at_unix_ms = u64::try_from(i64::MAX).unwrap();
    });
    let seqs = |query: &str| -> Vec<u64> {
        let page = get(&world, &format!("/v1/sign-ins?{query}"));
        page["items"].as_array().unwrap().iter().map(|record| record["seq"].as_u64().unwrap()).collect()
    };
    assert_eq!(seqs(""), [2, 1]);
    assert_eq!(seqs("tenant=default&user=anna"), [2]);
    assert_eq!(seqs("user=u1-1"), [2]);
    assert_eq!(seqs("tenant=default&user=nobody"), [1], "whoever typed it");
    assert_eq!(seqs("tenant=default&app=crm"), [2]);
    assert_eq!(seqs("app=a1-1&result=success"), [2]);
    assert_eq!(seqs("result=user-unknown"), [1]);
    assert_eq!(seqs(&format!("session={}", SessionId(7))), [2]);
    assert_eq!(seqs(&format!("request={}", RequestId(8))), [2]);
    assert_eq!(seqs("until=1700000000001"), [1]);
    for wrong in ["user=anna", "app=crm", "session=7", "actor=x"] {
        assert_eq!(
            world.refused("GET", &format!("/v1/sign-ins?{wrong}"), &Value::Null).0,
            "request-invalid",
            "{wrong}"
        );
    }
    let verify = "/v1/sign-ins/verify";
    assert_eq!(get(&world, verify)["records"], 2);
    assert_eq!(get(&world, "/v1/audit/head")["sign_in"]["seq"], 2);

    // The first one is of 2023: the next start removes it, says so in the audit log, and the chain goes on from there.
    world.terminate();
    world.restart(&[]);
    world.wait_for("/v1/sign-ins", |page| page["items"].as_array().unwrap().len() == 1);
    let removed = get(&world, "/v1/audit?limit=1");
    assert_eq!(removed["items"][0]["action"], "audit.remove");
    assert_eq!(removed["items"][0]["target"], "sign-in records 1 to 1");
    assert!(removed["items"][0]["after"].as_str().unwrap().contains(&first.to_string()), "{removed}");
    let verified = get(&world, &format!("{verify}?expect={second}"));
    assert_eq!((&verified["intact"], &verified["base"]["seq"]), (&json!(true), &json!(1)));
    assert_eq!(
        get(&world, &format!("{verify}?expect={first}"))["intact"],
        true,
        "what was removed last can be compared"
    );
    assert_eq!(get(&world, VERIFY)["intact"], true);

    world.kill();
    let file = database(&world);
    file.execute_batch("DROP TRIGGER sign_in_no_update; UPDATE sign_in SET user='nonsense'").unwrap();
    drop(file);
    world.restart(&[]);
    let found = get(&world, verify);
    assert_eq!((&found["broken"]["seq"], &found["broken"]["damage"]), (&json!(2), &json!("changed")));
}

/// A log of many records holds nobody up, neither while it is walked nor while something rare is looked for in it.
#[test]
fn a_long_log_holds_nobody_up() {
    const RECORDS: u64 = 45_000;
    let world = World::start_with(&["--sign-in-retention", "forever"]);
    let file = database(&world);
    file.execute_batch("BEGIN").unwrap();
    let mut last = Mark::START;
    for number in 0..RECORDS {
        last = sign_in(&file, last, |record| {
            if number % 20_000 == 1 {
                record.code = Some("rare".into());
            }
        });
    }
    file.execute_batch("COMMIT").unwrap();
    let seqs = |query: &str| -> Vec<u64> {
        let page = get(&world, &format!("/v1/sign-ins?{query}"));
        page["items"].as_array().unwrap().iter().map(|record| record["seq"].as_u64().unwrap()).collect()
    };
    assert_eq!(seqs("result=rare"), [40_002, 20_002, 2], "each within another stretch of numbers");
    assert_eq!(seqs("result=rare&after=2"), [20_002, 40_002]);
    assert_eq!(seqs("result=rare&before=40002&limit=1"), [20_002]);
    let (done, verified) = mpsc::channel();
    let mut answers = 0;
    std::thread::scope(|scope| {
        let world = &world;
        scope.spawn(move || done.send(get(world, "/v1/sign-ins/verify")).unwrap());
        let found = loop {
            if let Ok(found) = verified.try_recv() {
                break found;
            }
            get(world, "/v1/audit/head");
            answers += 1;
        };
        assert_eq!((&found["intact"], &found["records"]), (&json!(true), &json!(RECORDS)));
    });
    assert!(answers > 5, "only {answers} answers came while the log was walked");
}

/// Takes back what a step of the schema made.
fn undo(file: &Connection, step: &str) {
    let made = |kind: &str| {
        let names = step.lines().filter_map(|line| line.strip_prefix("CREATE ")?.strip_prefix(kind)?.split(' ').nth(1));
        names.map(|name| format!("DROP {kind} {name};")).collect::<Vec<_>>()
    };
    let tables = made("TABLE").into_iter().rev();
    let columns = step.lines().filter_map(|line| {
        let (table, column) = line.strip_prefix("ALTER TABLE ")?.split_once(" ADD COLUMN ")?;
        Some(format!("ALTER TABLE {table} DROP COLUMN {};", column.split(' ').next()?))
    });
    file.execute_batch(
        &made("TRIGGER").into_iter().chain(made("INDEX")).chain(columns).chain(tables).collect::<String>(),
    )
    .unwrap();
}

/// The schema's steps that came after `name`, in their order.
fn steps_after(name: &str) -> Vec<String> {
    let store = concat!(env!("CARGO_MANIFEST_DIR"), "/src/store");
    let listed = std::fs::read_to_string(format!("{store}/sqlite.rs")).unwrap();
    let names =
        listed.lines().filter_map(|line| line.trim().strip_prefix("Step { sql: include_str!(\"")?.split('"').next());
    let later = names.skip_while(|step| *step != name).skip(1);
    let steps: Vec<String> = later.map(|step| std::fs::read_to_string(format!("{store}/{step}")).unwrap()).collect();
    assert!(steps.len() >= 4, "the steps are not found in sqlite.rs any more");
    steps
}

/// A state folder of the version before: its records get hashes, and may go when they are old.
#[test]
fn an_older_audit_log_is_taken_over_and_kept_as_long_as_told() {
    let mut world = World::start();
    tenants(&world, 0..4);
    world.kill();
    let file = database(&world);
    for step in steps_after("audit.sql").iter().rev() {
        undo(&file, step);
    }
    file.execute_batch(
        "DROP TABLE sign_in; DROP TRIGGER chain_no_delete; DROP TRIGGER audit_no_delete;
        CREATE TABLE old (seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL,
            tenant INTEGER, target TEXT NOT NULL, before TEXT, after TEXT, version INTEGER) STRICT;
        INSERT INTO old SELECT seq, iif(seq<=3, 1577836800000, at), actor, action, tenant, target, before, after, version FROM audit;
        DROP TABLE audit; DROP TABLE chain; ALTER TABLE old RENAME TO audit;
        CREATE INDEX audit_tenant ON audit (tenant, seq);
        CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
        CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
        PRAGMA user_version=3;",
    )
    .unwrap();
    drop(file);
    world.restart(&[]);
    let verified = get(&world, VERIFY);
    assert_eq!((&verified["intact"], &verified["records"]), (&json!(true), &json!(5)), "{verified}");
    assert_eq!(
        get(&world, "/v1/audit?after=0&limit=1")["items"][0]["action"],
        "init",
        "kept for ever unless told otherwise"
    );
    world.terminate();
    world.restart(&["--audit-retention", "30d"]);
    world.wait_for("/v1/audit?action=audit.remove", |page| page["items"].as_array().unwrap().len() == 1);
    assert_eq!(get(&world, "/v1/audit?after=0&limit=1")["items"][0]["seq"], 4);
    let verified = get(&world, VERIFY);
    assert_eq!((&verified["intact"], &verified["base"]["seq"]), (&json!(true), &json!(3)), "{verified}");
    let refused = world.run(&["--audit-retention", "1d"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("less than 30d"), "{refused:?}");
}
