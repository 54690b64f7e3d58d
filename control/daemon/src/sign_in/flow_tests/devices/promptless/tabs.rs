//! Tabs that a browser opens at once, each of which is sent to show its device.

use super::*;

/// They were at the device host, and are on their way back.
struct Tabs {
    bindings: Vec<SecretText>,
    brought: Vec<Step>,
}

impl Tabs {
    fn open(world: &World, device: &Enrolled, count: usize) -> Self {
        let away: Vec<AskDevice> = (0..count).map(|_| sent(world.begin(None))).collect();
        let brought = away.iter().map(|asked| show(world, asked, Some(&device.certificate))).collect();
        Self { bindings: away.into_iter().map(|asked| asked.binding).collect(), brought }
    }

    /// One is back, with the cookies of all of them.
    fn back(&self, world: &World, nth: usize, browser: Option<&SecretText>) -> Step {
        let bindings: Vec<&SecretText> = self.bindings.iter().collect();
        bring_with(world, &self.brought[nth], &bindings, browser)
    }
}

/// The session that a relay gets for what the browser takes along.
fn redeemed(world: &World, step: &Step) -> SessionId {
    let Step::Done(done) = step else { panic!("it does not go back: {step:?}") };
    let query = done.location.split_once('?').unwrap().1;
    let code = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "code").unwrap().1.into_owned();
    // RFC 7636, appendix B.
    let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let request = Redeem { app: world.app(), code: &code, verifier, redirect_uri: CALLBACK };
    redeem(&world.control, &request).unwrap().id
}

fn count(world: &World) -> usize {
    world.control.sessions.borrow().len()
}

#[tokio::test]
async fn tabs_that_are_sent_at_once_share_the_session_of_the_first() {
    let (world, device) = with_a_device().await;
    let tabs = Tabs::open(&world, &device, 3);
    let browser = world.signed_in(tabs.back(&world, 0, None)).unwrap();
    let session = world.session(&browser).unwrap().id;
    // Before the first one's cookie is there, and after.
    for (nth, cookie) in [(1, None), (2, Some(&browser))] {
        let step = tabs.back(&world, nth, cookie);
        assert_eq!(redeemed(&world, &step), session, "{nth}");
        assert!(world.signed_in(step).is_none(), "what the browser has stays: {nth}");
    }
    assert_eq!((count(&world), world.logged()), (1, vec!["success".to_owned()]));
}

#[tokio::test]
async fn nobody_joins_the_session_of_another_browser_or_device_or_one_that_is_over() {
    let (world, device) = with_a_device().await;
    let (tabs, elsewhere) = (Tabs::open(&world, &device, 2), Tabs::open(&world, &device, 1));
    let browser = world.signed_in(tabs.back(&world, 0, None)).unwrap();
    world.signed_in(elsewhere.back(&world, 0, None)).unwrap();
    assert_eq!(count(&world), 2, "another browser's is another");
    // The cookies of tabs alone are nobody's proof.
    let without = sent(world.begin(None));
    let brought = show(&world, &without, None);
    plain(bring_with(&world, &brought, &[&tabs.bindings[0], &without.binding], None));
    let berts = Tabs::open(&world, &enrol(&world, "bert"), 1);
    let bindings = [&tabs.bindings[0], &berts.bindings[0]];
    let other = world.signed_in(bring_with(&world, &berts.brought[0], &bindings, None)).unwrap();
    assert_ne!(world.session(&other).unwrap().user, world.session(&browser).unwrap().user);
    let first = world.session(&browser).unwrap().id;
    end(&world.control, first);
    let again = world.signed_in(tabs.back(&world, 1, Some(&browser))).unwrap();
    assert_ne!(world.session(&again).unwrap().id, first);
}

#[tokio::test]
async fn a_session_that_came_meanwhile_is_gone_on_with_and_replaced_where_it_is_not_enough() {
    let (world, device) = with_a_device().await;
    let tabs = Tabs::open(&world, &device, 2);
    let ask = plain(shown(&world, world.begin(None), None));
    let browser = world.signed_in(world.password(&ask.flow).await).unwrap();
    let step = tabs.back(&world, 0, Some(&browser));
    assert_eq!(redeemed(&world, &step), world.session(&browser).unwrap().id);
    world.set_app(&[("mfa", "required")]);
    let ask = asked(tabs.back(&world, 1, Some(&browser)));
    let Factor::Enrol(enrolment) = &ask.factor else { panic!("{ask:?}") };
    let secret = totp_secret(enrolment.totp.as_ref().unwrap().secret.expose());
    let ask = asked(world.give(&ask.flow, FactorAnswer::EnrolCode(SecretText::new(code_at(&secret, 0)))));
    let strong = world.signed_in(world.give(&ask.flow, FactorAnswer::Seen)).unwrap();
    let methods = world.session(&strong).unwrap().methods;
    assert_eq!(methods, [AuthMethod::Password, AuthMethod::OneTimePassword].into());
    assert!(world.session(&browser).is_none() && count(&world) == 1, "in place of the one that there was");
}
