//! What a provider's claims say of the device that somebody signs in on, where an operator takes its word for it.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::directory::as_text;
use crate::policy::DeviceState;

/// A claim that says what a device counts as. As text `STATE=CLAIM`, for a claim that must be `true`, or `STATE=CLAIM=VALUE`, for
/// one that must be this text or a list with it. No claim's name has a `=` in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeviceClaim {
    state: DeviceState,
    claim: Box<str>,
    value: Option<Box<str>>,
}

/// A provider's, each different.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<DeviceClaim>")]
pub struct DeviceClaims(BTreeSet<DeviceClaim>);

/// Text that is no such claim, or claims that are none together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceClaimInvalid {
    /// Not in its form.
    #[error("{0:?} is not of the form STATE=CLAIM or STATE=CLAIM=VALUE")]
    Form(String),
    /// A state that nobody vouches for, or none.
    #[error("{0:?} is not what a claim says of a device: registered, compliant")]
    State(String),
    /// A claim's name or value that cannot be one.
    #[error(
        "a claim's name has 1 to {CLAIM_BYTES_MAX} printable characters without spaces, its value 1 to {VALUE_BYTES_MAX} bytes"
    )]
    Text,
    /// The same twice.
    #[error("{0} is named twice")]
    Twice(DeviceClaim),
    /// Too many.
    #[error("{0} claims about devices: at most {DEVICE_CLAIMS_MAX}")]
    Many(usize),
}

impl DeviceClaim {
    /// Whether a document says so. A claim of another kind than expected says nothing.
    fn is_met(&self, claims: &Map<String, Value>) -> bool {
        let Some(found) = claims.get(&*self.claim) else { return false };
        match (&self.value, found) {
            (None, found) => *found == Value::Bool(true),
            (Some(wanted), Value::String(text)) => **wanted == **text,
            (Some(wanted), Value::Array(list)) => list.iter().any(|one| one.as_str() == Some(&**wanted)),
            (Some(_), Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) => false,
        }
    }
}

impl fmt::Display for DeviceClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.state, self.claim)?;
        self.value.as_ref().map_or(Ok(()), |value| write!(f, "={value}"))
    }
}

impl FromStr for DeviceClaim {
    type Err = DeviceClaimInvalid;

    fn from_str(text: &str) -> Result<Self, DeviceClaimInvalid> {
        let cut = |text: &str| text.chars().take(GIVEN_CHARS_MAX).collect::<String>();
        let (state, rest) = text.split_once('=').ok_or_else(|| DeviceClaimInvalid::Form(cut(text)))?;
        let is_one = |state: &DeviceState| !state.is_unknown();
        let state = state.parse().ok().filter(is_one).ok_or_else(|| DeviceClaimInvalid::State(cut(state)))?;
        let (claim, value) = rest.split_once('=').map_or((rest, None), |(claim, value)| (claim, Some(value)));
        let is_name = claim.chars().all(|c| !c.is_control() && !c.is_whitespace());
        let is_value = |value: &str| (1..=VALUE_BYTES_MAX).contains(&value.len()) && !value.contains(char::is_control);
        if !is_name || !(1..=CLAIM_BYTES_MAX).contains(&claim.len()) || !value.is_none_or(is_value) {
            return Err(DeviceClaimInvalid::Text);
        }
        Ok(Self { state, claim: claim.into(), value: value.map(Into::into) })
    }
}

as_text!(DeviceClaim);

impl DeviceClaims {
    /// What a document says of a device: the best of it.
    #[must_use]
    pub fn state(&self, claims: &Map<String, Value>) -> DeviceState {
        self.best(|claim| claim.is_met(claims))
    }

    /// The best that any document could say.
    #[must_use]
    pub fn state_max(&self) -> DeviceState {
        self.best(|_| true)
    }

    fn best(&self, counts: impl Fn(&DeviceClaim) -> bool) -> DeviceState {
        self.iter().filter(|claim| counts(claim)).map(|claim| claim.state).max().unwrap_or_default()
    }

    /// Whether the provider is not asked about devices.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each.
    pub fn iter(&self) -> impl Iterator<Item = &DeviceClaim> {
        self.0.iter()
    }

    /// Each as text, as tables and logs have them.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        self.iter().map(ToString::to_string).collect()
    }
}

impl TryFrom<Vec<DeviceClaim>> for DeviceClaims {
    type Error = DeviceClaimInvalid;

    fn try_from(list: Vec<DeviceClaim>) -> Result<Self, DeviceClaimInvalid> {
        if list.len() > DEVICE_CLAIMS_MAX {
            return Err(DeviceClaimInvalid::Many(list.len()));
        }
        let mut all = BTreeSet::new();
        for claim in list {
            if !all.insert(claim.clone()) {
                return Err(DeviceClaimInvalid::Twice(claim));
            }
        }
        Ok(Self(all))
    }
}

