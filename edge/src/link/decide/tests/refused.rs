//! What refused and cancelled announcements leave of a link, in rows and bytes that are read whenever its
//! object starts.

use super::*;
use crate::link::audit::OF_A_KIND_MAX;

/// How many are sent: some 10⁵ once made a link's object too large to be loaded.
const ANNOUNCED: u64 = 200_000;

/// Time between two: an object that is started anew has its alarms meanwhile.
const EVERY: u64 = 20;

/// Most bytes of JSON that all rows of such a link may have.
const READ_MAX: usize = 64 * 1024;

/// Rows of the link, as its object keeps them, and the bytes that they have as JSON.
fn rows(state: &LinkState) -> (usize, usize) {
    let mut all = vec![serde_json::to_string(&state.link)];
    all.extend(state.uploads.values().map(serde_json::to_string));
    all.extend(state.events.values().map(serde_json::to_string));
    all.extend(state.cleanups.values().map(serde_json::to_string));
    let bytes = all.iter().map(|row| row.as_ref().expect("JSON").len());
    (all.len(), bytes.sum())
}

#[test]
fn a_links_record_stays_readable_after_two_hundred_thousand_refused_announcements() {
    let mut kept = Kept::new(1);
    kept.state.as_mut().expect("a link").link.expires_at = START.plus(Duration::from_secs(1 << 30));
    for n in 0..ANNOUNCED {
        let mut suffix = [0; 6];
        suffix.copy_from_slice(&n.to_le_bytes()[..6]);
        let upload = UploadId::new(LinkId::from_bytes([1; 12]), suffix);
        match n % 3 {
            // More than the link takes.
            0 => {
                let announce = command::Announce {
                    name: "a.pdf".into(),
                    size: 21 * MIB,
                    earlier: None,
                    extras: Extras::default(),
                };
                assert_eq!(
                    kept.run(announce).expect_err("refused").code,
                    ProblemCode::FileTooLarge
                );
            }
            // Announced in parts, and cancelled.
            1 => {
                let open = command::Open {
                    upload,
                    name: format!("{n}.pdf"),
                    size: MIB,
                    multipart: Multipart {
                        alone: false,
                        r2_upload_id: format!("r2-{n}"),
                        part_size: part_size(MIB),
                    },
                    extras: Extras::default(),
                };
                kept.run(open).expect("an upload");
                kept.run(command::Abort { upload }).expect("cancelled");
            }
            // Sent in one request, and refused for what it is.
            _ => {
                let reserve = command::Reserve {
                    upload,
                    attempt: n,
                    name: format!("{n}.exe"),
                    size: 3,
                    sha256: None,
                    extras: Extras::default(),
                };
                kept.run(reserve).expect("room");
                kept.run(command::Withdraw { upload, attempt: n })
                    .expect("withdrawn");
            }
        }
        kept.pass(EVERY);
        if n % 32 == 0 {
            kept.clean_due();
        }
    }
    // A tenth of a megabyte also before the last ten minutes' cleanups are done.
    let (_, bytes) = rows(kept.state());
    assert!(bytes < 2 * READ_MAX, "{bytes} bytes");
    kept.pass(3_600);
    kept.clean_due();
    kept.run(command::Tick).expect("a tick");
    let (count, bytes) = rows(kept.state());
    assert!(count <= 1 + ENDED_KEPT, "{count} rows");
    assert!(bytes < READ_MAX, "{bytes} bytes");
    let trail = &kept.state().audit;
    let told = 1 + OF_A_KIND_MAX;
    assert_eq!(trail.rows().len(), told, "made, and uploads that ended");
    let bytes = trail
        .rows()
        .iter()
        .map(|row| serde_json::to_string(row).expect("JSON").len());
    let bytes = bytes.sum::<usize>();
    assert!(bytes < OF_A_KIND_MAX * 256, "{bytes} bytes");
    let view = kept.run(command::Read).expect("it can be read");
    assert_eq!((view.files.len(), view.files_left), (0, 1));
    let _ = kept.open(7, MIB);
}
