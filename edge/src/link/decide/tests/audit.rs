//! The audit trail: what each decision adds to it, and that nothing else does.

use chatlift_shared::api::{EventState, Receipt, ReceiptStatus};
use serde_json::{Value, json};

use super::*;
use crate::link::audit::Trail;
use crate::link::command::Outcome;
use crate::link::password::{Asker, Hash, Password};

/// The entries after the first `n`, as JSON without what chains them.
fn facts(kept: &Kept, n: u64) -> Vec<Value> {
    let entries = kept.state().audit.entries(n, usize::MAX);
    let fact = |entry: &_| {
        let mut fact = serde_json::to_value(entry).expect("JSON");
        let fields = fact.as_object_mut().expect("an object");
        for field in ["n", "at", "previous", "hash"] {
            fields.remove(field);
        }
        fact
    };
    entries.iter().map(fact).collect()
}

/// What `work` adds to the trail.
fn added(kept: &mut Kept, work: impl FnOnce(&mut Kept)) -> Vec<Value> {
    let known = kept.state().audit.head().entries;
    work(kept);
    facts(kept, known)
}

#[test]
fn the_trail_of_a_link_begins_with_its_limits() {
    let made = json!({
        "type": "link.made", "link": LinkId::from_bytes([1; 12]), "app": "demo", "scene": "docs",
        "created_at": START, "expires_at": START.plus(Duration::from_secs(LIFETIME)),
        "accept": ["*/*"], "max_files": 2, "max_file_size": 20 * MIB, "file_retention": 7_200,
        "password": false,
    });
    assert_eq!(facts(&Kept::new(2), 0), [made]);
}

#[test]
fn each_step_of_a_file_is_told_with_its_digests_and_no_word_of_a_person() {
    let mut kept = Kept::new(3);
    let (size, file) = (9 * MIB, json!(chatlift_shared::FileId::from(id(1))));
    let steps = added(&mut kept, |kept| kept.store(1, size));
    let stored = json!({
        "type": "file.stored", "file": file, "upload": id(1), "begun_at": START, "by": "parts", "size": size,
        "media_type": "application/pdf", "part_size": part_size(size),
        "parts_sha256": parts_digest(size),
    });
    assert_eq!(steps, [stored]);
    let steps = added(&mut kept, |kept| {
        let mut reserve = reserve(2, MIB);
        reserve.sha256 = Some(Sha256::of(b"2"));
        kept.run(reserve).expect("room");
        let commit = command::Commit {
            sha256: Some(Sha256::of(b"2")),
            ..commit(2, 1)
        };
        kept.run(commit).expect("a file");
    });
    assert_eq!(
        (&steps[0]["by"], &steps[0]["sha256"]),
        (&json!("request"), &json!(Sha256::of(b"2")))
    );
    // A second upload of it, which ends as the first one's twin, and one that is given up.
    let steps = added(&mut kept, |kept| {
        kept.fill(3, size);
        kept.state
            .as_mut()
            .expect("a link")
            .uploads
            .get_mut(&id(3))
            .expect("a row")
            .name = "file-1.pdf".into();
        kept.run(seal(3, size, 1)).expect("its twin");
        kept.open(4, size);
        kept.run(command::Abort { upload: id(4) }).expect("ended");
    });
    let ended = [
        json!({ "type": "upload.ended", "upload": id(3), "begun_at": START, "by": "parts", "same_as": file }),
        json!({ "type": "upload.ended", "upload": id(4), "begun_at": START, "by": "parts" }),
    ];
    assert_eq!(steps, ended);
    let steps = added(&mut kept, |kept| {
        let receipt = Receipt {
            reason: Some("Frau Müller's is illegible".into()),
            sha256: Some(Sha256::of(b"whole")),
            ..Receipt::new(ReceiptStatus::Rejected)
        };
        let file = id(1).into();
        let receipt = command::RecordReceipt { file, receipt };
        kept.run(receipt.clone()).expect("told");
        kept.run(receipt).expect("told already");
        kept.run(command::WithdrawFile { upload: id(1) })
            .expect("withdrawn");
        kept.pass(7_200);
        kept.run(command::Tick).expect("a tick");
    });
    let after = [
        json!({
            "type": "file.receipt", "file": file, "status": "rejected", "attempt": 0,
            "sha256": Sha256::of(b"whole"),
        }),
        json!({ "type": "file.deleted", "file": file, "reason": "withdrawn" }),
        json!({
            "type": "file.deleted", "file": chatlift_shared::FileId::from(id(2)),
            "reason": "expired",
        }),
        json!({ "type": "link.expired" }),
    ];
    assert_eq!(steps, after);
    let all = serde_json::to_string(&facts(&kept, 0)).expect("JSON");
    for word in ["file-1", "a.pdf", "case-7", "Müller"] {
        assert!(!all.contains(word), "{word} in {all}");
    }
}

