//! The kernel: its version, BPF, `io_uring`, what sandboxes and TLS it offers, and its clock.

use std::io;

use nix::libc;
use postern_ebpf_loader::{Clock, Support};

use super::finding::Finding;
use super::host::Host;
use crate::args::Role;

/// Whether it is one that everything is made for.
pub(super) fn version(host: &Host) -> Finding {
    const CHECK: &str = "kernel";
    let Some(release) = host.read("/proc/sys/kernel/osrelease") else {
        return Finding::warn(CHECK, "/proc/sys/kernel/osrelease cannot be read", "mount /proc");
    };
    let release = release.trim();
    let cure = "use Linux 6.1 or later: below it everything works, at more CPU time per request";
    match parsed(release) {
        Some(version) if version >= FLOOR => Finding::ok(CHECK, format!("Linux {release}")),
        Some(version) if version >= MIGRATES => {
            Finding::warn(CHECK, format!("Linux {release}: no io_uring and no steering as the relay uses them"), cure)
        }
        Some(_) => Finding::warn(
            CHECK,
            format!(
                "Linux {release}: no io_uring, no steering, and upgrades may lose connections that wait to be accepted"
            ),
            cure,
        ),
        None => Finding::warn(CHECK, format!("the version {release:?} is not understood"), cure),
    }
}

