//! Idempotency over time and rotation, passwords, the list.

use chatlift_shared::mac::KeyRing;

use super::*;
use crate::core::listing::Query;

fn pass(edge: &Edge, secs: u64) {
    let now = &edge.service.links.now;
    now.set(now.get().plus(Duration::from_secs(secs)));
}

#[test]
fn an_idempotency_key_leads_to_one_link() {
    let edge = Edge::new();
    let first = edge.create(Some("k"), "a").expect("a link");
    assert_eq!(edge.create(Some("k"), "a"), Ok(first));
    assert_ne!(edge.create(Some("k2"), "a"), Ok(first));
    assert_eq!(
        refusal(edge.create(Some("k"), "b")),
        ProblemCode::IdempotencyKeyReused
    );
    assert_eq!(
        refusal(edge.create(Some(""), "b")),
        ProblemCode::InvalidRequest
    );
}

#[test]
fn an_idempotency_key_stands_for_its_link_for_a_day_over_midnight() {
    let edge = Edge::new();
    // An hour before the turn of a UTC day.
    edge.service
        .links
        .now
        .set(Timestamp::from_secs(20_776 * 86_400 - 3_600));
    let first = edge.create(Some("k"), "s").expect("a link");
    for _ in 0..23 {
        pass(&edge, 3_600);
        assert_eq!(edge.create(Some("k"), "s"), Ok(first));
        assert_eq!(
            refusal(edge.create(Some("k"), "other")),
            ProblemCode::IdempotencyKeyReused
        );
    }
    pass(&edge, 3_600);
    let second = edge.create(Some("k"), "other").expect("a day later");
    assert_ne!(second, first);
    assert_eq!(edge.create(Some("k"), "other"), Ok(second));
}

#[test]
fn an_idempotency_key_outlives_the_rotation_of_signing_keys() {
    let mut edge = Edge::new();
    let first = edge.create(Some("k"), "s").expect("a link");
    let old = config::raw().link_keys;
    edge.config.keys = KeyRing::parse(&format!(
        "2:HxAREhMUFRYXGBkaGxwdHh8AAQIDBAUGBwgJCgsMDQ4,{old}"
    ))
    .expect("two keys");
    assert_eq!(edge.create(Some("k"), "s"), Ok(first));
    assert_eq!(
        refusal(edge.create(Some("k"), "other")),
        ProblemCode::IdempotencyKeyReused
    );
}

#[test]
fn a_password_is_kept_as_its_hash_and_checked() {
    let edge = Edge::new();
    let request = CreateLink {
        password: Some("tide-4711".into()),
        ..CreateLink::new("docs".parse().expect("a scene id"))
    };
    let made = edge
        .service
        .create_link(&edge.config, edge.app(), request, None);
    let link = block_on(made).expect("a link").link;
    let stored = serde_json::to_string(&link).expect("JSON");
    assert!(!stored.contains("tide"), "{stored}");
    let check = |password| block_on(edge.service.check_password(link.id, password));
    assert_eq!(check("tide-4711"), Ok(()));
    for _ in 0..5 {
        assert_eq!(refusal(check("tide-4712")), ProblemCode::PasswordWrong);
    }
    assert_eq!(refusal(check("tide-4711")), ProblemCode::PasswordLocked);
    pass(&edge, 60);
    assert_eq!(check("tide-4711"), Ok(()));
    // A link without one lets everybody in.
    assert_eq!(
        block_on(edge.service.check_password(edge.link(), "")),
        Ok(())
    );
}

#[test]
fn the_list_catches_up_after_it_was_down() {
    let edge = Edge::new();
    edge.list.up.set(false);
    let links: Vec<_> = (0..3).map(|_| edge.link()).collect();
    let other = edge.create(None, "other").expect("a link");
    let revoked = block_on(edge.service.revoke(edge.app(), links[0]));
    assert_eq!(revoked, Ok(()));
    let list = |subject: Option<&str>, state| {
        let query = Query {
            after: None,
            state,
            subject: subject.map(Into::into),
            limit: 10,
        };
        let page = edge.service.list(edge.app(), &edge.list, &query);
        let mut ids: Vec<_> = block_on(page)
            .expect("a page")
            .links
            .iter()
            .map(|l| l.id)
            .collect();
        ids.sort();
        ids
    };
    edge.recover();
    assert_eq!(list(None, None), []);
    edge.list.up.set(true);
    pass(&edge, 6 * 3_600);
    edge.recover();
    let sorted = |mut ids: Vec<LinkId>| {
        ids.sort();
        ids
    };
    assert_eq!(
        list(None, None),
        sorted([links.clone(), vec![other]].concat())
    );
    assert_eq!(list(Some("s"), None), sorted(links.clone()));
    assert_eq!(list(Some("s"), Some(Status::Revoked)), [links[0]]);
    assert_eq!(list(Some("nobody"), None), []);
}

/// The QR code of a revoked link was drawn: whoever scanned it met a page that is over.
#[test]
fn a_link_is_shown_as_long_as_its_page_opens() {
    let edge = Edge::new();
    let (open, full, revoked) = (edge.link(), edge.link(), edge.link());
    let show = |link| {
        let shown = edge.service.link_to_show(edge.app(), link);
        block_on(shown).map(|view| view.link.id)
    };
    block_on(edge.service.close(edge.app(), full)).expect("closed");
    block_on(edge.service.revoke(edge.app(), revoked)).expect("revoked");
    assert_eq!(show(open), Ok(open));
    assert_eq!(show(full), Ok(full));
    assert_eq!(refusal(show(revoked)), ProblemCode::LinkRevoked);
    pass(&edge, 604_800);
    assert_eq!(refusal(show(open)), ProblemCode::LinkExpired);
    assert_eq!(refusal(show(full)), ProblemCode::LinkExpired);
    assert_eq!(refusal(show(revoked)), ProblemCode::LinkRevoked);
}

#[test]
fn a_link_is_extended_within_its_scene_and_ninety_days() {
    let edge = Edge::new();
    let link = edge.link();
    let extend = |secs| block_on(edge.service.extend(edge.app(), link, secs));
    let week = 604_800;
    assert_eq!(refusal(extend(0)), ProblemCode::InvalidRequest);
    assert_eq!(refusal(extend(week + 1)), ProblemCode::BeyondScene);
    assert_eq!(refusal(extend(60)), ProblemCode::InvalidRequest, "sooner");
    for _ in 0..11 {
        pass(&edge, week - 1000);
        extend(week).expect("a week more");
    }
    pass(&edge, week - 1000);
    assert_eq!(
        refusal(extend(week)),
        ProblemCode::BeyondScene,
        "over 90 days"
    );
}
