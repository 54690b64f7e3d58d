//! What can go wrong with sealed passwords, where an operator meets it.

use super::Code;

pub(super) const CODES: &[Code] = &[
    Code {
        code: "vault-key-missing",
        status: Some(409),
        title: "The connector group has no key of the vault",
        cause: "Credentials are sealed to the key of the connectors that use them, and none was made for this group.",
        cure: "make one with `postern vault key create --group GROUP --out FILE` and start the group's connectors with --vault-key FILE.",
    },
    Code {
        code: "vault-key-exists",
        status: Some(409),
        title: "The connector group has a key of the vault already",
        cause: "Another key would leave its credentials sealed to one that no connector may have any more.",
        cure: "give connectors the file of the key there is. If it is lost, `--replace` makes another one; then set every credential again.",
    },
    Code {
        code: "vault-sealing-stale",
        status: Some(409),
        title: "The credential was sealed for something else",
        cause: "Between sealing and storing, the application's internal URL, its connector group or that group's key changed.",
        cure: "run `postern vault set` again.",
    },
    Code {
        code: "vault-key-invalid",
        status: None,
        title: "The key of the vault cannot be used",
        cause: "The file that --vault-key names does not hold one to four keys of the vault, one a line.",
        cure: "give the connector the file that `postern vault key create` wrote.",
    },
    Code {
        code: "vault-login-invalid",
        status: Some(400),
        title: "The password cannot be stored",
        cause: "A user name has 1 to 256 bytes, a password 1 to 1024, neither has control characters; with sso=basic a user name has no colon, for it ends there.",
        cure: "enter them as the application knows them.",
    },
    Code {
        code: "vault-changed-often",
        status: Some(429),
        title: "The password was changed too often",
        cause: "Each change goes to every connector of the application. A user changes their passwords, of all applications together, thirty times within ten minutes at most.",
        cure: "wait some minutes.",
    },
];
