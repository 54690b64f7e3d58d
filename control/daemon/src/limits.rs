//! Every bound of control, with its arithmetic. RSS stays under 64 MiB at 1,000 applications and 100,000 users: a snapshot of
//! those applications is about 4 MB in memory and 4 MB encoded, encoded once for all relays and cloned once while a change is
//! made. Users are not in memory.

use std::time::Duration;

/// Tenants.
pub(crate) const TENANTS_MAX: usize = 1_000;
/// Applications, all tenants. At about 3.5 KB each they are 18 MB of the snapshot, whose message has at most 64 MiB.
pub(crate) const APPS_MAX: usize = 5_000;
/// Links to applications of other groups, in the signed configurations of all groups: each group has its equal share. At about
/// 150 bytes each that are some 28,000, 2,800 for each of ten groups, all of the tenant's where there are fewer.
pub(crate) const LINKS_BYTES_MAX: usize = 4 << 20;
/// Icons of applications, all tenants: with the rest of the snapshot they stay below the link's message limit.
pub(crate) const ICONS_BYTES_MAX: usize = 4 << 20;
/// Connector groups, all tenants.
pub(crate) const GROUPS_MAX: usize = 1_000;
/// Connectors, all tenants: 20,000 at about 200 bytes fit a relay's status message of 4 MiB.
pub(crate) const CONNECTORS_MAX: usize = 20_000;
/// Certificates, all tenants.
pub(crate) const CERTIFICATES_MAX: usize = 5_000;
/// Limits that were set, all tenants: at about 150 bytes each 1.5 MB of the snapshot.
pub(crate) const LIMITS_MAX: usize = 10_000;
/// Limits of address prefixes of one tenant: relays look through them with every request.
pub(crate) const PREFIX_LIMITS_MAX: usize = 256;
/// Users of one tenant. They live in the store: at about 400 bytes each 80 MB of disk, and nothing of memory.
pub(crate) const USERS_MAX: u32 = 200_000;
/// User groups of one tenant. Whoever asks where a user belongs reads them all: 2,000 at about 200 bytes are 400 KB for that moment.
pub(crate) const USER_GROUPS_MAX: usize = 2_000;
/// Groups nested in one group: with [`USER_GROUPS_MAX`] at most 512,000 of 8 bytes, in practice some for each.
pub(crate) const GROUPS_NESTED_MAX: usize = 256;
/// Users who look after one group: all of them are named wherever it is shown.
pub(crate) const GROUP_OWNERS_MAX: usize = 64;
/// Users that are read at once by what looks at all of them: 1,000 at about 600 bytes. Others get their turn in between.
pub(crate) const USERS_AT_ONCE: u32 = 1_000;
/// Logins that a mistyped one is compared with, on either side.
pub(crate) const LOGINS_COMPARED: u32 = 500;
/// Assignments, all tenants: at about 130 bytes each, 170 with long names, 13 to 17 MB of the snapshot, and 18 MB in memory, twice
/// while a change is made. With all of them one change costs control 15 to 40 ms, and a relay 30 ms until it is in force and 70 until it
/// is written down.
pub(crate) const ASSIGNMENTS_MAX: usize = 100_000;
/// Of which so many come of what users ask for by themselves.
pub(crate) const ASSIGNMENTS_BY_USERS_MAX: usize = ASSIGNMENTS_MAX / 10 * 9;
/// Credentials of the vault, all tenants: at about 400 bytes each, once by themselves and once in a signed configuration, 4 MB of
/// the snapshot.
pub(crate) const CREDENTIALS_MAX: usize = 5_000;
/// Of which users enter so many, 4,500, by themselves: for 500 more there is room whatever they do, of any tenant's operators.
pub(crate) const CREDENTIALS_BY_USERS_MAX: usize = CREDENTIALS_MAX / 10 * 9;
/// Credentials of one application: each change signs and sends all that its group has, 800 KB then.
pub(crate) const APP_CREDENTIALS_MAX: usize = 2_000;
/// Of which users enter so many, 1,800, by themselves: 200 are left to operators.
pub(crate) const APP_CREDENTIALS_BY_USERS_MAX: usize = APP_CREDENTIALS_MAX / 10 * 9;
/// Policies, all tenants: at about 600 bytes each 3 MB of the snapshot.
pub(crate) const POLICIES_TOTAL_MAX: usize = 5_000;
/// Passwords that are hashed at once: each takes 19 MiB of the 64.
pub(crate) const HASHES_AT_ONCE: usize = 1;
/// Sign-ins that wait for their password to be looked at: at some 40 ms each the last one waits for five seconds.
pub(crate) const VERIFICATIONS_WAITING_MAX: usize = 128;
/// NIST SP 800-63B §3.1.1.2: at least eight characters.
pub(crate) const PASSWORD_CHARS_MIN: usize = 8;
/// Long enough for a page of text.
pub(crate) const PASSWORD_BYTES_MAX: usize = 1_024;
/// Relays: each costs a task, two buffers and a TLS session of together about 64 KiB.
pub(crate) const RELAYS_MAX: usize = 256;
/// Tokens of one group that are neither used nor expired.
pub(crate) const TOKENS_OPEN_MAX: u32 = 1_000;
/// Records of a log that one question looks at, at most: a filter may pass none of them. About 20 ms; others get their turn in between.
pub(crate) const RECORDS_LOOKED_AT: u64 = 20_000;
/// Records that one request looks at: then it says where to go on.
pub(crate) const RECORDS_LOOKED_AT_MAX: u64 = 1_000_000;
/// Records that are verified at once: 500 of at most 16 KB, hashed in about 1 ms.
pub(crate) const RECORDS_VERIFIED_AT_ONCE: u32 = 500;
/// Old records that are looked at, and removed, at once.
pub(crate) const RECORDS_REMOVED_AT_ONCE: u32 = 500;

