//! Fields that say who asks to one application: nobody else than Postern says so there.

use crate::field::FieldRef;
use crate::forwarding::{OWN, is_among};
use crate::headers::Headers;

/// Removes `names` (in lower case with `-`, none of them a [`crate::Known`] one), each in every spelling: what this application is
/// told by Postern alone. [`crate::strip_inbound`] comes before and removes those that begin as Postern's own do.
pub fn strip_told<'a>(headers: &mut Headers, names: impl Iterator<Item = &'a str> + Clone) {
    // Most clients say nothing else than what is known.
    if !headers.names().has_others() {
        return;
    }
    let names = names.filter(|name| !name.starts_with(OWN));
    if names.clone().next().is_some() {
        let is_told = |field: FieldRef<'_>| names.clone().any(|name| is_among(field.name_bytes(), &[], &[name]));
        headers.retain(|field| field.known().is_some() || !is_told(field));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forwarding::strip_identity;
    use crate::known::{Known, NameSet};

    #[test]
    fn every_spelling_of_what_an_application_is_told_is_removed() {
        let mut headers = Headers::default();
        for name in ["X-Staff-Id", "x_staff_id", "X-STAFF_ID", "x.staff.id", "X-Staff-Id"] {
            headers.append(name, "root").unwrap();
        }
        let kept = ["x-staff-ids", "x-staff", "xstaff-id", "accept"];
        for name in kept {
            headers.append(name, "fine").unwrap();
        }
        strip_told(&mut headers, ["x-postern-user", "x-staff-id"].into_iter());
        assert_eq!(headers.iter().map(FieldRef::name).collect::<Vec<_>>(), kept);
    }

    #[test]
    fn what_says_who_asks_is_removed_however_its_field_came() {
        let ways: [fn(&mut Headers); 8] = [
            |headers| headers.append("X_User", "root").unwrap(),
            |headers| headers.set("X_User", "root").unwrap(),
            |headers| assert!(headers.push_line(b"X_User: root\r\n", 6)),
            |headers| headers.push_checked(b"X_User", b"root"),
            |headers| headers.push_other_checked(b"x_user", b"root"),
            |headers| {
                let mut other = Headers::default();
                other.append("x_user", "root").unwrap();
                headers.append_all(&other);
            },
            |headers| {
                headers.append("x_user", "anna").unwrap();
                headers.rewrite("X_User", |_| Some(b"root".to_vec()));
            },
            |headers| {
                for name in ["gone", "x_user"] {
                    headers.append(name, "root").unwrap();
                }
                headers.remove("gone");
                headers.remove_known(NameSet::of(&[Known::Via]));
                headers.retain(|field| field.name() != "accept");
            },
        ];
        for (way, add) in ways.iter().enumerate() {
            let mut headers = Headers::default();
            headers.append("x-other", "fine").unwrap();
            headers.clear();
            headers.append(Known::Accept, "fine").unwrap();
            add(&mut headers);
            assert_eq!(headers.get("X_USER"), Some(&b"root"[..]), "{way}");
            let mut told = headers.clone();
            strip_told(&mut told, ["x-user"].into_iter());
            strip_identity(&mut headers);
            for left in [told, headers] {
                assert!(left.iter().all(|field| field.known().is_some()), "{way}: {left:?}");
            }
        }
    }
}
