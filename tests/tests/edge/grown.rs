//! A link whose object has grown, as some did before rows had limits: it is read, takes files and shrinks.

use std::process::Command;

use chatlift_shared::ProblemCode;
use chatlift_shared::api::{HEADER_OFFSET, HEADER_TICKET};
use chatlift_shared::limits::PART_SIZE;
use chatlift_tests::assertions::refused;
use chatlift_tests::edge::{ANY_FILE, Edge};
use chatlift_tests::fixtures::{Random, pdf};
use chatlift_tests::stage::Stage;

/// Rows of uploads that ended, as an older version left them.
const ROWS: u32 = 100_000;

/// Copies the row of an upload that was cancelled so many times, with ids of the same link, and fills the
/// stage with rows of one byte. Prints how many rows of uploads there are then.
const GROW: &str = r#"
import glob, secrets, sqlite3, sys
state, cancelled, going, copies, rows = sys.argv[1:4] + [int(n) for n in sys.argv[4:6]]
for path in glob.glob(state + "/**/*.sqlite", recursive=True):
    base = sqlite3.connect(path)
    columns = [column[1] for column in base.execute("PRAGMA table_info(upload)")]
    if "row" not in columns:
        continue
    for found in base.execute("SELECT * FROM upload WHERE id = ?", (cancelled,)).fetchall():
        for n in range(copies):
            copy = dict(zip(columns, found), id=cancelled[:20] + secrets.token_urlsafe(6))
            base.execute("INSERT INTO upload VALUES (" + ", ".join("?" * len(copy)) + ")", list(copy.values()))
        for n in range(rows):
            base.execute("INSERT INTO stage VALUES (?, 2, ?, x'07')", (going, n))
    base.commit()
    print(base.execute("SELECT COUNT(*) FROM upload").fetchone()[0])
"#;

fn grow(edge: &Edge, cancelled: &str, going: &str, copies: u32, rows: u32) -> u32 {
    let numbers = [copies.to_string(), rows.to_string()];
    let done = Command::new("python3")
        .args(["-c", GROW])
        .arg(edge.state())
        .args([cancelled, going])
        .args(numbers)
        .output()
        .expect("python3");
    assert!(done.status.success(), "{done:?}");
    let printed = String::from_utf8(done.stdout).expect("a number");
    printed.trim().parse().expect("a number")
}

#[test]
fn a_link_that_has_grown_is_read_takes_files_and_shrinks() {
    let mut stage = Stage::new("grown");
    let page = stage.edge.app().page(&stage.edge.app().link(ANY_FILE));
    let random = |seed| Random {
        seed,
        size: 2 * PART_SIZE,
    };
    let cancelled = page.announce_random("a.bin", random(1));
    let path = format!("/uploads/{}", cancelled.id);
    assert_eq!(page.call("DELETE", &path, &[], None).status, 204);
    let going = page.announce_random("b.bin", random(2));
    let ids = [cancelled.id.to_string(), going.id.to_string()];
    stage.edge.kill();
    // As many as a link has natively, where they are half as large.
    let grown = grow(&stage.edge, &ids[0], &ids[1], ROWS, 8192);
    assert!(grown > ROWS, "{grown}");
    stage.edge.start();

    // The stage is full: what would begin another part is refused, and says by what.
    let path = format!("/uploads/{}/parts/1", going.id);
    let chunk = [(HEADER_TICKET, &*going.ticket), (HEADER_OFFSET, "0")];
    let answer = page.call("PUT", &path, &chunk, Some(&[1; 1000]));
    let problem = refused(&answer, ProblemCode::RateLimited);
    assert_eq!(problem.field.as_deref(), Some("Content-Length"));
    assert_eq!(problem.limit, Some(512 * 1024 * 1024));
    assert!(answer.header("retry-after").is_some());
    // Files still come, and an upload that ends makes room.
    let _ = page.store("c.pdf", &pdf());
    let path = format!("/uploads/{}", going.id);
    assert_eq!(page.call("DELETE", &path, &[], None).status, 204);
    let other = page.announce_random("d.bin", random(3));
    let path = format!("/uploads/{}/parts/1", other.id);
    let chunk = [(HEADER_TICKET, &*other.ticket), (HEADER_OFFSET, "0")];
    let answer = page.call("PUT", &path, &chunk, Some(&[1; 1000]));
    assert_eq!(answer.status, 202, "{}", answer.text());

    stage.edge.kill();
    let left = grow(&stage.edge, "", "", 0, 0);
    println!("{grown} rows of uploads, and {left} when the link was used");
    assert!(left < 110, "{left} rows of uploads");
}
