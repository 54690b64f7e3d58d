//! Lists of anonymisers: large, told to relays, no corporate networks, and in a section of their own in documents.

use serde_json::{Value, json};

use crate::directory::{audit, show};
use crate::policies::{TENANT, make, world};

/// So many of `10.0.0.0/8`, each an address.
fn prefixes(first: u32, count: u32) -> Vec<String> {
    (first..first + count).map(|n| format!("10.{}.{}.{}", n >> 16, n >> 8 & 255, n & 255)).collect()
}

#[test]
fn a_list_of_anonymisers_may_be_large_and_policies_name_it() {
    let world = world();
    let tor = format!("{TENANT}/networks/tor");
    let put = |prefixes: Vec<String>| json!({"prefixes": prefixes, "anonymiser": true});
    world.done::<Value>("PUT", &tor, &put(prefixes(0, 100_000)));
    let networks = show(&world, &format!("{TENANT}/networks"));
    let listed = networks["items"].as_array().unwrap().iter().find(|one| one["name"] == "tor").unwrap();
    assert_eq!(listed, &json!({"name": "tor", "prefixes": [], "count": 100_000, "anonymiser": true}));
    let summary =
        audit(&world).into_iter().find(|record| record["action"] == "network.set" && record["target"] == "network tor");
    let after = summary.unwrap()["after"].as_str().unwrap().to_owned();
    assert!(after.starts_with("anonymisers: 10.0.0.0/32 ") && after.ends_with(" and 99984 more"), "{after}");

    make(&world, "no-tor", json!({"everyone": true, "all_apps": true, "networks": ["tor"], "block": true}));
    let what_if = |ip: &str| -> Value {
        let asked = json!({"user": "anna", "app": "crm", "ip": ip});
        world.done("POST", &format!("{TENANT}/policy-what-if"), &asked)
    };
    assert_eq!(what_if("10.1.134.159")["outcome"]["kind"], "block", "the last of them");
    assert_eq!(what_if("10.1.134.160")["outcome"]["kind"], "allow", "and one behind it");

    let (code, detail) = world.refused("PUT", &tor, &put(prefixes(0, 100_001)));
    assert_eq!(code, "request-invalid");
    assert!(detail.contains("1 to 100000 address prefixes, not 100001"), "{detail}");
    let (code, detail) = world.refused("PUT", &format!("{TENANT}/networks/hq"), &json!({"prefixes": prefixes(0, 257)}));
    assert_eq!((code.as_str(), detail.contains("1 to 256")), ("request-invalid", true), "{detail}");
    for (name, anonymiser) in [("tor", false), ("hq", true)] {
        let other = json!({"prefixes": ["192.0.2.0/24"], "anonymiser": anonymiser});
        let (code, detail) = world.refused("PUT", &format!("{TENANT}/networks/{name}"), &other);
        assert_eq!((code.as_str(), detail.contains("take another name")), ("name-taken", true), "{detail}");
    }
    world.done::<Value>("PUT", &format!("{TENANT}/networks/vpn"), &put(prefixes(200_000, 100_000)));
    let (code, detail) = world.refused("PUT", &format!("{TENANT}/networks/more"), &put(prefixes(400_000, 50_001)));
    assert_eq!((code.as_str(), detail.contains("the others have 200000")), ("limit-reached", true), "{detail}");

    let document = show(&world, &format!("{TENANT}/document"));
    assert_eq!(document["networks"], json!({"hq": ["192.0.2.0/24"]}));
    let counts = ["tor", "vpn"].map(|name| document["anonymisers"][name].as_array().map(Vec::len));
    assert_eq!(counts, [Some(100_000), Some(100_000)]);
    let applied: Value = world.done("POST", &format!("{TENANT}/apply"), &json!({"document": document, "prune": true}));
    assert_eq!(applied["changes"], json!([]), "as many as there may be can be applied");
}