#[test]
fn what_an_app_and_its_users_do_with_a_link_is_told() {
    let mut kept = Kept::new(1);
    let hash = Hash {
        salt: [1; 16],
        iterations: 1,
        hash: [2; 32],
    };
    kept.state.as_mut().expect("a link").link.password = Some(Password::new(hash));
    let expires_at = START.plus(Duration::from_secs(2 * LIFETIME));
    let steps = added(&mut kept, |kept| {
        kept.run(command::Opened).expect("opened");
        kept.run(command::Opened).expect("opened before");
        let view = kept.run(command::Extend { expires_at }).expect("more time");
        assert_eq!(view.audit, kept.state().audit.head(), "the answer has it");
        let keys = "1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
        let keys = chatlift_shared::mac::KeyRing::parse(keys).expect("a key ring");
        let asker = Asker::new(&keys, LinkId::from_bytes([1; 12]), "192.0.2.1");
        while kept
            .run(command::TryPassword {
                asker: asker.clone(),
            })
            .is_ok()
        {}
        kept.store(1, MIB);
        kept.run(command::WithdrawFile { upload: id(1) })
            .expect("withdrawn");
        kept.run(command::Revoke).expect("revoked");
        kept.run(command::Revoke).expect("revoked before");
    });
    let until = START.plus(Duration::from_secs(60));
    let kinds: Vec<_> = steps.iter().map(|step| step["type"].clone()).collect();
    assert_eq!(
        kinds,
        [
            "link.opened",
            "link.extended",
            "password.locked",
            "file.stored",
            "link.completed",
            "file.deleted",
            "link.reopened",
            "link.revoked",
        ]
    );
    assert_eq!(
        (&steps[1]["expires_at"], &steps[2]["until"]),
        (&json!(expires_at), &json!(until))
    );
}

#[test]
fn what_becomes_of_events_is_told() {
    let mut kept = Kept::new(2);
    kept.store(1, MIB);
    let event = *kept.state().events.keys().next().expect("an event");
    let tried = |attempt, outcome| tried(event, attempt, outcome);
    let steps = added(&mut kept, |kept| {
        kept.run(tried(1, Outcome::Failed { retry_after: None }))
            .expect("a failure");
        kept.run(tried(2, Outcome::Acknowledged))
            .expect("acknowledged");
        kept.run(command::Redeliver { event }).expect("again");
        kept.pass(3 * 86_400);
        kept.run(tried(3, Outcome::Failed { retry_after: None }))
            .expect("parked");
        assert_eq!(kept.state().events[&event].state, EventState::Parked);
    });
    let told =
        |kind: &str, attempts: u32| json!({ "type": kind, "event": event, "attempts": attempts });
    let again = json!({ "type": "event.redelivered", "event": event });
    assert_eq!(steps[..2], [told("event.acknowledged", 2), again]);
    assert!(steps.contains(&told("event.parked", 3)), "{steps:?}");
}

#[test]
fn a_read_that_finds_the_link_expired_answers_with_that_entry() {
    let mut kept = Kept::new(1);
    kept.pass(LIFETIME);
    let read = command::ReadAudit {
        after: 1,
        limit: 10,
    };
    let trail = kept.run(read).expect("the trail");
    assert_eq!(trail.head, kept.state().audit.head());
    let kinds: Vec<_> = trail
        .entries
        .iter()
        .map(|entry| entry.kind.as_str())
        .collect();
    assert_eq!(kinds, ["link.expired"]);
}

#[test]
fn the_trail_is_read_by_pages() {
    let mut kept = Kept::new(4);
    kept.store(1, MIB);
    kept.store(2, MIB);
    let mut read = |after, limit| {
        let read = command::ReadAudit { after, limit };
        kept.run(read).expect("the trail")
    };
    let all = read(0, 100);
    assert_eq!((all.entries.len(), all.head.entries), (3, 3));
    let pages = [read(0, 2), read(2, 2), read(3, 2), read(9, 2)];
    let entries: Vec<_> = pages.into_iter().flat_map(|page| page.entries).collect();
    assert_eq!(entries, all.entries);
}

/// Its app gets where the trail ended, so that it knows whether it has read all of it.
#[test]
fn the_trail_is_erased_with_its_link() {
    let mut kept = Kept::new(2);
    kept.store(1, MIB);
    kept.run(reserve(2, MIB)).expect("on its way");
    let head = kept.state().audit.head();
    let erased = kept.run(command::Erase).expect("erased").erased;
    assert_eq!(erased.audit, head);
    // The record waits for R2.
    assert!(!kept.state().cleanups.is_empty());
    assert_eq!(kept.state().audit, Trail::default());
    kept.clean_due();
    assert_eq!(kept.state().audit, Trail::default());
}

/// Those that were made before there was a trail.
#[test]
fn the_trail_of_an_older_link_begins_with_all_that_is_known_of_it() {
    let mut kept = Kept::new(2);
    kept.store(1, MIB);
    kept.state.as_mut().expect("a link").audit = Trail::default();
    kept.pass(60);
    kept.run(command::Close).expect("closed");
    let kinds: Vec<_> = facts(&kept, 0)
        .iter()
        .map(|fact| fact["type"].clone())
        .collect();
    assert_eq!(kinds, ["link.made", "file.stored", "link.completed"]);
    assert_eq!(facts(&kept, 1)[0].get("by"), None, "nobody knows any more");
    let entries = kept.state().audit.entries(0, usize::MAX);
    assert!(
        entries.iter().all(|entry| entry.at == kept.now),
        "as they were written"
    );
}
