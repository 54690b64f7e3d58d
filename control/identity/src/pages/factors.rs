//! Pages of second factors: asked for, set up, and seen to by their users.

use maud::{Markup, PreEscaped, html};
use postern_model::identity::{
    Account, Enrolment, FactorKind, FactorView, KeyOffer, KeyRequest, Refused, SecondFactor, TotpOffer,
};
use postern_model::secret::SecretText;
use qrcodegen::{QrCode, QrCodeEcc};
use serde::Serialize;

/// Asks for a code, a key, or either.
pub(super) fn second(flow: &SecretText, second: &SecondFactor, problem: Option<&Refused>) -> Markup {
    let (label, hint) = match (second.totp, second.recovery) {
        (true, true) => ("Code", "Six digits from your authenticator app, or a recovery code."),
        (true, false) => ("Code", "Six digits from your authenticator app."),
        (false, _) => ("Recovery code", "One of the codes that you kept when you set up your key."),
    };
    html! {
        h1 { "One more step" }
        p.where { "Show that it is you, with something that only you have." }
        (alert(problem))
        @if let Some(key) = &second.key { (show_key(flow, key)) }
        @if second.totp || second.recovery {
            form method="post" action="/sign-in/factor" {
                (hidden(flow, "code"))
                label for="code" { (label) }
                (code_input(second.key.is_none(), if second.totp && !second.recovery { "numeric" } else { "text" }))
                p #code-hint .where { (hint) }
                button type="submit" { "Continue" }
            }
        }
    }
}

/// Sets a second factor up.
pub(super) fn enrol(flow: &SecretText, enrolment: &Enrolment, problem: Option<&Refused>) -> Markup {
    html! {
        h1 { "Set up a second factor" }
        p.where { "A password alone is not enough here. Choose one:" }
        (alert(problem))
        @if let Some(totp) = &enrolment.totp { (offer_totp(flow, totp)) }
        (offer_key(flow, &enrolment.key))
    }
}

/// Codes that are shown this once.
pub(super) fn recovery(flow: &SecretText, codes: &[SecretText]) -> Markup {
    html! {
        h1 { "Keep these recovery codes" }
        p { "Each of them is good once, in place of your second factor, if you lose it. They are not shown again: print them or write them down." }
        ol.codes { @for code in codes { li { code { (code.expose()) } } } }
        form method="post" action="/sign-in/factor" {
            (hidden(flow, "seen"))
            button type="submit" { "I have kept them" }
        }
    }
}

/// A user's own page.
pub(super) fn account(account: &Account) -> Markup {
    html! {
        h1 { "Your second factors" }
        p.where { "You are signed in as " strong { (account.login) } "." }
        (alert(account.problem.as_ref()))
        @if account.factors.is_empty() {
            p { "You have none. With one, nobody signs in as you who knows nothing but your password." }
        } @else {
            ul.factors { @for factor in &account.factors { li { (row(factor)) } } }
            p { "Recovery codes left: " (account.recovery_codes) }
            (action("codes", None, "New recovery codes", "quiet"))
        }
        (action("add", None, "Add a second factor", ""))
        p { a href="/" { "Back" } }
    }
}

fn row(factor: &FactorView) -> Markup {
    let what = match factor.kind {
        FactorKind::Totp => "Authenticator app",
        FactorKind::Key => "Security key or passkey",
    };
    html! {
        strong { (what) }
        @if !factor.name.as_str().is_empty() { " “" (factor.name) "”" }
        (action("remove", Some(&factor.id), &format!("Remove {what} {}", factor.name), "quiet"))
    }
}

fn action(action: &str, factor: Option<&str>, label: &str, class: &str) -> Markup {
    html! {
        form method="post" action="/account" {
            input type="hidden" name="action" value=(action);
            @if let Some(factor) = factor { input type="hidden" name="factor" value=(factor); }
            button type="submit" class=(class) { (label) }
        }
    }
}

fn offer_totp(flow: &SecretText, totp: &TotpOffer) -> Markup {
    html! {
        h2 { "An authenticator app" }
        p { "Scan this with the app, or type the key into it. Then type the six digits that it shows." }
        (qr_code(totp.uri.expose()))
        p { "Key: " code #totp-secret { (totp.secret.expose()) } }
        details { summary { "As a link" } p { a href=(totp.uri.expose()) { (totp.uri.expose()) } } }
        form method="post" action="/sign-in/factor" {
            (hidden(flow, "enrol-code"))
            label for="code" { "Code" }
            (code_input(false, "numeric"))
            p #code-hint .where { "Six digits from your authenticator app." }
            button type="submit" { "Confirm" }
        }
    }
}

fn offer_key(flow: &SecretText, key: &KeyOffer) -> Markup {
    html! {
        h2 { "A security key or passkey" }
        (needs_script())
        form method="post" action="/sign-in/factor" data-key="make" data-asked=(json(key)) hidden {
            (hidden(flow, "enrol-key"))
            input type="hidden" name="client_data";
            input type="hidden" name="attestation";
            label for="name" { "What you call it" }
            input #name name="name" maxlength="64" autocomplete="off" value="Security key";
            p.problem data-said role="alert" {}
            button type="submit" { "Set up a key" }
        }
    }
}

fn show_key(flow: &SecretText, key: &KeyRequest) -> Markup {
    html! {
        (needs_script())
        form method="post" action="/sign-in/factor" data-key="show" data-asked=(json(key)) hidden {
            (hidden(flow, "key"))
            input type="hidden" name="credential";
            input type="hidden" name="client_data";
            input type="hidden" name="authenticator_data";
            input type="hidden" name="signature";
            p.problem data-said role="alert" {}
            button type="submit" autofocus { "Use your key or passkey" }
        }
    }
}

fn needs_script() -> Markup {
    html! { noscript { p.where { "For a key this page needs JavaScript." } } }
}

fn hidden(flow: &SecretText, answer: &str) -> Markup {
    html! {
        input type="hidden" name="flow" value=(flow.expose());
        input type="hidden" name="answer" value=(answer);
    }
}

/// `mode`: which keys a phone shows; recovery codes have letters.
fn code_input(focus: bool, mode: &str) -> Markup {
    html! {
        input #code name="code" autocomplete="one-time-code" inputmode=(mode) autocapitalize="none" spellcheck="false"
            required maxlength="40" aria-describedby="code-hint" autofocus[focus];
    }
}

fn alert(problem: Option<&Refused>) -> Markup {
    html! { @if let Some(problem) = problem { p.problem role="alert" { (problem.detail) } } }
}

fn json(value: &impl Serialize) -> String {
    // Plain data with text keys always has a JSON form.
    serde_json::to_string(value).unwrap_or_default()
}

/// One path of squares, with the four modules of quiet around that ISO/IEC 18004 asks for. White below and black on it in dark
/// mode, too: cameras want it so.
fn qr_code(text: &str) -> Markup {
    let Ok(code) = QrCode::encode_text(text, QrCodeEcc::Medium) else { return html! {} };
    let mut path = String::new();
    for y in 0..code.size() {
        for x in (0..code.size()).filter(|x| code.get_module(*x, y)) {
            path.push_str(&format!("M{},{}h1v1h-1z", x + 4, y + 4));
        }
    }
    let side = code.size() + 8;
    html! {
        svg.qr role="img" aria-label="QR code of the key below" viewBox=(format!("0 0 {side} {side}")) shape-rendering="crispEdges" {
            (PreEscaped(format!("<rect width=\"{side}\" height=\"{side}\" fill=\"#fff\"/><path d=\"{path}\" fill=\"#000\"/>")))
        }
    }
}
