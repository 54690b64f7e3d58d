//! What can go wrong with devices, where their users and operators meet it.

use super::Code;

pub(super) const CODES: &[Code] = &[
    Code {
        code: "device-required",
        status: Some(403),
        title: "Your organisation asks for a device that it knows",
        cause: "A policy lets users in from registered or compliant devices only. The browser was asked for its device's certificate and showed none, or one that counts for less than the policy asks for: of a device that waits for approval, was blocked, or is not known to comply.",
        cure: "use a device that your organisation manages, or enrol this one with `postern access device enrol` and open the application again. Administrators see with `postern device list` what a device counts as.",
    },
    Code {
        code: "device-of-another",
        status: Some(403),
        title: "The device is somebody else's",
        cause: "The device, or the key that a certificate is asked for, is known as another user's, and counts for that user alone. Nor does a user get another certificate for a device that is everybody's.",
        cure: "use a device of your own, or make a new key. `postern device set ID --owner LOGIN` gives a device to another user, `--shared` to everybody: a shared one is given to somebody, enrolled by them again, and shared again.",
    },
    Code {
        code: "device-removed",
        status: Some(403),
        title: "The device was removed",
        cause: "An administrator removed the device from the directory. Its certificate is good still, and counts for nothing; nor does another certificate for its key, whoever issues it.",
        cure: "ask your administrator: `postern device approve ID` takes it back.",
    },
    Code {
        code: "device-blocked",
        status: Some(403),
        title: "The device is blocked",
        cause: "An administrator blocked the device: neither its certificate counts nor another for its key, whoever issues it. A certificate for another key is another device's: who wants to keep a machine out blocks it at the MDM that issues to it, too.",
        cure: "ask your administrator: `postern device approve ID` ends it.",
    },
    Code {
        code: "device-certificate-invalid",
        status: Some(403),
        title: "The certificate counts for no device",
        cause: "The certificate that the browser showed was issued by no authority that counts here, is not valid now, does not say that it is for clients (extended key usage clientAuth), or is no device's any more.",
        cure: "choose another certificate in your browser, or enrol the device again with `postern access device enrol`. Administrators see the authorities with `postern device authority list`.",
    },
];
