use super::*;

const BASE: [&str; 7] =
    ["postern-relay", "--state-dir", "/s", "--control", "unix:/run/c.sock", "--listen", "127.0.0.1:443,[::1]:443"];

fn check(more: &[&str]) -> Result<Options, Refused> {
    Args::try_parse_from(BASE.iter().chain(more)).unwrap().check(4, "Edge_1.example.com")
}

#[test]
fn defaults_come_from_the_machine() {
    let options = check(&[]).unwrap();
    assert_eq!((options.workers, options.name.as_str()), (4, "edge-1"));
    assert_eq!(options.listen.len(), 2);
    assert_eq!(options.control, ControlLink::Unix(PathBuf::from("/run/c.sock")));
    assert_eq!(options.grace_period, Duration::from_secs(30));
    assert_eq!(options.tls, TlsPreset::Intermediate);
    assert_eq!(check(&["--tls", "modern"]).unwrap().tls, TlsPreset::Modern);
}

#[test]
fn one_address_speaks_one_protocol() {
    let options = check(&["--listen-http", "127.0.0.1:80,[::1]:80"]).unwrap();
    assert_eq!((options.listen.len(), options.listen_http.len()), (2, 2));
    let refused = check(&["--listen-http", "127.0.0.1:80,127.0.0.1:443"]).unwrap_err();
    assert_eq!(refused.to_string(), "127.0.0.1:443 is given twice, in --listen and --listen-http together");
    let many: Vec<String> = (1..ADDRESSES_MAX).map(|port| format!("127.0.0.2:{port}")).collect();
    let refused = check(&["--listen-http", &many.join(",")]).unwrap_err();
    assert_eq!(refused, Refused::ListenTooMany { count: ADDRESSES_MAX + 1 });
}

#[test]
fn sources_have_limits_that_can_be_changed() {
    use postern_ebpf_loader::Rate;
    let default = check(&[]).unwrap().source_limits;
    assert_eq!((default.syns, default.packets.limits()), (Rate::new(10_000, 20_000), false));
    let more = ["--syn-rate", "50", "--packet-rate", "7", "--packet-burst", "9", "--connection-rate", "0"];
    let limits = check(&more).unwrap().source_limits;
    assert_eq!((limits.syns, limits.packets), (Rate::new(50, 100), Rate::new(7, 9)));
    assert_eq!(limits.connections, Rate::UNLIMITED);
    let refused = check(&["--packet-burst", "9"]).unwrap_err().to_string();
    assert_eq!(refused, "--packet-burst without a limit: give --packet-rate as well, above 0");
    for wrong in [["--syn-rate", "-1"], ["--syn-rate", "10000001"], ["--syn-burst", "0"], ["--deny", "10.0.0.1/8"]] {
        let said = Args::try_parse_from(BASE.iter().chain(&wrong)).unwrap_err().to_string();
        assert!(said.contains(wrong[0]), "{said}");
    }
}

#[test]
fn what_is_bpfs_to_do_is_refused_without() {
    let options = check(&["--xdp", "eth1,eth0", "--xdp", "eth0", "--deny", "10.0.0.0/8,::1"]).unwrap();
    assert_eq!(options.xdp, ["eth0", "eth1"]);
    assert_eq!(options.deny.len(), 2);
    for (flag, value) in [("--xdp", "eth0"), ("--deny", "::1"), ("--connection-rate", "5"), ("--syn-rate", "5")] {
        let refused = check(&["--ebpf", "off", flag, value]).unwrap_err().to_string();
        assert_eq!(refused, format!("{flag} is BPF's to do, but --ebpf is off: leave one of the two out"));
    }
    let many: Vec<String> = (0..17).map(|index| format!("eth{index}")).collect();
    assert_eq!(check(&["--xdp", &many.join(",")]).unwrap_err(), Refused::XdpTooMany { count: 17 });
}

#[test]
fn metrics_stay_on_loopback() {
    let refused = check(&["--admin-listen", "0.0.0.0:9000"]).unwrap_err().to_string();
    assert!(refused.contains("0.0.0.0:9000 is not a loopback address"), "{refused}");
    assert!(check(&["--admin-listen", "[::1]:9000"]).is_ok());
}

#[test]
fn one_way_to_control_is_needed_and_one_only() {
    let parse = |words: &[&str]| Args::try_parse_from(words);
    assert!(parse(&["postern-relay", "--state-dir", "/s", "--listen", "127.0.0.1:443"]).is_err());
    assert!(Args::try_parse_from(BASE.iter().chain(&["--trust-anchor", "/ca.pem"])).is_err());
    let args =
        parse(&["postern-relay", "--state-dir", "/s", "--listen", "127.0.0.1:443", "--control", "tcp:x"]).unwrap();
    assert!(args.check(1, "h").unwrap_err().to_string().contains("write unix:PATH"));
}

#[test]
fn names_and_addresses_are_checked() {
    assert!(matches!(check(&["--name", "Not A Name"]), Err(Refused::NameInvalid { .. })));
    assert!(matches!(check(&["--listen", "127.0.0.1:443"]), Err(Refused::ListenTwice { .. })));
    assert_eq!(name_from("-"), "relay");
}

#[test]
fn the_command_line_is_well_formed() {
    use clap::CommandFactory as _;
    Args::command().debug_assert();
}

/// The packaged file, as it is and with every suggestion in it taken.
#[test]
fn the_packaged_configuration_is_understood() {
    let packaged = include_str!("../../../../packaging/etc/relay.toml");
    let suggested = packaged.lines().map(|line| match line.strip_prefix("# ") {
        Some(setting) if setting.contains(" = ") => setting,
        _ => line,
    });
    let all: Vec<&str> = suggested.filter(|line| !line.starts_with("control =")).collect();
    for text in [packaged.to_owned(), all.join("\n")] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("relay.toml");
        std::fs::write(&file, &text).unwrap();
        let words = ["postern-relay", "--config", file.to_str().unwrap(), "--state-dir", "/s"];
        let argv: Vec<std::ffi::OsString> = words.map(Into::into).into();
        let sources = postern_service::config::Sources { argv: &argv, environment: &|_| None };
        let args: Args = postern_service::config::parse_from(sources).unwrap_or_else(|e| panic!("{e}: {text}"));
        args.check(4, "edge").unwrap();
    }
}