/// Admin connections at once.
pub(crate) const ADMIN_CONNECTIONS_MAX: usize = 128;
/// Connections at once of users who may do nothing at the admin socket: places in which they are told so.
pub(crate) const STRANGERS_MAX: usize = 8;
/// A client that is slower with its request head is dropped.
pub(crate) const ADMIN_HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// A client that is slower with its request body is dropped.
pub(crate) const ADMIN_BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// A checkpoint is made once the log since the last one is longer.
pub(crate) const LOG_BYTES_MAX: u64 = 8 << 20;
/// Deltas kept behind a checkpoint, for relays that are a little behind.
pub(crate) const LOG_DELTAS_KEPT: u64 = 64;
/// Deltas read from the log at once.
pub(crate) const DELTAS_AT_ONCE: u32 = 16;

/// Establishing a link: TCP, TLS and the relay's `Hello`.
pub(crate) const LINK_OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// A relay that takes longer to read a message is dropped.
pub(crate) const LINK_WRITE_TIMEOUT: Duration = Duration::from_secs(20);
/// Pings.
pub(crate) const LINK_PING_INTERVAL: Duration = Duration::from_secs(5);
/// Bytes read from a link at once.
pub(crate) const LINK_READ_BYTES: usize = 16 << 10;
/// First pause before a relay is dialled again; doubles up to the next.
pub(crate) const REDIAL_MIN: Duration = Duration::from_millis(200);
/// Longest pause before a relay is dialled again.
pub(crate) const REDIAL_MAX: Duration = Duration::from_secs(10);
/// A relay that was removed while it was out of reach is dialled for so long, to be told.
pub(crate) const FAREWELL_TIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// A connector signing up for 1,000 certificates a second would be an attack: enrolments in this second from one relay.
pub(crate) const ENROLMENTS_PER_S: u32 = 200;
/// Questions waiting to be written to one relay. Administrators' requests are bounded by [`ADMIN_CONNECTIONS_MAX`].
pub(crate) const QUESTIONS_QUEUED_MAX: usize = 32;
/// Connectors that one `app check` asks; each may take as long as the check does.
pub(crate) const CONNECTORS_CHECKED_MAX: usize = 16;
/// Questions that one relay has not answered yet; older ones are given up.
pub(crate) const QUESTIONS_OPEN_MAX: usize = 128;

