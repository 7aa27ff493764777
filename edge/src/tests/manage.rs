//! Idempotency over time and rotation, passwords, the list.

use chatlift_shared::mac::KeyRing;

use super::flow::Flow;
use super::*;
use crate::link::command;
use crate::link::command::Outcome;
use crate::link::listing::Query;
use crate::link::password::Asker;
use crate::link::state::Extras;
use crate::link::work::{Send, Work, next_alarm};
use crate::ports::{Bucket as _, Webhooks};

fn asker() -> Asker {
    let edge = Edge::new();
    Asker::new(&edge.config.keys, LinkId::from_bytes([1; 12]), "192.0.2.1")
}

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
    let check = |password| block_on(edge.service.check_password(link.id, asker(), password));
    assert_eq!(check("tide-4711"), Ok(()));
    for _ in 0..5 {
        assert_eq!(refusal(check("tide-4712")), ProblemCode::PasswordWrong);
    }
    assert_eq!(refusal(check("tide-4711")), ProblemCode::PasswordLocked);
    pass(&edge, 60);
    assert_eq!(check("tide-4711"), Ok(()));
    // A link without one lets everybody in.
    assert_eq!(
        block_on(edge.service.check_password(edge.link(), asker(), "")),
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

impl Edge {
    /// Has an upload whose commit is under way.
    fn reserve(&self, link: LinkId) -> UploadId {
        let upload = self.service.new_upload_id(link);
        let reserve = command::Reserve {
            upload,
            attempt: 1,
            name: "a.pdf".into(),
            size: PDF.len() as u64,
            sha256: None,
            extras: Extras::default(),
        };
        block_on(self.service.links.execute(link, reserve)).expect("room");
        upload
    }

    /// Lets the link's alarms do their work until it has none, and answers when the last was.
    fn live_out(&self, link: LinkId) -> Timestamp {
        let links = &self.service.links;
        for _ in 0..100 {
            let state = links.links.borrow().get(&link).cloned();
            let Some(at) = state.as_ref().and_then(next_alarm) else {
                return links.now.get();
            };
            links.now.set(links.now.get().max(at));
            block_on(links.execute(link, command::Tick)).expect("a tick");
            let state = links.links.borrow()[&link].clone();
            for work in due(&state, links.now.get()) {
                let (policy, service) = (&state.link.policy, &self.service);
                let done = service.perform(link, policy, work, &self.backend, &self.list);
                block_on(done).expect("work");
            }
        }
        panic!("its alarms never end");
    }

    fn has_nothing(&self, link: LinkId) {
        let stored = self.service.bucket.stored.borrow();
        assert!(stored.objects.is_empty() && stored.multiparts.is_empty());
        assert!(!self.service.links.links.borrow().contains_key(&link));
        assert!(self.list.entries.borrow().is_empty());
    }
}

/// Records of links were kept, and paid for, for ever.
#[test]
fn a_link_is_forgotten_when_it_and_its_files_have_ended_and_some_time_has_passed() {
    let edge = Edge::new();
    let link = edge.link();
    edge.put(link, PDF, None).expect("a file");
    let began = edge.service.links.now.get();
    let content = large_pdf();
    let under_way = edge.announce(link, &content).expect("an upload");
    let _ = edge.send_parts(&under_way, &content);
    let policy = edge.service.links.links.borrow()[&link].link.policy.clone();
    let end = edge.live_out(link);
    edge.has_nothing(link);
    let kept = began.until(end);
    let least = Duration::from_secs(policy.file_retention) + crate::link::work::RECORD_RETENTION;
    assert!(
        kept >= least && kept < least + Duration::from_secs(60),
        "{kept:?}"
    );
    // Its events were all told before.
    assert_eq!(
        edge.backend.heard.borrow().len(),
        3,
        "stored, expired, deleted"
    );
}

#[test]
fn a_link_whose_backend_never_answers_is_forgotten_too() {
    let edge = Edge::new();
    edge.backend.up.set(false);
    let link = edge.link();
    edge.put(link, PDF, None).expect("a file");
    let _ = edge.live_out(link);
    edge.has_nothing(link);
}

#[test]
fn a_link_that_is_erased_is_gone_at_once_with_all_that_it_has() {
    let edge = Edge::new();
    let (link, app) = (edge.link(), edge.app());
    edge.put(link, PDF, None).expect("a file");
    let content = large_pdf();
    let under_way = edge.announce(link, &content).expect("an upload");
    let parts = edge.send_parts(&under_way, &content);
    let erased = block_on(edge.service.erase(app, link, &edge.list)).expect("erased");
    assert_eq!((erased.files.len(), erased.uploads, erased.left), (1, 1, 0));
    assert_eq!(erased.events, 1);
    edge.has_nothing(link);
    assert_eq!(
        refusal(edge.complete(under_way.id, &content, &parts)),
        ProblemCode::LinkNotFound
    );
    let again = block_on(edge.service.erase(app, link, &edge.list));
    assert_eq!(refusal(again), ProblemCode::LinkNotFound);
}

/// A backend that has the link erased while it is told of a file.
struct Eraser<'a> {
    edge: &'a Edge,
    link: LinkId,
}

impl Webhooks for Eraser<'_> {
    async fn send(&self, event: &Send) -> Outcome {
        let erased = self
            .edge
            .service
            .erase(self.edge.app(), self.link, &self.edge.list);
        erased.await.expect("erased");
        self.edge.backend.send(event).await
    }
}

/// It was logged as a fault of the edge, and the events behind it were sent though their link was erased.
#[test]
fn work_whose_link_is_erased_meanwhile_is_done_and_sends_nothing_more() {
    for under_way in [false, true] {
        let edge = Edge::new();
        let link = edge.link();
        if under_way {
            // Its record stays until R2 can be given nothing more.
            edge.reserve(link);
        }
        edge.put(link, PDF, None).expect("a file");
        block_on(edge.service.close(edge.app(), link)).expect("closed");
        let state = edge.service.links.links.borrow()[&link].clone();
        let work = due(&state, edge.service.links.now.get());
        let sends = work.iter().filter(|work| matches!(work, Work::Send(_)));
        assert_eq!(sends.count(), 2);
        let (policy, eraser) = (&state.link.policy, Eraser { edge: &edge, link });
        let done = edge
            .service
            .perform_due(link, policy, work, &eraser, &edge.list);
        assert!(!block_on(done), "no fault");
        assert_eq!(edge.backend.heard.borrow().len(), 1);
        let _ = edge.live_out(link);
        edge.has_nothing(link);
    }
}

/// What R2 still takes for a commit that is under way must not outlive the link.
#[test]
fn an_erased_link_waits_for_what_r2_may_still_be_given() {
    let edge = Edge::new();
    let (link, app) = (edge.link(), edge.app());
    let upload = edge.reserve(link);
    let erased = block_on(edge.service.erase(app, link, &edge.list)).expect("erased");
    assert_eq!((erased.uploads, erased.left), (1, 1));
    let key = crate::link::key::object_key(&app.id, upload);
    let body = Flow::of(vec![PDF.to_vec()]);
    let late = edge.service.bucket.put(&key, body, None);
    block_on(late).expect("an object");
    let _ = edge.live_out(link);
    edge.has_nothing(link);
}
