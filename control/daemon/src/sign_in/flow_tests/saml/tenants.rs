//! Service providers of several tenants, and where assertions may go.

use postern_model::admin::CreateNamed;

use super::*;

#[tokio::test]
async fn another_tenants_application_takes_nobody_from_here() {
    let world = world().await;
    crate::tenants::create(&world.control, &Actor::Control, CreateNamed { name: "other".parse().unwrap() }).unwrap();
    put(&world, "other", "theirs", "urn:theirs", "https://theirs.example.com/acs", &[]).unwrap();
    let theirs = world.control.snapshot().apps.values().find(|app| app.name.as_str() == "theirs").unwrap().id;
    assign(&world, theirs);
    let browser = anna(&world).await;
    let request = AuthnRequest { issuer: "urn:theirs".into(), acs: None, ..request() };
    let ask = asked(ask_for(&world, request, Some(&browser)));
    assert_eq!(ask.tenant, "other");
    assert_eq!(problem(world.password(&ask.flow).await), "sign-in-wrong", "they have no anna");
    let taken = put(&world, "other", "theirs", ENTITY, "https://theirs.example.com/acs", &[]).unwrap_err();
    let names_nobody = taken.detail.ends_with("is that of another tenant's application already");
    assert!(taken.code == "saml-entity-id-taken" && names_nobody, "{taken:?}");
    let mut default = crate::identity::default_tenant(&world.control.snapshot()).unwrap();
    default.app_suffix = Some("apps.example.net".into());
    let mut draft = crate::control::Draft::default();
    draft.change(postern_model::Change::TenantPut(default));
    world.control.commit(&crate::control::Actor::Control, draft).unwrap();
    for acs in [
        ACS,
        "https://wiki.apps.example.net/acs",
        "https://wiki.example.com/elsewhere",
        "https://theirs.example.com/acs https://wiki.example.com/",
    ] {
        let taken = put(&world, "other", "theirs", "urn:theirs", acs, &[]).unwrap_err();
        assert_eq!(taken.code, "saml-acs-taken", "{acs}: {}", taken.detail);
    }
    put(&world, "default", "wiki", ENTITY, "https://saml.vendor.example/acs", &[]).unwrap();
    let taken = put(&world, "other", "theirs", "urn:theirs", "https://saml.vendor.example/acs", &[]).unwrap_err();
    assert!(taken.code == "saml-acs-taken" && !taken.detail.contains("wiki"), "nobody publishes it: {}", taken.detail);
    put(&world, "default", "plain", "urn:plain", "https://plain.example.com/acs", &[("sso", "none")]).unwrap();
    let detail = |tenant: &str, app: &str| {
        let app = SamlWish::App { tenant: tenant.into(), app: app.into() };
        let Step::Refused(refused) = wish(&world, app, Some(&browser)) else { panic!("a step") };
        refused.detail
    };
    let nothing = detail("other", "wiki");
    assert!(nothing.contains("no such application"), "{nothing}");
    for (tenant, app) in [("nobodys", "wiki"), ("default", "nothing"), ("default", "plain"), ("default", "identity")] {
        assert_eq!(detail(tenant, app), nothing, "{tenant} {app}: nobody learns what there is");
    }
}

#[tokio::test]
async fn an_address_is_below_the_application_by_whole_segments() {
    let world = world().await;
    let mut app = world.control.snapshot().apps[&world.app()].clone();
    app.external_url = "https://wiki.example.com/w/".into();
    for (acs, warns) in [
        ("https://wiki.example.com/w/acs", false),
        ("https://wiki.example.com/w", false),
        ("https://wiki.example.com/wx/acs", true),
        ("https://wiki.example.com.evil.example/w/acs", true),
        ("https://wiki.example.com/acs", true),
    ] {
        app.settings.insert("sso_saml_acs".into(), acs.into());
        let planned = postern_model::plan::PlannedApp::parse(&app).unwrap();
        assert_eq!(!saml::warnings(&app, &planned).is_empty(), warns, "{acs}");
    }
}