/// Applications that are traced at a time: as many as one relay takes on (`TRACES_MAX` there).
pub(crate) const TRACES_MAX: usize = 4;
/// What all relays together hand over of a trace at once, about: 4 MB, and 8 as JSON.
pub(crate) const TRACE_ANSWERS_BYTES: u64 = 4 << 20;
/// How often is looked for traces that nobody asks for any more.
pub(crate) const TRACES_LOOKED_AT: Duration = Duration::from_secs(5);

/// Sign-ins in progress: at about 600 bytes each 6 MB, for service providers at up to 2 KB each 20 MB. Above that the source
/// that has the most loses its oldest.
pub(crate) const FLOWS_MAX: usize = 10_000;
/// How long a sign-in may take, as long as its browser's cookie at the relay.
pub(crate) const FLOW_S: u64 = postern_model::session::FLOW_S_MAX;
/// Access requests of one user that wait.
pub(crate) const OPEN_REQUESTS_OF_USER_MAX: u32 = 10;
/// Access requests of one tenant that wait: an approver's page reads them all, at most 3 KB each.
pub(crate) const OPEN_REQUESTS_MAX: u32 = 2_000;
/// Access requests of one user that were decided and are kept for them to see.
pub(crate) const DECIDED_REQUESTS_KEPT: u32 = 20;
/// Access requests that are listed at once.
pub(crate) const REQUESTS_SHOWN_MAX: u32 = 1_000;
/// Applications to ask for, and requests to decide, on one page: at most 500 KB.
pub(crate) const REQUESTS_OF_PAGE_MAX: usize = 200;
/// Groups of one owner on one page: at about 400 bytes each 200 KB.
pub(crate) const OWNED_GROUPS_SHOWN_MAX: usize = 500;
/// Members of a group on one page, at most 700 bytes each as HTML: 350 KB.
pub(crate) const MEMBERS_OF_PAGE_MAX: u32 = 500;
/// Reviewers of one access review.
pub(crate) const REVIEWERS_MAX: usize = 32;
/// Access reviews of a tenant that were finished and are kept, each with its assignments.
pub(crate) const FINISHED_REVIEWS_KEPT: u32 = 50;
/// Access reviews that are listed at once.
pub(crate) const REVIEWS_SHOWN_MAX: u32 = 1_000;
/// How often it is noted that an assignment is used: a transaction a day and assignment.
pub(crate) const USE_NOTED_S: u64 = 86_400;
/// Codes that were given out: at about 300 bytes each 3 MB.
pub(crate) const CODES_MAX: usize = 10_000;
/// How long a code is good: one redirect.
pub(crate) const CODE_S: u64 = 60;
/// How long a code that was used is remembered.
pub(crate) const CODE_KEPT_S: u64 = 600;
/// How old a service provider's request may be: it comes by the next redirect.
pub(crate) const SAML_REQUEST_S: u64 = 600;
/// By how much a service provider's clock may be ahead.
pub(crate) const SAML_AHEAD_S: u64 = 300;
/// How long a request that was answered is remembered: longer than it can come again and lead to a sign-in that ends.
pub(crate) const SAML_ANSWERED_S: u64 = SAML_AHEAD_S + SAML_REQUEST_S + FLOW_S + 60;
/// Requests that were answered: at about 120 bytes each 1.2 MB. The oldest are forgotten.
pub(crate) const SAML_ANSWERED_MAX: usize = 10_000;
/// How often is looked whether the database of countries is another file, at most.
pub(crate) const GEOIP_LOOK_INTERVAL: Duration = Duration::from_secs(10);
/// Sign-ins of one user that the risk of the next is judged by.
pub(crate) const RISK_HISTORY: u32 = 200;
/// So long after a sign-in with one factor its country is one that the user is known to be in.
pub(crate) const RISK_KNOWN_S: u64 = 7 * 86_400;
/// Failures count so long, and no more than so many are read, the last ones.
pub(crate) const RISK_FAILURES_S: u64 = 3_600;
pub(crate) const RISK_FAILURES_READ: u32 = 300;
/// So many failures about one user are a signal.
pub(crate) const RISK_FAILURES: usize = 5;
/// So many login names that one network was wrong about are a signal: an office where people mistype has fewer in an hour.
pub(crate) const RISK_SPRAYED: usize = 10;
/// What databases of places are wrong by, and what is faster than an airliner.
pub(crate) const RISK_TRAVEL_KM: f64 = 500.0;
pub(crate) const RISK_TRAVEL_KM_H: f64 = 1_000.0;
/// Wrong passwords of one login name before the next has to wait.
pub(crate) const GUESSES_FREE: u32 = 5;
/// Wrong passwords from one address, or one network of IPv6, before the next has to wait: an office may be behind it.
pub(crate) const GUESSES_SOURCE_FREE: u32 = 30;
/// The longest wait.
pub(crate) const GUESS_WAIT_S_MAX: u64 = 300;
/// After so long without one, guesses are forgotten.
pub(crate) const GUESSES_KEPT_S: u64 = 3_600;
/// Login names and sources whose guesses are counted, each: at about 100 bytes 2 MB.
pub(crate) const GUESSES_TRACKED_MAX: usize = 10_000;
/// Users whose acceptances of terms are listed at once.
pub(crate) const ACCEPTANCES_SHOWN_MAX: u32 = 1_000;
/// Sessions that are listed at once.
pub(crate) const SESSIONS_SHOWN_MAX: u32 = 1_000;
/// Sessions that a user sees of their own.
pub(crate) const OWN_SESSIONS_SHOWN_MAX: u32 = 100;
/// Sessions that are ended in one transaction.
pub(crate) const SESSIONS_ENDED_AT_ONCE: usize = 10_000;
/// Connections of identity processes, and of those that read a directory, at a time through one relay.
pub(crate) const PIPES_MAX: usize = 32;
/// Bytes from an identity process that wait to be read. More at a time is no request.
pub(crate) const PIPE_WAITING_BYTES_MAX: usize = 2 << 20;
/// Bytes for an identity process in a pipe at a time.
pub(crate) const PIPE_BUFFER_BYTES: usize = 64 << 10;
/// An identity process that is slower with a request than this is dropped.
pub(crate) const PIPE_REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// A new key for cookies so often.
pub(crate) const COOKIE_KEY_S: u64 = 7 * 86_400;
/// Keys (WebAuthn) of one user: more are lost sooner than used.
pub(crate) const FACTOR_KEYS_MAX: usize = 10;
/// Recovery codes of one user.
pub(crate) const RECOVERY_CODES: usize = 10;
/// Random bytes of each: 80 bits, 16 letters.
pub(crate) const RECOVERY_CODE_BYTES: usize = 10;
/// A second factor is set up or removed by who proved who they are not longer ago.
pub(crate) const ENROL_FRESH_S: u64 = 600;
/// A device is enrolled by who proved who they are not longer ago: the way from the browser to the program takes a quarter of an
/// hour at most.
pub(crate) const DEVICE_ENROL_FRESH_S: u64 = 1_800;
/// Devices of one tenant. They live in the store: at about 400 bytes each 40 MB of disk.
pub(crate) const DEVICES_MAX: u32 = 100_000;
/// Devices of one tenant that were removed and are remembered: as much again. Each is one that an operator removed.
pub(crate) const DEVICES_REMEMBERED_MAX: u32 = 100_000;
/// So long a device of another authority stays in the directory without a certificate that counts, if nobody said anything of it.
pub(crate) const DEVICE_KEPT_S: u64 = 30 * 86_400;
/// Devices of one user.
pub(crate) const DEVICES_OF_USER_MAX: u32 = 16;
/// Devices that are read at once: 500 at about 700 bytes.
pub(crate) const DEVICES_AT_ONCE: u32 = 500;
/// How often it is noted that a device is shown: a transaction an hour and device.
pub(crate) const DEVICE_SEEN_NOTED_S: u64 = 3_600;
/// A certificate that a browser shows.
pub(crate) const DEVICE_CERTIFICATE_BYTES_MAX: usize = 16 << 10;
/// So often a user changes passwords of the vault, of all applications together: who begins with a dozen of them mistypes some,
pub(crate) const OWN_PASSWORD_CHANGES_MAX: u32 = 30;
/// within this time: a change of an application with all the credentials there can be is 800 KB for each connector.
pub(crate) const OWN_PASSWORD_CHANGES_S: u64 = 600;
/// Users who are counted at a time: 40 bytes each.
pub(crate) const OWN_PASSWORD_USERS_MAX: usize = 10_000;
/// A new key for assertions so often.
pub(crate) const ASSERTION_KEY_S: u64 = 30 * 86_400;

