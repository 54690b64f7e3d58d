//! Why users and groups are not, or not wholly, what an LDAP directory says (`postern-directory-sync`).

use super::Code;

pub(super) const CODES: &[Code] = &[
    Code {
        code: "directory-sync-fixed",
        status: Some(409),
        title: "The connector group belongs to a directory source",
        cause: "Its connectors are processes that read an LDAP directory. They serve no applications, and the group lives as long as its source.",
        cure: "publish the application in another connector group. `postern directory-sync remove` removes the source with its group.",
    },
    Code {
        code: "directory-sync-refused",
        status: Some(403),
        title: "A directory source may not do that",
        cause: "The process asked for something outside of a pass of its own source, or for more at once than is possible.",
        cure: "use the same version of postern-directory-sync and postern-control. If it is the same, look at the host of the process.",
    },
    Code {
        code: "directory-sync-stopped",
        status: Some(409),
        title: "Too many users or groups are gone from the directory at once",
        cause: "More of the source's users or groups were missing than --max-delete allows. Most often the base, the filter or the rights of the account that reads them have changed. Nobody was removed; everything else was taken over.",
        cure: "look at `postern directory-sync status`, and correct the source. If they are gone indeed: postern directory-sync run NAME --confirm-removals N, with the number that it names.",
    },
    Code {
        code: "directory-sync-busy",
        status: Some(409),
        title: "Another pass of the same source is under way",
        cause: "A source has one pass at a time; a second process of the same source waits for its turn.",
        cure: "wait until it is over.",
    },
    Code {
        code: "directory-unreachable",
        status: None,
        title: "The LDAP directory cannot be reached",
        cause: "Its name does not resolve, nothing accepts the connection, or it broke off.",
        cure: "check from the host of postern-directory-sync that the directory answers. Users and groups stay as they are meanwhile.",
    },
    Code {
        code: "directory-untrusted",
        status: None,
        title: "The LDAP directory's certificate is not trusted",
        cause: "It is by another authority than --ca names, has another name, has expired, or the directory offers no TLS.",
        cure: "give --ca the certificate of the directory's authority, and --directory the name in its certificate. There is no way without TLS.",
    },
    Code {
        code: "directory-bind-refused",
        status: None,
        title: "The LDAP directory refuses the account that reads it",
        cause: "The distinguished name or the password is wrong, or the account is locked.",
        cure: "check --bind-dn and the file of --bind-password-file. The file is read anew with each pass.",
    },
    Code {
        code: "directory-read-failed",
        status: None,
        title: "The LDAP directory could not be read to the end",
        cause: "It refused the search, its answer was malformed or larger than is possible, or it stopped in the middle.",
        cure: "look at the details: a base that does not exist, a filter that is no filter, a size limit for the account that reads.",
    },
];
