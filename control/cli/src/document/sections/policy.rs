//! Conditional access policies.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::str::FromStr;

use postern_model::policy::PolicyEntry;
use postern_service::duration;
use postern_service::failure::Failure;

use super::super::policy_keys::POLICY_KEYS;
use super::super::reader::{Section, Value};
use super::{POLICY, Reading, name};

impl<'a> Reading<'a> {
    /// Users, groups and applications are found by control, which says the nearest of the names there are.
    pub(super) fn policy(&mut self, value: &Value<'a>) -> Result<(), Failure> {
        let name = name(value)?;
        let known: Vec<&str> = POLICY_KEYS.iter().map(|(key, _)| *key).collect();
        let section = value.section(format!("{POLICY}.{name}"), &known)?;
        self.note(format!("{POLICY}.{name}"), &section);
        let entry = entry(&section)?;
        self.document.policies.insert(name, entry);
        Ok(())
    }
}

fn entry(section: &Section<'_>) -> Result<PolicyEntry, Failure> {
    Ok(PolicyEntry {
        state: one(section, "state")?.unwrap_or_default(),
        everyone: one(section, "everyone")?.unwrap_or_default(),
        users: list(section, "users")?,
        groups: list(section, "groups")?,
        guests: one(section, "guests")?.unwrap_or_default(),
        except_users: set(section, "except-users")?,
        except_groups: set(section, "except-groups")?,
        except_guests: one(section, "except-guests")?.unwrap_or_default(),
        all_apps: one(section, "all-apps")?.unwrap_or_default(),
        apps: list(section, "apps")?,
        except_apps: set(section, "except-apps")?,
        networks: set(section, "networks")?,
        except_networks: set(section, "except-networks")?,
        countries: set(section, "countries")?,
        except_countries: set(section, "except-countries")?,
        asns: set(section, "asns")?,
        except_asns: set(section, "except-asns")?,
        platforms: set(section, "platforms")?,
        except_platforms: set(section, "except-platforms")?,
        clients: set(section, "clients")?,
        except_clients: set(section, "except-clients")?,
        times: set(section, "times")?,
        except_times: set(section, "except-times")?,
        methods: set(section, "methods")?,
        except_methods: set(section, "except-methods")?,
        strength: one(section, "strength")?,
        auth_age_min_s: seconds(section, "auth-age-min")?,
        risk_min: one(section, "risk-min")?,
        devices: set(section, "devices")?,
        except_devices: set(section, "except-devices")?,
        block: one(section, "block")?.unwrap_or_default(),
        require: set(section, "require")?,
        require_any: set(section, "require-any")?,
        sign_in_frequency_s: seconds(section, "sign-in-frequency")?,
        idle_max_s: seconds(section, "idle-max")?,
        lifetime_max_s: seconds(section, "lifetime-max")?,
        no_persistent: one(section, "no-persistent")?.unwrap_or_default(),
    })
}

fn one<T: FromStr<Err: Display>>(section: &Section<'_>, key: &str) -> Result<Option<T>, Failure> {
    section.get(key).map(|value| value.parse()).transpose()
}

fn list<T: FromStr<Err: Display> + Ord>(section: &Section<'_>, key: &str) -> Result<Option<BTreeSet<T>>, Failure> {
    section.get(key).map(|value| Ok(value.list()?.into_iter().collect())).transpose()
}

fn set<T: FromStr<Err: Display> + Ord>(section: &Section<'_>, key: &str) -> Result<BTreeSet<T>, Failure> {
    list(section, key).map(Option::unwrap_or_default)
}

/// A span such as `8h`; a bare number is seconds.
fn seconds(section: &Section<'_>, key: &str) -> Result<Option<u32>, Failure> {
    let Some(value) = section.get(key) else { return Ok(None) };
    let text = value.text()?;
    let time = duration::parse(&text).map_err(|error| value.refuse(format_args!("`{key}`: {error}")))?;
    let whole = (time.subsec_nanos() == 0).then(|| u32::try_from(time.as_secs()).ok()).flatten();
    whole.map(Some).ok_or_else(|| value.refuse(format_args!("`{key}` = `{text}`: it takes whole seconds")))
}
