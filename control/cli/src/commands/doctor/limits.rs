//! What this host lets its programs have: descriptors, memory, processors, queues and ports.

use super::finding::Finding;
use super::host::Host;
use crate::args::Role;

/// Descriptors: each connection takes one or two.
pub(super) fn files(host: &Host, role: Option<Role>) -> Finding {
    const CHECK: &str = "open-files";
    let wanted = match role {
        Some(Role::Control) => FILES_CONTROL,
        Some(Role::Relay | Role::Connector) | None => FILES,
    };
    let Some((soft, hard)) = limit(host, "Max open files") else {
        return Finding::warn(CHECK, "/proc/self/limits cannot be read", "mount /proc");
    };
    let seen = format!("RLIMIT_NOFILE {} of {} in this shell", word(soft), word(hard));
    let cure = format!(
        "raise the hard limit to {wanted} (LimitNOFILE= of the unit, limits.conf): the programs take all of it"
    );
    if hard < wanted { Finding::warn(CHECK, seen, &cure) } else { Finding::ok(CHECK, seen) }
}

/// Locked memory: rings and BPF maps on older kernels.
pub(super) fn locked_memory(host: &Host) -> Finding {
    const CHECK: &str = "locked-memory";
    let Some((_, hard)) = limit(host, "Max locked memory") else {
        return Finding::warn(CHECK, "/proc/self/limits cannot be read", "mount /proc");
    };
    let seen = format!("RLIMIT_MEMLOCK {} in this shell", bytes(hard));
    if hard < LOCKED_BYTES {
        return Finding::warn(
            CHECK,
            seen,
            "raise it to 64 MiB (LimitMEMLOCK= of the unit): rings with their buffers need it",
        );
    }
    Finding::ok(CHECK, seen)
}

/// How many connections may wait to be accepted.
pub(super) fn backlog(host: &Host, role: Option<Role>) -> Finding {
    const CHECK: &str = "backlog";
    let accepted = host.number("/proc/sys/net/core/somaxconn");
    let syn = host.number("/proc/sys/net/ipv4/tcp_max_syn_backlog");
    let seen = format!("net.core.somaxconn {}, net.ipv4.tcp_max_syn_backlog {}", known(accepted), known(syn));
    if matches!(role, Some(Role::Connector | Role::Control)) {
        return Finding::ok(CHECK, format!("{seen}; nothing listens to others here"));
    }
    let low = |value: Option<u64>, wanted, name: &str| {
        value.filter(|value| *value < wanted).map(|_| format!("{name} is below {wanted}"))
    };
    let troubles: Vec<String> = [low(accepted, SOMAXCONN, "somaxconn"), low(syn, SYN_BACKLOG, "tcp_max_syn_backlog")]
        .into_iter()
        .flatten()
        .collect();
    Finding::of(CHECK, seen, &troubles, "sysctl net.core.somaxconn=4096 net.ipv4.tcp_max_syn_backlog=4096")
}