/// Claims about devices of one provider.
pub const DEVICE_CLAIMS_MAX: usize = 8;
const CLAIM_BYTES_MAX: usize = 128;
const VALUE_BYTES_MAX: usize = 256;
const GIVEN_CHARS_MAX: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;
    use DeviceState::{Compliant, Registered, Unknown};
    use serde_json::json;

    fn claims(texts: &[&str]) -> DeviceClaims {
        serde_json::from_value(json!(texts)).unwrap()
    }

    fn state(texts: &[&str], document: &Value) -> DeviceState {
        claims(texts).state(document.as_object().unwrap())
    }

    #[test]
    fn a_claim_is_read_as_it_is_written_or_refused() {
        for right in [
            "registered=managed",
            "compliant=https://example.com/device:state",
            "compliant=device=in good order",
            "compliant=device=a=b",
        ] {
            assert_eq!(right.parse::<DeviceClaim>().unwrap().to_string(), right);
        }
        let (name, value) = ("c".repeat(128), "v".repeat(256));
        assert!(format!("registered={name}={value}").parse::<DeviceClaim>().is_ok());
        for wrong in [
            "",
            "compliant",
            "compliant=",
            "compliant==x",
            "compliant=device=",
            "=device",
            "unknown=device",
            "Compliant=device",
            "managed=device",
            "compliant=a device",
            "compliant=device\n",
            "compliant=device=a\nb",
            &format!("registered={name}c"),
            &format!("registered={name}={value}v"),
        ] {
            assert!(wrong.parse::<DeviceClaim>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_claim_without_a_value_is_true_and_nothing_else() {
        assert_eq!(state(&["compliant=ok"], &json!({"ok": true})), Compliant);
        for other in
            [json!(false), json!("true"), json!(1), json!(null), json!([true]), json!({"ok": true}), json!("ok")]
        {
            assert_eq!(state(&["compliant=ok"], &json!({"ok": other})), Unknown, "{other}");
        }
        assert_eq!(state(&["compliant=ok"], &json!({"OK": true, "not": {"ok": true}})), Unknown);
    }

    #[test]
    fn a_claim_with_a_value_is_that_text_or_a_list_with_it() {
        for right in [json!("1"), json!(["0", "1"]), json!([null, 7, "1"])] {
            assert_eq!(state(&["registered=d=1"], &json!({"d": right})), Registered, "{right}");
        }
        for other in [
            json!(1),
            json!(true),
            json!(null),
            json!("1 "),
            json!("11"),
            json!([]),
            json!([1, "11"]),
            json!([["1"]]),
            json!({"1": "1"}),
        ] {
            assert_eq!(state(&["registered=d=1"], &json!({"d": other})), Unknown, "{other}");
        }
        assert_eq!(state(&["registered=d=true"], &json!({"d": true})), Unknown, "a text is no yes");
    }

    #[test]
    fn the_best_of_them_counts_and_without_any_nothing_does() {
        let both = ["registered=managed", "compliant=state=good", "compliant=state=fine"];
        assert_eq!(state(&both, &json!({"managed": true})), Registered);
        assert_eq!(state(&both, &json!({"managed": true, "state": "fine"})), Compliant);
        assert_eq!(state(&both, &json!({"managed": false, "state": "good"})), Compliant);
        assert_eq!(state(&both, &json!({})), Unknown);
        assert_eq!(state(&[], &json!({"compliant": true, "": true})), Unknown);
        let most = |texts: &[&str]| claims(texts).state_max();
        assert_eq!((most(&both), most(&both[..1]), most(&[])), (Compliant, Registered, Unknown));
    }

    #[test]
    fn a_provider_has_few_of_them_and_each_once() {
        let read = |texts: &[String]| serde_json::from_value::<DeviceClaims>(json!(texts)).map_err(|e| e.to_string());
        let many = |count| (0..count).map(|n| format!("registered=c{n}")).collect::<Vec<_>>();
        assert_eq!(read(&many(8)).unwrap().texts(), many(8));
        assert!(read(&many(9)).unwrap_err().contains("at most 8"));
        let twice = ["compliant=a=b", "compliant=a", "compliant=a=b"].map(str::to_owned);
        assert!(read(&twice).unwrap_err().contains("compliant=a=b is named twice"));
        assert!(read(&twice[..2]).is_ok(), "of another value it is another");
        let both = claims(&["compliant=b", "registered=a"]);
        assert_eq!(both, claims(&["registered=a", "compliant=b"]), "in any order");
        assert_eq!(serde_json::to_value(&both).unwrap(), json!(["registered=a", "compliant=b"]));
    }
}