/// A SCIM client's request, and each thousand users that it has looked at: 50 a second.
pub(crate) const SCIM_REQUEST_MS: u64 = 20;
/// So many milliseconds' worth at once: 500 requests.
pub(crate) const SCIM_BURST_MS: u64 = 10_000;
/// A wrong SCIM token from one address, or one network of IPv6: one in six seconds.
pub(crate) const SCIM_WRONG_MS: u64 = 6_000;
/// So many milliseconds' worth at once: ten of them.
pub(crate) const SCIM_WRONG_BURST_MS: u64 = 60_000;
/// Addresses whose wrong SCIM tokens are counted: at about 60 bytes each 600 KB.
pub(crate) const SCIM_SOURCES_MAX: usize = 10_000;
/// Resources of a SCIM answer, unless it is asked for fewer.
pub(crate) const SCIM_RESULTS_DEFAULT: usize = 100;
/// Resources of a SCIM answer at most.
pub(crate) const SCIM_RESULTS_MAX: usize = 200;
/// Members of a group that a SCIM answer names.
pub(crate) const SCIM_MEMBERS_MAX: u32 = 4_000;
/// Resources of a SCIM answer in bytes: with what stands around them less than a message between identity and control.
pub(crate) const SCIM_ANSWER_BYTES_MAX: usize = 768 << 10;

/// Members of a group of a directory that is gone, taken out at once.
pub(crate) const SYNC_MEMBERS_LOOKED_AT: usize = 1_000;
/// How long an operator waits for an identity process to ask a provider: it looks every two seconds.
pub(crate) const PROBE_TIMEOUT: Duration = Duration::from_secs(20);
/// Operators that wait for the same answer.
pub(crate) const PROBES_MAX: usize = 16;

/// Authorization codes and open questions of clients, each: at about 500 bytes 5 MB.
pub(crate) const CLIENT_CODES_MAX: usize = 10_000;
/// Applications that a client asks for at once: each one's conditions are looked at.
pub(crate) const APP_SCOPES_MAX: usize = 16;
/// How long a user may think about a client.
pub(crate) const CONSENT_S: u64 = 900;
/// Grants of one session: those that were used last.
pub(crate) const GRANTS_PER_SESSION_MAX: u32 = 100;
/// Longest state and nonce of a client: they are repeated and kept meanwhile.
pub(crate) const CLIENT_STATE_BYTES_MAX: usize = 1_024;