fn parsed(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(['.', '-', '+']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Whether programs can be loaded, as the relay would find it.
pub(super) fn bpf(host: &Host, role: Option<Role>, support: &Support) -> Finding {
    const CHECK: &str = "bpf";
    let is_mounted =
        |line: &str| line.split(' ').nth(2) == Some("bpf") && line.split(' ').nth(1) == Some("/sys/fs/bpf");
    let mounted = host.read("/proc/self/mounts").is_some_and(|mounts| mounts.lines().any(is_mounted));
    let jit = host.number("/proc/sys/net/core/bpf_jit_enable");
    let details = format!(
        "bpffs {}, JIT {}, BTF {}",
        if mounted { "mounted" } else { "not mounted" },
        jit.map_or("not known", |jit| if jit == 0 { "off" } else { "on" }),
        if host.has("/sys/kernel/btf/vmlinux") { "there" } else { "not there" },
    );
    if matches!(role, Some(Role::Connector | Role::Control)) {
        return Finding::ok(CHECK, format!("{details}; only relays use it"));
    }
    match support {
        Support::Available if jit == Some(0) => Finding::warn(
            CHECK,
            format!("programs can be loaded; {details}"),
            "sysctl net.core.bpf_jit_enable=1: without it the programs are interpreted",
        ),
        Support::Available => Finding::ok(CHECK, format!("programs can be loaded; {details}")),
        Support::Unavailable(reason) => Finding::warn(
            CHECK,
            format!("{reason}; {details}"),
            "the relay runs without it (no steering, no packet filter); start its supervisor as root to have them",
        ),
    }
}

/// Whether a ring can be had, as `--io auto` would find it.
pub(super) fn io_uring(host: &Host, role: Option<Role>, ring: &io::Result<()>) -> Finding {
    const CHECK: &str = "io-uring";
    let sysctl = host.number("/proc/sys/kernel/io_uring_disabled");
    let said = match sysctl {
        Some(0) => "kernel.io_uring_disabled=0",
        Some(1) => "kernel.io_uring_disabled=1: for root and the group kernel.io_uring_group only",
        Some(_) => "kernel.io_uring_disabled=2: for nobody",
        None => "there is no sysctl kernel.io_uring_disabled",
    };
    if role == Some(Role::Control) {
        return Finding::ok(CHECK, format!("{said}; control does not use it"));
    }
    match ring {
        // Dataplanes are no root.
        Ok(()) if sysctl == Some(1) => Finding::warn(
            CHECK,
            format!("this user gets a ring; {said}"),
            "sysctl kernel.io_uring_disabled=0, or put the programs' users into that group; else they use epoll",
        ),
        Ok(()) => Finding::ok(CHECK, format!("a ring can be had; {said}")),
        Err(error) => Finding::warn(CHECK, format!("no ring: {error} ({}); {said}", cause(error)), RING_CURE),
    }
}

fn cause(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => "a sysctl or a seccomp filter, as containers have one, forbids it",
        Some(libc::ENOSYS) => "the kernel was built without it, or a filter hides it",
        Some(libc::EINVAL) => "the kernel is older than Linux 6.1",
        Some(libc::ENOMEM) => "the limit of locked memory is too low",
        Some(_) | None => "the kernel gives no more of a reason",
    }
}

/// What the relay's dataplane locks itself in with.
pub(super) fn sandbox(host: &Host) -> Finding {
    const CHECK: &str = "sandbox";
    let modules = host.read("/sys/kernel/security/lsm");
    let landlock = modules.as_deref().map(|list| list.trim().split(',').any(|one| one == "landlock"));
    let seccomp = host.status("Seccomp").is_some();
    let users = host.number("/proc/sys/user/max_user_namespaces");
    let seen = format!(
        "Landlock {}, seccomp {}, user namespaces {}",
        landlock.map_or("not known (securityfs is not mounted)", |there| if there { "on" } else { "off" }),
        if seccomp { "there" } else { "not there" },
        users.map_or_else(
            || "not known".into(),
            |most| if most == 0 { "off".into() } else { format!("at most {most}") }
        ),
    );
    let mut troubles = Vec::new();
    if landlock == Some(false) {
        troubles.push("the dataplane can be kept from files by seccomp only".into());
    }
    if !seccomp {
        troubles.push("the dataplane cannot give up system calls".into());
    }
    Finding::of(
        CHECK,
        seen,
        &troubles,
        "add landlock to the kernel's lsm= list; use a kernel with CONFIG_SECCOMP_FILTER",
    )
}

/// Not used today; said, as operators ask.
pub(super) fn kernel_tls(host: &Host) -> Finding {
    const CHECK: &str = "kernel-tls";
    let listed = host.read("/proc/sys/net/ipv4/tcp_available_ulp");
    let there =
        host.has("/sys/module/tls") || listed.is_some_and(|list| list.split_whitespace().any(|one| one == "tls"));
    let seen = if there { "the module tls is loaded" } else { "the module tls is not loaded" };
    Finding::ok(CHECK, format!("{seen}; Postern does not need it"))
}

/// Whether something keeps the clock.
pub(super) fn clock(asked: &io::Result<Clock>) -> Finding {
    const CHECK: &str = "clock";
    match asked {
        Ok(Clock { synchronised: true, error_max_us }) => {
            Finding::ok(CHECK, format!("kept by a time server, at most {} ms off", error_max_us / 1000))
        }
        Ok(Clock { synchronised: false, .. }) => Finding::warn(
            CHECK,
            "nothing keeps it: the kernel says that it is not synchronised",
            "run chrony or systemd-timesyncd: certificates, sessions and Kerberos tickets are good by this clock",
        ),
        Err(error) => Finding::ok(CHECK, format!("the kernel cannot be asked how it is kept: {error}")),
    }
}

/// Which units there are.
pub(super) fn systemd(host: &Host, role: Option<Role>) -> Finding {
    const CHECK: &str = "systemd";
    if !host.has("/run/systemd/system") {
        return Finding::ok(CHECK, "it does not run here: what supervises the programs restarts them, too");
    }
    let found = |name: &&str| UNIT_FOLDERS.iter().any(|folder| host.has(&format!("{folder}/postern-{name}.service")));
    let units: Vec<&str> = UNITS.into_iter().filter(found).collect();
    let seen: String = match units.as_slice() {
        [] => "it runs, and has no units of Postern".into(),
        [..] => format!("it runs, and has units for {}", units.join(", ")),
    };
    match role {
        Some(role) if !units.is_empty() && !units.contains(&role.name()) => {
            let cure = format!("install postern-{}.service (packaging/systemd)", role.name());
            Finding::warn(CHECK, seen, &cure)
        }
        Some(_) | None => Finding::ok(CHECK, seen),
    }
}

const UNITS: [&str; 5] = ["relay", "connector", "control", "identity", "directory-sync"];
const UNIT_FOLDERS: [&str; 3] = ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];
const RING_CURE: &str = "allow io_uring_setup to the programs (sysctl kernel.io_uring_disabled=0, seccomp profile); else they use epoll, slower";
const FLOOR: (u32, u32) = (6, 1);
/// `sk_reuseport` migration.
const MIGRATES: (u32, u32) = (5, 14);

#[cfg(test)]
mod tests {
    use super::super::host::tests::host;
    use super::*;
    use postern_model::check::StepResult::{Ok as Good, Warn};

    #[test]
    fn kernels_are_told_apart_at_their_floors() {
        let of = |release: &str| {
            let (_folder, host) = host(&[("/proc/sys/kernel/osrelease", release)]);
            version(&host)
        };
        assert_eq!(of("6.18.0-1-amd64\n").result, Good);
        assert_eq!(of("6.1.0\n").result, Good);
        let older = of("5.15.0-generic\n");
        assert!(older.result == Warn && older.seen.contains("no steering") && older.cure.contains("6.1"), "{older:?}");
        assert!(of("5.4.0\n").seen.contains("may lose connections"));
        assert!(of("strange\n").seen.contains("not understood"));
        assert_eq!(version(&host(&[]).1).result, Warn);
    }

