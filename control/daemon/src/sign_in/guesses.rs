//! Wrong passwords are counted by who is meant and by where they come from: both wait longer and longer. Who is right starts
//! over, so that a stranger's guesses cost the owner a wait of minutes at most.

use std::collections::BTreeMap;
use std::net::IpAddr;

use postern_model::ids::TenantId;

use super::{Guessed, Source};
use crate::limits::{GUESS_WAIT_S_MAX, GUESSES_FREE, GUESSES_KEPT_S, GUESSES_SOURCE_FREE, GUESSES_TRACKED_MAX};
use crate::source::network;

/// Guesses of the last while.
#[derive(Default)]
pub(super) struct Guesses {
    logins: BTreeMap<(TenantId, Box<str>), Tries>,
    sources: BTreeMap<IpAddr, Tries>,
}

#[derive(Clone, Copy, Default)]
struct Tries {
    count: u32,
    last_unix: u64,
}

impl Guesses {
    /// Counts a guess before it is looked at, so that many at once are counted, too. The error: wait so many seconds.
    pub(super) fn begin(&mut self, (tenant, login): Guessed<'_>, source: Source, now_unix: u64) -> Result<(), u64> {
        let login_key = key((tenant, login));
        let source_key = network(source);
        let login = self.logins.get(&login_key).map_or(0, |tries| tries.wait_s(GUESSES_FREE, now_unix));
        let source = self.sources.get(&source_key).map_or(0, |tries| tries.wait_s(GUESSES_SOURCE_FREE, now_unix));
        match login.max(source) {
            0 => {}
            wait_s => return Err(wait_s),
        }
        make_room(&mut self.logins, now_unix);
        make_room(&mut self.sources, now_unix);
        self.logins.entry(login_key).or_default().add(now_unix);
        self.sources.entry(source_key).or_default().add(now_unix);
        Ok(())
    }

    /// A guess at something that is no login name's: its source's guesses count together.
    pub(super) fn begin_of_source(&mut self, source: Source, now_unix: u64) -> Result<(), u64> {
        let key = network(source);
        match self.sources.get(&key).map_or(0, |tries| tries.wait_s(GUESSES_SOURCE_FREE, now_unix)) {
            0 => {}
            wait_s => return Err(wait_s),
        }
        make_room(&mut self.sources, now_unix);
        self.sources.entry(key).or_default().add(now_unix);
        Ok(())
    }

    /// It was right: the source is given back this one.
    pub(super) fn succeeded_of_source(&mut self, source: Source) {
        if let Some(tries) = self.sources.get_mut(&network(source)) {
            tries.count = tries.count.saturating_sub(1);
        }
    }

    /// It was right. Its source is given back this one guess alone: whoever owns an account may guess at others.
    pub(super) fn succeeded(&mut self, (tenant, login): Guessed<'_>, source: Source) {
        self.logins.remove(&key((tenant, login)));
        if let Some(tries) = self.sources.get_mut(&network(source)) {
            tries.count = tries.count.saturating_sub(1);
        }
    }

    /// It was not looked at.
    pub(super) fn forgive(&mut self, (tenant, login): Guessed<'_>, source: Source) {
        let login = self.logins.get_mut(&key((tenant, login)));
        for tries in login.into_iter().chain(self.sources.get_mut(&network(source))) {
            tries.count = tries.count.saturating_sub(1);
        }
    }
}

impl Tries {
    fn add(&mut self, now_unix: u64) {
        self.count = if self.is_old(now_unix) { 1 } else { self.count.saturating_add(1) };
        self.last_unix = now_unix;
    }

    const fn is_old(self, now_unix: u64) -> bool {
        self.last_unix + GUESSES_KEPT_S <= now_unix
    }

    /// Two seconds after the free ones, then twice as long each time.
    fn wait_s(self, free: u32, now_unix: u64) -> u64 {
        if self.count < free || self.is_old(now_unix) {
            return 0;
        }
        let wait = 2u64.saturating_pow((self.count - free).min(30) + 1).min(GUESS_WAIT_S_MAX);
        (self.last_unix + wait).saturating_sub(now_unix)
    }
}

/// Whose guesses are counted together. What is longer than a login name is cut: it is nobody's, and would fill the memory.
fn key((tenant, login): Guessed<'_>) -> (TenantId, Box<str>) {
    (tenant, login[..login.floor_char_boundary(LOGIN_BYTES_MAX)].into())
}

