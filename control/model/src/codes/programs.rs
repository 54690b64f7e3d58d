//! What the programs themselves say when they cannot start, connect or do what they were asked.

use super::Code;

pub(super) const STARTING: &[Code] = &[
    Code {
        code: "port-in-use",
        status: None,
        title: "The address is in use",
        cause: "Another program listens on the address, or an earlier instance still drains.",
        cure: "stop the other program (`ss -ltnp` names it) or choose another address.",
    },
    Code {
        code: "port-not-permitted",
        status: None,
        title: "This port needs a privilege",
        cause: "Ports below 1024 need CAP_NET_BIND_SERVICE, which the packaged systemd unit grants.",
        cure: "start it by its systemd unit, as root, or use a port from 1024 up.",
    },
    Code {
        code: "address-unavailable",
        status: None,
        title: "The address is not on this host",
        cause: "No network interface carries the address that the program should listen on.",
        cure: "listen on an address that `ip address` shows, or on 0.0.0.0.",
    },
    Code {
        code: "state-dir-locked",
        status: None,
        title: "The state folder is in use",
        cause: "Another process of the same program holds the folder's lock.",
        cure: "stop the other process or give this one a folder of its own with --state-dir.",
    },
    Code {
        code: "state-dir-unusable",
        status: None,
        title: "The state folder cannot be used",
        cause: "The folder cannot be made, entered or written by the user that the program runs as.",
        cure: "give --state-dir a folder that the program's user owns.",
    },
    Code {
        code: "state-damaged",
        status: None,
        title: "A file in the state folder is damaged",
        cause: "The file was changed by hand, cut by a full disk, or belongs to another version.",
        cure: "restore the state folder from its backup. A relay or connector may also start with an empty folder: it then fetches what it needs again.",
    },
    Code {
        code: "file-unreadable",
        status: None,
        title: "A file that the program needs cannot be read",
        cause: "The file is missing, unreadable for the program's user, too large, or not of the kind expected.",
        cure: "check the path and that the program's user may read the file.",
    },
    Code {
        code: "key-invalid",
        status: None,
        title: "The private key cannot be used",
        cause: "The file holds no PEM private key (PKCS#8, SEC1 or PKCS#1), or one that is encrypted.",
        cure: "give an unencrypted PEM private key. `openssl pkey -in FILE -out KEY.pem` converts most.",
    },
    Code {
        code: "trust-anchor-invalid",
        status: None,
        title: "The trust anchor cannot be used",
        cause: "The file of --trust-anchor is not the certificate of the control authority.",
        cure: "copy the file that `postern init` wrote to this host and name it with --trust-anchor.",
    },
    Code {
        code: "io-backend-unavailable",
        status: None,
        title: "io_uring is not available",
        cause: "--io uring was asked for, but the kernel is older than 6.1, or a sysctl or seccomp filter forbids io_uring.",
        cure: "use --io auto, which falls back to epoll, or allow io_uring.",
    },
    Code {
        code: "ebpf-unavailable",
        status: None,
        title: "The BPF programs cannot be loaded",
        cause: "--ebpf require was asked for, but the kernel refuses: missing CAP_BPF, CAP_NET_ADMIN or CAP_PERFMON, no bpffs, or a kernel before 6.1.",
        cure: "use --ebpf auto, which works without, or start it by its systemd unit or as root.",
    },
    Code {
        code: "not-yet-available",
        status: Some(501),
        title: "Not yet available",
        cause: "The option or value is reserved for something that this version does not do. It is refused so that nobody takes it for working.",
        cure: "leave the option out, or use a version that has it.",
    },
];

pub(super) const ENROLMENT: &[Code] = &[
    Code {
        code: "token-unknown",
        status: None,
        title: "The enrolment token is not known",
        cause: "The token was removed, its connector group was deleted, or it comes from another installation.",
        cure: "make a new token with `postern connector token --group GROUP --out FILE`.",
    },
    Code {
        code: "token-used",
        status: None,
        title: "The enrolment token was used before",
        cause: "A token enrols one connector. Another one has used it, or the connector's state folder was emptied since.",
        cure: "make a new token with `postern connector token --group GROUP --out FILE`.",
    },
    Code {
        code: "token-expired",
        status: None,
        title: "The enrolment token has expired",
        cause: "More time has passed than the token's --ttl allowed, or this host's clock is ahead.",
        cure: "make a new token with `postern connector token --group GROUP --out FILE` and use it within its time.",
    },
    Code {
        code: "token-invalid",
        status: None,
        title: "The token file holds no token",
        cause: "The file is empty, cut, or not what `postern connector token` wrote.",
        cure: "copy the token file again, whole. It is one line that begins with `postern-token-1.`.",
    },
    Code {
        code: "token-wrong-ca",
        status: None,
        title: "The relay belongs to another installation",
        cause: "The relay's certificate does not come from the control authority that the token names.",
        cure: "check --relay, or make the token with the control that this relay is linked to.",
    },
    Code {
        code: "tls-inspected",
        status: None,
        title: "The tunnel's TLS is inspected on its way",
        cause: "A proxy or firewall between connector and relay answers with a certificate of its own. Tunnels are refused through it.",
        cure: "exempt the relay's address from TLS inspection.",
    },
    Code {
        code: "clock-skew",
        status: None,
        title: "The clocks differ too much",
        cause: "This host's clock and the relay's differ so much that certificates seem expired or not yet valid.",
        cure: "synchronise the clock, for example with `timedatectl set-ntp true`.",
    },
    Code {
        code: "control-unavailable",
        status: Some(503),
        title: "The control process cannot be reached",
        cause: "The relay has no link to postern-control at the moment, and only control can answer this.",
        cure: "start postern-control or wait for its link. Published applications keep working meanwhile.",
    },
    Code {
        code: "csr-invalid",
        status: None,
        title: "The certificate request is not acceptable",
        cause: "The request is not a PEM certificate request with a P-256 key and a valid signature.",
        cure: "use a connector of the same or a neighbouring minor version.",
    },
    Code {
        code: "certificate-refused",
        status: None,
        title: "The connector's certificate is refused",
        cause: "The certificate has expired, the connector was removed, or the signature over its renewal is wrong.",
        cure: "enrol it again: empty its state folder and start it with a new token.",
    },
    Code {
        code: "relay-unreachable",
        status: None,
        title: "The relay cannot be reached",
        cause: "The relay's name does not resolve, or nothing answers at its address. Tunnels need outbound TCP to the relay's port.",
        cure: "check --relay and that outbound TCP to it is allowed. The connector keeps trying.",
    },
    Code {
        code: "protocol-unsupported",
        status: None,
        title: "The versions are too far apart",
        cause: "The two programs share no version of the protocol. Neighbouring minor versions always do.",
        cure: "upgrade the older program.",
    },
];

pub(super) const ADMIN: &[Code] = &[
    Code {
        code: "control-unreachable",
        status: None,
        title: "postern-control does not answer",
        cause: "The command line found no process behind the admin socket.",
        cure: "start postern-control, or name its socket with --socket or POSTERN_SOCKET.",
    },
    Code {
        code: "permission-denied",
        status: Some(403),
        title: "This user may not administer Postern",
        cause: "The admin socket serves root, postern-control's own user, and the users given with --admin-uid.",
        cure: "use sudo, or start postern-control with --admin-uid for your user.",
    },
];