/// Ports for connections that go out: to backends, mostly.
pub(super) fn local_ports(host: &Host) -> Finding {
    const CHECK: &str = "local-ports";
    let text = host.read("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut numbers = text.split_whitespace().map_while(|number| number.parse::<u64>().ok());
    let (Some(first), Some(last)) = (numbers.next(), numbers.next()) else {
        return Finding::ok(CHECK, "net.ipv4.ip_local_port_range is not known");
    };
    let count = last.saturating_sub(first) + 1;
    let seen = format!("{first} to {last}: {count} connections to one address and port at a time");
    if count < LOCAL_PORTS {
        return Finding::warn(CHECK, seen, "sysctl net.ipv4.ip_local_port_range=\"15000 60999\"");
    }
    Finding::ok(CHECK, seen)
}

/// Processors, as far as this process may use them.
pub(super) fn cores(host: &Host, role: Option<Role>) -> Finding {
    const CHECK: &str = "cores";
    let Some(cores) = host.cores() else {
        return Finding::warn(CHECK, "/proc/self/status cannot be read", "mount /proc");
    };
    let seen = format!("{cores} in this process's affinity mask; relay and connector run one worker on each");
    if cores == 1 && matches!(role, Some(Role::Relay)) {
        return Finding::warn(
            CHECK,
            seen,
            "give the relay a second core: all its work, and the kernel's, is on this one",
        );
    }
    Finding::ok(CHECK, seen)
}

/// What the control group allows, its parents included.
pub(super) fn cgroup(host: &Host, role: Option<Role>) -> Finding {
    const CHECK: &str = "cgroup";
    let own = host.read("/proc/self/cgroup").unwrap_or_default();
    let Some(path) = own.lines().find_map(|line| line.strip_prefix("0::")) else {
        return Finding::ok(CHECK, "no control group of version 2: its limits are not known");
    };
    let folders: Vec<String> = parents(path.trim());
    let memory = folders.iter().filter_map(|folder| host.number(&format!("{folder}/memory.max"))).min();
    let shares = folders.iter().filter_map(|folder| cpu(&host.read(&format!("{folder}/cpu.max"))?)).min();
    let wanted = memory_wanted(role);
    let mut troubles = Vec::new();
    if memory.is_some_and(|memory| memory < wanted) {
        troubles.push(format!("{} are wanted", bytes(wanted)));
    }
    let cores_milli = host.cores().unwrap_or(1).saturating_mul(1000);
    if shares.is_some_and(|share| share < cores_milli) {
        troubles.push("the quota is less than the cores have: the kernel halts all workers once it is used up".into());
    }
    let memory = memory.map_or_else(|| "not limited".into(), bytes);
    let share =
        shares.map_or_else(|| "not limited".into(), |milli| format!("{}.{:03} cores", milli / 1000, milli % 1000));
    let seen = format!("memory {memory}, processors {share}");
    Finding::of(
        CHECK,
        seen,
        &troubles,
        "raise memory.max; give whole cores (a cpuset, --workers N) in place of a quota",
    )
}

/// `/sys/fs/cgroup` and all below it down to the group itself.
fn parents(path: &str) -> Vec<String> {
    let mut folders = vec![String::from("/sys/fs/cgroup")];
    for part in path.split('/').filter(|part| !part.is_empty() && *part != "..").take(GROUPS_DEEP_MAX) {
        let deeper = format!("{}/{part}", folders.last().map_or("", String::as_str));
        folders.push(deeper);
    }
    folders
}

/// Thousandths of a core, of `QUOTA PERIOD`; nothing of `max PERIOD`.
fn cpu(text: &str) -> Option<u64> {
    let mut words = text.split_whitespace();
    let (quota, period): (u64, u64) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    quota.checked_mul(1000)?.checked_div(period)
}

fn memory_wanted(role: Option<Role>) -> u64 {
    match role {
        Some(Role::Control) => 128 << 20,
        Some(Role::Connector) => 256 << 20,
        Some(Role::Relay) | None => 512 << 20,
    }
}

/// Soft and hard; what is not limited is the largest number.
fn limit(host: &Host, name: &str) -> Option<(u64, u64)> {
    let text = host.read("/proc/self/limits")?;
    let mut values = text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace();
    let mut value = || match values.next()? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    };
    Some((value()?, value()?))
}

fn known(value: Option<u64>) -> String {
    value.map_or_else(|| "not known".into(), |value| value.to_string())
}

fn word(value: u64) -> String {
    if value == u64::MAX { "unlimited".into() } else { value.to_string() }
}

fn bytes(value: u64) -> String {
    match value {
        u64::MAX => "unlimited".into(),
        value if value >= 1 << 20 => format!("{} MiB", value >> 20),
        value => format!("{} KiB", value >> 10),
    }
}

