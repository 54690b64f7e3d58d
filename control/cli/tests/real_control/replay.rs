//! `policy replay` of an access log.

use std::path::Path;

use super::Control;

/// Olga's requests, of which a policy that only reports would block those that came without a second factor.
pub(super) fn replay(control: &Control, policies: &Path) {
    let app = control.json("app show ledger")["id"].as_str().unwrap().to_owned();
    let line = |id: u32, more: &str| {
        format!(
            r#"{{"time":"2026-01-01T00:00:00.000Z","request_id":"{id:032}","tenant":"t1","app":"{app}","app_name":"ledger",{more}"client":"203.0.113.7:9","bytes_in":0,"bytes_out":0}}"#
        )
    };
    let signed_in = |methods: &str, more: &str| {
        format!(
            r#""subject":"user/olga","access":{{"session":"9f1c2d3e","authenticated_unix":1767225000,"methods":[{methods}],"assigned":"everyone"{more}}},"#
        )
    };
    let lines = [
        line(1, &signed_in(r#""pwd""#, "")),
        line(2, &signed_in(r#""pwd","otp""#, r#","platform":"linux","outcome":"allow""#)),
        line(3, r#""subject":"service/backup","#),
        line(4, &signed_in(r#""pwd""#, r#","outcome":"idle""#)),
        r#"{"time":"2026-01-01T00:00:00.000Z","dropped":3}"#.to_owned(),
        "what is this".to_owned(),
    ];
    let log = control.path("replayed.log");
    std::fs::write(&log, lines.join("\n")).unwrap();
    let asked = format!("policy replay --log {} --policy out --clear block --state on --require mfa", log.display());
    let report = control.json(&asked);
    let outcome = |was: &str, would_be: &str, requests: u32| serde_json::json!({"was": was, "would_be": would_be, "requests": requests});
    assert_eq!(report["outcomes"], serde_json::json!([outcome("allow", "allow", 1), outcome("allow", "needs mfa", 1)]));
    let differing = &report["differing"][0];
    assert_eq!((&differing["user"], &differing["app"]), (&"olga".into(), &"ledger".into()), "{report}");
    assert_eq!((&differing["policies"], &report["differing_without_change"]), (&serde_json::json!(["out"]), &0.into()));
    let skipped = &report["skipped"];
    for (why, count) in [("not_of_users", 1), ("idle", 1), ("dropped", 3), ("not_a_record", 1), ("user_gone", 0)] {
        assert_eq!(skipped[why], count, "{why}: {report}");
    }
    assert_eq!(report["without_platform"], 1);
    let shown = control.done(&asked);
    assert!(shown.lines().any(|line| line.contains("needs mfa") && line.contains("203.0.113.7:9")), "{shown}");
    let from_file =
        control.json(&format!("policy replay --log {} --policy-file {}", log.display(), policies.display()));
    assert_eq!(from_file["outcomes"], serde_json::json!([outcome("allow", "allow", 2)]), "as they are");
    control.refused(&format!("policy replay --log {} --policy new --require mfa", log.display()));
    assert_eq!(
        control.run(&["policy", "replay", "--log", log.to_str().unwrap(), "--state", "on"]).status.code(),
        Some(2)
    );
    assert_eq!(control.run(&["policy", "replay", "--log", "/nowhere"]).status.code(), Some(2));
}
