//! Extending, closing, the password, the list, the event log.

use chatlift_shared::mac::KeyRing;

use super::*;
use crate::link::password::{Asker, Hash, Password};

fn kinds(kept: &Kept) -> Vec<String> {
    kept.state()
        .events
        .values()
        .map(|e| {
            let body: serde_json::Value = serde_json::from_str(&e.body).expect("JSON");
            body["type"].as_str().expect("a type").to_owned()
        })
        .collect()
}

fn listed(kept: &Kept) -> Option<u64> {
    due(kept.state(), kept.now)
        .into_iter()
        .find_map(|w| match w {
            Work::List { entry, .. } => Some(entry.version),
            _ => None,
        })
}

#[test]
fn an_extended_link_lives_until_its_new_end() {
    let mut kept = Kept::new(2);
    let end = START.plus(Duration::from_secs(2 * LIFETIME));
    kept.run(command::Extend { expires_at: end })
        .expect("more time");
    kept.pass(LIFETIME + 1);
    kept.run(command::Tick).expect("a tick");
    assert_eq!(kept.state().link.status, Status::Active);
    let earlier = command::Extend {
        expires_at: START.plus(Duration::from_secs(LIFETIME + 60)),
    };
    assert_eq!(kept.refused(earlier), ProblemCode::InvalidRequest);
    kept.pass(LIFETIME);
    let later = command::Extend {
        expires_at: kept.now.plus(Duration::from_secs(60)),
    };
    assert_eq!(kept.refused(later), ProblemCode::LinkExpired);
}

#[test]
fn a_closed_link_keeps_its_files_ends_what_is_under_way_and_is_told_once() {
    let mut kept = Kept::new(5);
    kept.store(1, MIB);
    kept.open(2, 9 * MIB);
    kept.run(command::Close).expect("closed");
    kept.run(command::Close).expect("closed already");
    assert_eq!(kept.state().link.status, Status::Completed);
    assert_eq!(kept.state().files().len(), 1);
    assert!(matches!(
        kept.state().uploads[&id(2)].state,
        UploadState::Aborted { .. }
    ));
    assert_eq!(kinds(&kept), ["file.stored", "link.completed"]);
    assert_eq!(kept.refused(reserve(3, MIB)), ProblemCode::LinkFull);
    kept.run(command::Revoke).expect("too late, no error");
    assert_eq!(kept.state().link.status, Status::Completed);
}

#[test]
fn revoking_and_deleting_are_told() {
    let mut kept = Kept::new(5);
    kept.store(1, MIB);
    let delete = command::DeleteFile { file: id(1).into() };
    kept.run(delete.clone()).expect("deleted");
    kept.run(delete).expect("deleted already");
    kept.run(command::Revoke).expect("revoked");
    kept.run(command::Revoke).expect("revoked already");
    assert_eq!(
        kinds(&kept),
        ["file.stored", "file.deleted", "link.revoked"]
    );
    assert_eq!(kept.refused(command::Close), ProblemCode::LinkRevoked);
}

#[test]
fn the_event_log_goes_on_after_the_last_that_was_seen() {
    let mut kept = Kept::new(1);
    kept.store(1, MIB);
    let read = |kept: &mut Kept, after| {
        let read = command::ReadEvents { after };
        kept.run(read).expect("the log")
    };
    let all = read(&mut kept, None);
    let names: Vec<_> = all.iter().map(|e| e.event.kind.name()).collect();
    assert_eq!(names, ["file.stored", "link.completed"]);
    assert_eq!(read(&mut kept, Some(all[0].id)), all[1..]);
    assert_eq!(read(&mut kept, Some(all[1].id)), []);
}

#[test]
fn the_list_is_told_of_every_change_until_it_knows() {
    let mut kept = Kept::new(1);
    assert_eq!(listed(&kept), None, "known since it was made");
    kept.run(command::Revoke).expect("revoked");
    assert_eq!(listed(&kept), Some(2));
    let tell = |version, done| command::Listed {
        version,
        done,
        jitter: 0,
    };
    kept.run(tell(2, false)).expect("not told");
    assert_eq!(listed(&kept), None, "waits");
    kept.pass(5);
    assert_eq!(listed(&kept), Some(2));
    // An answer about an older version settles nothing.
    kept.run(tell(1, true)).expect("late");
    assert_eq!(listed(&kept), Some(2));
    kept.run(tell(2, true)).expect("told");
    assert_eq!(
        (listed(&kept), kept.state().link.listed.due()),
        (None, None)
    );
}

fn asker(n: u8) -> Asker {
    let keys = "1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
    let keys = KeyRing::parse(keys).expect("a key ring");
    Asker::new(&keys, LinkId::from_bytes([1; 12]), &n.to_string())
}

#[test]
fn each_asker_tries_a_few_passwords_at_once() {
    let attempt = |n: u8| command::TryPassword { asker: asker(n) };
    let mut kept = Kept::new(1);
    let none = kept.run(attempt(1)).expect("no password");
    assert_eq!(none, None);
    let hash = Hash {
        salt: [1; 16],
        iterations: 1,
        hash: [2; 32],
    };
    let state = kept.state.as_mut().expect("a link");
    state.link.password = Some(Password::new(hash.clone()));
    for _ in 0..5 {
        let told = kept.run(attempt(1)).expect("a try");
        assert_eq!(told, Some(hash.clone()));
    }
    let problem = kept.run(attempt(1)).expect_err("locked");
    assert_eq!(
        (problem.code, problem.retry_after),
        (ProblemCode::PasswordLocked, Some(60))
    );
    kept.run(attempt(2)).expect("another one's");
    kept.pass(60);
    kept.run(attempt(1)).expect("a try");
    kept.run(command::PasswordRight { asker: asker(1) })
        .expect("right");
    kept.run(attempt(1)).expect("the first again");
}

#[test]
fn a_request_is_recalled_for_a_day() {
    let mut kept = Kept::new(1);
    let request = Sha256::of(b"request");
    kept.state.as_mut().expect("a link").link.request = Some(request);
    kept.run(command::Recall { request }).expect("the link");
    let other = command::Recall {
        request: Sha256::of(b"other"),
    };
    assert_eq!(kept.refused(other), ProblemCode::IdempotencyKeyReused);
    kept.pass(24 * 60 * 60);
    assert_eq!(
        kept.refused(command::Recall { request }),
        ProblemCode::LinkNotFound
    );
}