/// Forgets what is old; if nothing is, those with the fewest guesses.
fn make_room<K: Ord + Clone>(map: &mut BTreeMap<K, Tries>, now_unix: u64) {
    if map.len() < GUESSES_TRACKED_MAX {
        return;
    }
    map.retain(|_, tries| !tries.is_old(now_unix));
    let mut fewest = 1;
    while map.len() >= GUESSES_TRACKED_MAX {
        map.retain(|_, tries| tries.count > fewest);
        fewest *= 2;
    }
}

/// As much as can be a login name.
const LOGIN_BYTES_MAX: usize = 254;

#[cfg(test)]
mod tests {
    use super::*;

    const T: TenantId = TenantId::DEFAULT;

    fn source(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn a_login_waits_longer_and_longer_from_wherever_it_is_tried() {
        let mut guesses = Guesses::default();
        for nth in 0..GUESSES_FREE {
            assert_eq!(guesses.begin((T, "anna"), source(nth as u8), 100), Ok(()));
        }
        assert_eq!(guesses.begin((T, "anna"), source(99), 100), Err(2));
        assert_eq!(guesses.begin((T, "bert"), source(99), 100), Ok(()), "others are not kept waiting");
        assert_eq!(guesses.begin((TenantId(2), "anna"), source(99), 100), Ok(()));
        assert_eq!(guesses.begin((T, "anna"), source(99), 102), Ok(()));
        assert_eq!(guesses.begin((T, "anna"), source(98), 102), Err(4));
        let mut now = 102;
        for _ in 0..40 {
            now += guesses.begin((T, "anna"), source(97), now).err().unwrap_or(0).max(1);
        }
        assert!(guesses.begin((T, "anna"), source(96), now).unwrap_err() <= GUESS_WAIT_S_MAX);
        guesses.succeeded((T, "anna"), source(97));
        assert_eq!(guesses.begin((T, "anna"), source(96), now), Ok(()));
    }

    #[test]
    fn a_source_that_tries_many_logins_waits() {
        let mut guesses = Guesses::default();
        for nth in 0..GUESSES_SOURCE_FREE {
            assert_eq!(guesses.begin((T, &format!("u{nth}")), source(1), 100), Ok(()));
        }
        assert_eq!(guesses.begin((T, "another"), source(1), 100), Err(2));
        assert_eq!(guesses.begin((T, "another"), source(2), 100), Ok(()));
        assert_eq!(guesses.begin((T, "third"), source(1), 100 + GUESSES_KEPT_S), Ok(()), "forgotten after a while");
    }

    #[test]
    fn being_right_somewhere_does_not_pay_for_guesses_elsewhere() {
        let mut guesses = Guesses::default();
        for nth in 0..GUESSES_SOURCE_FREE {
            assert_eq!(guesses.begin((T, "own"), source(1), 100), Ok(()));
            guesses.succeeded((T, "own"), source(1));
            assert_eq!(guesses.begin((T, &format!("u{nth}")), source(1), 100), Ok(()));
        }
        assert!(guesses.begin((T, "own"), source(1), 100).is_err());
    }

    #[test]
    fn a_network_of_ipv6_is_one_source() {
        let network_of = |text: &str| network(text.parse().unwrap());
        assert_eq!(network_of("2001:db8::1"), network_of("2001:db8::ffff:1"));
        assert_ne!(network_of("2001:db8::1"), network_of("2001:db8:0:1::1"));
        assert_eq!(network_of("::ffff:192.0.2.1"), source(1));
    }

    #[test]
    fn what_is_no_login_name_is_kept_cut() {
        let mut guesses = Guesses::default();
        let long = format!("{}{}", "a".repeat(LOGIN_BYTES_MAX - 1), "ü".repeat(8_000));
        guesses.begin((T, &long), source(1), 100).unwrap();
        let longest = guesses.logins.keys().map(|(_, login)| login.len()).max();
        assert_eq!(longest, Some(LOGIN_BYTES_MAX - 1));
        guesses.forgive((T, &long), source(1));
        assert_eq!(guesses.logins.values().map(|tries| tries.count).collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn memory_is_bounded() {
        let mut guesses = Guesses::default();
        for nth in 0..u32::try_from(GUESSES_TRACKED_MAX).unwrap() + 10 {
            let from = IpAddr::from(nth.to_be_bytes());
            guesses.begin((T, &nth.to_string()), from, 100).unwrap();
        }
        assert!(guesses.logins.len() <= GUESSES_TRACKED_MAX && guesses.sources.len() <= GUESSES_TRACKED_MAX);
    }
}
