//! Every bound of the process. 100,000 users and their groups take about 40 MB: for each the distinguished name and the id, and
//! during a full pass the digest that control has.

use std::time::Duration;

/// Entries of users that are asked for at once.
pub(crate) const USERS_PAGE: i32 = 500;
/// Groups without their members.
pub(crate) const GROUPS_PAGE: i32 = 500;
/// Groups with their members: one may have 100,000 of about 80 bytes.
pub(crate) const MEMBERS_PAGE: i32 = 4;
/// Entries met under new names in one look at what has changed, whose groups are asked for by these names; of more, all groups are.
pub(crate) const MET_MAX: usize = 1_000;
/// Names in one question: a filter of some kilobytes.
pub(crate) const MET_ASKED_MAX: usize = 50;
/// Bytes that the directory may answer to one question: eight times what the largest groups need.
pub(crate) const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Parts of one answer, the smallest counted: 4 groups of 200,000 members each, and more. The library keeps some 200
/// bytes for each.
pub(crate) const ANSWER_ELEMENTS_MAX: usize = 1_000_000;
/// How deep parts of an answer are nested; an entry's values are at 6.
pub(crate) const DEPTH_MAX: usize = 16;
/// Pages without an entry in one pass: a directory may give some, and could do so for ever.
pub(crate) const EMPTY_PAGES_MAX: u32 = 1_000;
/// Entries of one kind that are read, as many as control has users.
pub(crate) const ENTRIES_MAX: u32 = 200_000;
/// Bytes of the answer to StartTLS.
pub(crate) const START_TLS_BYTES_MAX: usize = 1 << 10;
/// TCP, TLS, and the account's name and password.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// One page.
pub(crate) const PAGE_TIMEOUT: Duration = Duration::from_secs(60);
/// Control's answer: 200 users take it some 50 ms, and others wait for it too.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Control is asked so often whether an operator wants something.
pub(crate) const POLL: Duration = Duration::from_secs(1);
/// The longest pause after a failure.
pub(crate) const BACKOFF_MAX: Duration = Duration::from_secs(300);
/// What was told of users at once, in bytes, long before a message is full.
pub(crate) const PUT_BYTES_MAX: usize = 256 << 10;
/// Directories that may be named: they are tried in turn.
pub(crate) const DIRECTORIES_MAX: usize = 8;