const FILES: u64 = 65_536;
const FILES_CONTROL: u64 = 4_096;
const LOCKED_BYTES: u64 = 64 << 20;
const SOMAXCONN: u64 = 4_096;
const SYN_BACKLOG: u64 = 1_024;
const LOCAL_PORTS: u64 = 20_000;
const GROUPS_DEEP_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::super::host::tests::host;
    use super::*;
    use postern_model::check::StepResult::{Ok as Good, Warn};

    fn limits(files: &str, memory: &str) -> String {
        format!(
            "Limit                     Soft Limit           Hard Limit           Units     \n\
             Max open files            1024                 {files}              files     \n\
             Max locked memory         8388608              {memory}             bytes     \n"
        )
    }

    #[test]
    fn limits_of_this_shell_are_read() {
        let (_folder, good) = host(&[("/proc/self/limits", limits("1048576", "unlimited").as_str())]);
        let found = files(&good, Some(Role::Relay));
        assert!(found.result == Good && found.seen.contains("1024 of 1048576"), "{found:?}");
        assert_eq!(locked_memory(&good).result, Good);
        let (_folder, low) = host(&[("/proc/self/limits", limits("4096", "65536").as_str())]);
        let found = files(&low, None);
        assert!(found.result == Warn && found.cure.contains("LimitNOFILE"), "{found:?}");
        assert_eq!(files(&low, Some(Role::Control)).result, Good, "it needs fewer");
        let found = locked_memory(&low);
        assert!(found.result == Warn && found.seen.contains("64 KiB"), "{found:?}");
        assert_eq!(files(&host(&[]).1, None).result, Warn);
    }

    #[test]
    fn short_queues_and_few_ports_are_warned_about() {
        let queues = |most: &str| {
            let files = [("/proc/sys/net/core/somaxconn", most), ("/proc/sys/net/ipv4/tcp_max_syn_backlog", most)];
            let (_folder, host) = host(&files);
            (backlog(&host, Some(Role::Relay)), backlog(&host, Some(Role::Connector)))
        };
        assert_eq!(queues("4096\n").0.result, Good);
        let (relay, connector) = queues("128\n");
        assert!(relay.result == Warn && relay.seen.contains("somaxconn is below 4096"), "{relay:?}");
        assert_eq!(connector.result, Good, "it listens nowhere");
        let ports = |range: &str| local_ports(&host(&[("/proc/sys/net/ipv4/ip_local_port_range", range)]).1);
        assert_eq!(ports("32768\t60999\n").result, Good);
        assert!(ports("60000\t60999\n").result == Warn && ports("60000\t60999\n").seen.contains("1000 connections"));
        assert_eq!(ports("nonsense").result, Good);
    }

    #[test]
    fn the_groups_limits_hold_from_its_root_down() {
        let files = [
            ("/proc/self/cgroup", "0::/system.slice/postern.service\n"),
            ("/proc/self/status", "Cpus_allowed_list:\t0-1\n"),
            ("/sys/fs/cgroup/system.slice/memory.max", "67108864\n"),
            ("/sys/fs/cgroup/system.slice/postern.service/memory.max", "max\n"),
            ("/sys/fs/cgroup/system.slice/postern.service/cpu.max", "150000 100000\n"),
        ];
        let (_folder, low) = host(&files);
        let found = cgroup(&low, Some(Role::Relay));
        assert!(found.result == Warn && found.seen.contains("memory 64 MiB, processors 1.500 cores"), "{found:?}");
        assert!(found.seen.contains("512 MiB are wanted") && found.seen.contains("quota"), "{found:?}");
        let (_folder, open) = host(&[("/proc/self/cgroup", "0::/\n"), ("/sys/fs/cgroup/cpu.max", "max 100000\n")]);
        let found = cgroup(&open, None);
        assert!(found.result == Good && found.seen.contains("memory not limited, processors not limited"), "{found:?}");
        assert_eq!(cgroup(&host(&[]).1, None).result, Good);
    }

    #[test]
    fn one_core_is_little_for_a_relay() {
        let (_folder, one) = host(&[("/proc/self/status", "Cpus_allowed_list:\t3\n")]);
        assert_eq!((cores(&one, Some(Role::Relay)).result, cores(&one, None).result), (Warn, Good));
    }
}