    #[test]
    fn what_keeps_bpf_away_is_named() {
        let mounts = "proc /proc proc rw 0 0\nbpf /sys/fs/bpf bpf rw 0 0\n";
        let good = [
            ("/proc/self/mounts", mounts),
            ("/proc/sys/net/core/bpf_jit_enable", "1\n"),
            ("/sys/kernel/btf/vmlinux", "x"),
        ];
        let (_folder, all) = host(&good);
        let found = bpf(&all, Some(Role::Relay), &Support::Available);
        assert_eq!(found.result, Good);
        assert!(found.seen.contains("bpffs mounted, JIT on, BTF there"), "{found:?}");
        let (_folder, slow) = host(&[("/proc/sys/net/core/bpf_jit_enable", "0\n")]);
        let found = bpf(&slow, None, &Support::Available);
        assert!(found.result == Warn && found.seen.contains("bpffs not mounted, JIT off, BTF not there"), "{found:?}");
        let refused = Support::Unavailable("the process lacks CAP_BPF".into());
        let found = bpf(&all, None, &refused);
        assert!(found.result == Warn && found.seen.contains("CAP_BPF") && found.cure.contains("root"), "{found:?}");
        assert_eq!(bpf(&all, Some(Role::Connector), &refused).result, Good, "only relays use it");
    }

    #[test]
    fn a_ring_that_is_refused_says_by_whom() {
        let (_folder, open) = host(&[("/proc/sys/kernel/io_uring_disabled", "0\n")]);
        assert_eq!(io_uring(&open, None, &Ok(())).result, Good);
        for (errno, words) in
            [(1, "seccomp"), (38, "built without"), (22, "older than"), (12, "locked memory"), (5, "no more of")]
        {
            let found = io_uring(&open, Some(Role::Relay), &Err(io::Error::from_raw_os_error(errno)));
            assert!(found.result == Warn && found.seen.contains(words) && found.cure.contains("epoll"), "{found:?}");
        }
        let (_folder, root_only) = host(&[("/proc/sys/kernel/io_uring_disabled", "1\n")]);
        let found = io_uring(&root_only, None, &Ok(()));
        assert!(found.result == Warn && found.seen.contains("io_uring_group"), "{found:?}");
        let refused = Err(io::Error::from_raw_os_error(1));
        assert_eq!(io_uring(&root_only, Some(Role::Control), &refused).result, Good, "control does not use it");
    }

    #[test]
    fn what_the_dataplane_is_locked_in_with_is_looked_for() {
        let status = "Seccomp:\t0\n";
        let good = [("/sys/kernel/security/lsm", "lockdown,capability,landlock,yama\n"), ("/proc/self/status", status)];
        assert_eq!(sandbox(&host(&good).1).result, Good);
        let (_folder, without) =
            host(&[("/sys/kernel/security/lsm", "capability,yama\n"), ("/proc/sys/user/max_user_namespaces", "0\n")]);
        let found = sandbox(&without);
        assert!(
            found.result == Warn && found.seen.contains("Landlock off, seccomp not there, user namespaces off"),
            "{found:?}"
        );
    }

    #[test]
    fn a_clock_that_nothing_keeps_is_warned_about() {
        let asked = |synchronised| clock(&Ok(Clock { synchronised, error_max_us: 16_000 }));
        assert!(asked(true).result == Good && asked(true).seen.contains("16 ms"));
        assert!(asked(false).result == Warn && asked(false).cure.contains("chrony"));
        assert_eq!(clock(&Err(io::Error::from_raw_os_error(1))).result, Good, "a sandbox is no trouble");
    }

    #[test]
    fn units_and_modules_are_found() {
        let files = [("/run/systemd/system/x", ""), ("/usr/lib/systemd/system/postern-relay.service", "")];
        let (_folder, relay) = host(&files);
        assert_eq!(systemd(&relay, Some(Role::Relay)).result, Good);
        assert!(systemd(&relay, None).seen.contains("units for relay"));
        assert_eq!(systemd(&relay, Some(Role::Connector)).result, Warn);
        let (_folder, none) = host(&[]);
        assert_eq!(systemd(&none, Some(Role::Relay)).result, Good);
        assert!(kernel_tls(&none).seen.contains("not loaded"));
        let (_folder, loaded) = host(&[("/proc/sys/net/ipv4/tcp_available_ulp", "espintcp mptcp tls\n")]);
        assert!(kernel_tls(&loaded).seen.contains("is loaded"));
    }
}
