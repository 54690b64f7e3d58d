//! A user's devices: which there are, what each counts as, and how another is added.

use hyper::Response;
use maud::{Markup, html};
use postern_model::device::Approval;
use postern_model::policy::{DeviceState, Platform};
use postern_model::portal::{EnrolBy, OwnDevice, OwnDevices};

use super::{ago, page};
use crate::server::Page;

/// The page.
pub(crate) fn devices(own: &OwnDevices) -> Response<Page> {
    let OwnDevices { visitor, devices, enrol, now_unix } = own;
    let body = html! {
        h1 { "Your devices" }
        p {
            "Devices that show who you are, besides you. Some applications open on these alone. \
            Remove one that you lost or gave away."
        }
        @if devices.is_empty() { p { "None is yours yet." } }
        ul.rows { @for device in devices { li { (row(device, *now_unix)) } } }
        section aria-labelledby="add" {
            h2 #add { "Add a device" }
            @match enrol {
                Some(by) => (how(by)),
                None => p { "Ask your administrator how: there is no program here that users add devices with." },
            }
        }
    };
    page(visitor, "/devices", "Your devices", &body)
}

fn row(device: &OwnDevice, now_unix: u64) -> Markup {
    let OwnDevice { id, name, platform, approval, state, created_unix, seen_unix, expires_unix, removable } = device;
    let label = format!("device-{id}");
    html! {
        div.what {
            p id=(label) {
                strong { (name) }
                @if let Some(platform) = platform { ", " (runs(*platform)) }
                ": " (stands(*approval, *state, expires_unix <= &now_unix))
            }
            p.where {
                "Added " (ago(*created_unix, now_unix)) ", "
                @match seen_unix {
                    Some(seen) => { "shown last " (ago(*seen, now_unix)) },
                    None => "never shown",
                }
                @if *expires_unix > now_unix { ". Its certificate ends in " (until(*expires_unix, now_unix)) }
                ". " code { (id) }
            }
        }
        // What an administrator blocked stays there, so that nobody adds it once more; what others issued to is theirs to remove.
        @if *removable {
            form method="post" action="/devices" {
                input type="hidden" name="action" value="remove";
                input type="hidden" name="device" value=(id);
                button.quiet type="submit" aria-describedby=(label) { "Remove" }
            }
        }
    }
}

fn stands(approval: Approval, state: DeviceState, is_over: bool) -> &'static str {
    match (approval, state) {
        (Approval::Waiting, _) => "waits until an administrator approves it",
        (Approval::Blocked | Approval::Removed, _) => "blocked by an administrator",
        (Approval::Approved, DeviceState::Unknown) if is_over => "counts no longer, for its certificate has ended",
        (Approval::Approved, DeviceState::Unknown) => "counts no longer",
        (Approval::Approved, DeviceState::Registered) => "counts as a known device",
        (Approval::Approved, DeviceState::Compliant) => {
            "counts as a known device that meets what your organisation asks of it"
        }
    }
}

const fn runs(platform: Platform) -> &'static str {
    match platform {
        Platform::Windows => "Windows",
        Platform::Macos => "macOS",
        Platform::Linux => "Linux",
        Platform::Android => "Android",
        Platform::Ios => "iOS",
        Platform::Other => "another system",
    }
}

/// In its largest unit.
fn until(then_unix: u64, now_unix: u64) -> String {
    let days = then_unix.saturating_sub(now_unix) / 86_400;
    match days {
        0 => "less than a day".into(),
        1 => "1 day".into(),
        days => format!("{days} days"),
    }
}

fn how(by: &EnrolBy) -> Markup {
    let EnrolBy { url, client } = by;
    html! {
        p { "On the device, run this command. It makes a key there, and says what to open in a browser and what to do then." }
        pre.command tabindex="0" { code { "postern access device enrol " (url) " --client " (client) } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;
    use postern_model::portal::Visitor;

    fn device(approval: Approval, state: DeviceState) -> OwnDevice {
        OwnDevice {
            id: "d1-4".parse().unwrap(),
            name: "<b>'\"".parse().unwrap(),
            platform: Some(Platform::Linux),
            approval,
            state,
            created_unix: 100,
            seen_unix: None,
            expires_unix: 7_300 + 3 * 86_400,
            removable: approval != Approval::Blocked,
        }
    }

    async fn shown(devices: Vec<OwnDevice>, enrol: Option<EnrolBy>) -> String {
        let visitor = Visitor {
            login: "anna".parse().unwrap(),
            display_name: "Anna".into(),
            tenant: "default".parse().unwrap(),
            owns_groups: false,
        };
        let page = super::devices(&OwnDevices { visitor, devices, enrol, now_unix: 7_300 });
        String::from_utf8(page.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_device_is_shown_with_what_it_counts_as_and_can_be_removed() {
        let html = shown(vec![device(Approval::Approved, DeviceState::Registered)], None).await;
        assert!(html.contains("&lt;b&gt;") && !html.contains("<b>"), "{html}");
        for part in [
            "Linux",
            "counts as a known device",
            "Added 2 hours ago",
            "never shown",
            "ends in 3 days",
            "value=\"d1-4\"",
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
        let blocked = shown(vec![device(Approval::Blocked, DeviceState::Unknown)], None).await;
        assert!(blocked.contains("blocked by an administrator") && !blocked.contains("<button"), "{blocked}");
        let waiting = shown(vec![device(Approval::Waiting, DeviceState::Unknown)], None).await;
        assert!(waiting.contains("until an administrator approves it"), "{waiting}");
        let managed = OwnDevice { removable: false, ..device(Approval::Approved, DeviceState::Registered) };
        let managed = shown(vec![managed], None).await;
        assert!(managed.contains("counts as a known device") && !managed.contains("<button"), "{managed}");
    }

    #[tokio::test]
    async fn how_one_is_added_is_said_as_a_command() {
        let by = EnrolBy { url: "https://login.example.com/".into(), client: "oc1-2".parse().unwrap() };
        let html = shown(Vec::new(), Some(by)).await;
        assert!(html.contains("postern access device enrol https://login.example.com/ --client oc1-2"), "{html}");
        assert!(html.contains("None is yours yet"), "{html}");
        let html = shown(Vec::new(), None).await;
        assert!(html.contains("Ask your administrator"), "{html}");
    }
}
