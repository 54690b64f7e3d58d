//! Between the place to sign in and the device host: how long that may take, and what must be the same at its end.

use postern_model::identity::{DEVICE_COOKIES, DEVICE_TICKET_S};

use super::*;

#[tokio::test]
async fn a_ticket_is_good_for_five_minutes() {
    let world = world().await;
    let device = enrol(&world, "anna");
    world.set_policy(REGISTERED);
    let age = |ticket: &SecretText, age_s| world.control.sign_ins.borrow_mut().visits.age(ticket, age_s);
    for (age_s, there, back) in
        [(DEVICE_TICKET_S - 60, "done", "done"), (DEVICE_TICKET_S, "sign-in-over", "device-return-unknown")]
    {
        let asked = sent(world.after_password().await);
        age(&ticket(&asked.location, "https://device.example.com/show-device"), age_s);
        assert_eq!(problem(show(&world, &asked, Some(&device.certificate))), there, "{age_s}");
        let asked = sent(world.after_password().await);
        let brought = show(&world, &asked, Some(&device.certificate));
        let Step::Done(done) = &brought else { panic!("the browser does not go back: {brought:?}") };
        age(&ticket(&done.location, "https://login.example.com/device/return"), age_s);
        assert_eq!(problem(bring(&world, &brought, &[&asked.binding])), back, "{age_s}");
    }
}

#[tokio::test]
async fn of_what_a_browser_keeps_no_more_is_looked_at_than_it_is_given() {
    let world = world().await;
    let device = enrol(&world, "anna");
    world.set_policy(REGISTERED);
    let others: Vec<SecretText> = (0..DEVICE_COOKIES).map(|_| random_secret().unwrap().0).collect();
    for (first, result) in [(0, "device-return-unknown"), (1, "done")] {
        let asked = sent(world.after_password().await);
        let bindings: Vec<&SecretText> = others[first..].iter().chain([&asked.binding]).collect();
        let brought = show(&world, &asked, Some(&device.certificate));
        assert_eq!(problem(bring(&world, &brought, &bindings)), result, "{} of others", bindings.len() - 1);
    }
}

#[tokio::test]
async fn who_was_disabled_while_the_browser_was_away_is_not_signed_in() {
    let world = world().await;
    let device = enrol(&world, "anna");
    world.set_policy(REGISTERED);
    let asked = sent(world.after_password().await);
    let brought = show(&world, &asked, Some(&device.certificate));
    let disabled = serde_json::from_value(serde_json::json!({ "enabled": false })).unwrap();
    users::set(&world.control, &Actor::Control, &tenant(&world), "anna", disabled).unwrap();
    assert_eq!(problem(bring(&world, &brought, &[&asked.binding])), "sign-in-over");
    assert_eq!((world.logged(), world.control.sessions.borrow().len()), (vec!["device-needed".to_owned()], 0));
}
