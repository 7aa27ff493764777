//! What rules and handlers cost, in instructions of the processor: each run counts the same. `cargo xtask test`
//! runs each of these under valgrind, which counts within [`count_instructions`] alone, and compares that with the
//! most that the test allows: a tenth above what it took.

use std::hint::black_box;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chatlift_shared::api::{HEADER_TICKET, Upload};
use chatlift_shared::{EventId, token, webhook};
use serde_json::json;

use super::http::InMemory;
use super::*;
use crate::link::decide::decide;
use crate::link::message::{Command as _, Message};
use crate::link::state::LinkState;
use crate::ports::World as _;

/// What valgrind counts.
#[inline(never)]
fn count_instructions<T>(work: impl FnOnce() -> T) -> T {
    black_box(work())
}

/// Does `work` twice, the second time counted, so that what is made at first use does not count.
fn takes_at_most<T>(instructions: u64, mut work: impl FnMut() -> T) -> T {
    let _ = work();
    println!("at most {instructions} instructions");
    count_instructions(work)
}

#[test]
fn a_token_of_ours() {
    let edge = InMemory::new();
    let path = edge.link();
    let (keys, now) = (&edge.edge.config.keys, edge.edge.service.world.now());
    let token = path.trim_start_matches("/u/");
    let claims = takes_at_most(18_000, || token::verify(keys, black_box(token), now));
    assert!(claims.is_ok());
}

#[test]
fn a_forged_token() {
    let edge = InMemory::new();
    let path = edge.link();
    let (keys, now) = (&edge.edge.config.keys, edge.edge.service.world.now());
    let mut forged = path.trim_start_matches("/u/").to_owned();
    let tag = forged.split_off(forged.len() - 4);
    forged.extend(tag.chars().rev());
    let claims = takes_at_most(17_000, || token::verify(keys, black_box(&forged), now));
    assert!(claims.is_err());
}

/// A token whose tag is wrong at a byte of its 16, and its answer.
fn with_a_wrong_tag(byte: usize) {
    let edge = InMemory::new();
    let path = edge.link();
    let (keys, now) = (&edge.edge.config.keys, edge.edge.service.world.now());
    let token = path.trim_start_matches("/u/");
    let mut bytes = URL_SAFE_NO_PAD.decode(token).expect("base64");
    let tag = bytes.len() - 16;
    bytes[tag + byte] ^= 1;
    let forged = URL_SAFE_NO_PAD.encode(bytes);
    let claims = takes_at_most(17_000, || token::verify(keys, black_box(&forged), now));
    assert_eq!(claims, Err(token::TokenError::BadTag));
}

/// As many instructions as the next: how much of a guess is right shows in no answer's time.
#[test]
fn a_tag_that_is_wrong_at_its_first_byte() {
    with_a_wrong_tag(0);
}

#[test]
fn a_tag_that_is_wrong_at_its_last_byte() {
    with_a_wrong_tag(15);
}

/// A webhook whose signature is wrong at a byte of its 32, and its answer.
fn with_a_wrong_signature(byte: usize) {
    let secrets = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
        .parse()
        .expect("a secret")];
    let (now, body) = (Timestamp::from_secs(1_795_000_000), b"{}");
    let event = EventId::new(LinkId::from_bytes([1; 12]), [1; 6]);
    let signature = webhook::sign(&secrets[0], event, now, body);
    let (_, tag) = signature.split_once(',').expect("a version");
    let mut tag = STANDARD.decode(tag).expect("base64");
    tag[byte] ^= 1;
    let (id, at) = (event.to_string(), now.secs().to_string());
    let signature = format!("v1,{}", STANDARD.encode(tag));
    let header = |name: &'static str| match name {
        webhook::HEADER_ID => Some(id.as_str()),
        webhook::HEADER_TIMESTAMP => Some(at.as_str()),
        _ => Some(signature.as_str()),
    };
    let read = takes_at_most(30_000, || {
        webhook::verify(&secrets, header, black_box(body), now)
    });
    assert_eq!(read, Err(webhook::VerifyError::Signature));
}

/// As many instructions as the next.
#[test]
fn a_signature_that_is_wrong_at_its_first_byte() {
    with_a_wrong_signature(0);
}

#[test]
fn a_signature_that_is_wrong_at_its_last_byte() {
    with_a_wrong_signature(31);
}

/// A link with 50 files, as its object has it.
fn link_of_fifty() -> LinkState {
    let edge = Edge::new();
    let link = edge.link();
    let links = &edge.service.links.links;
    let allow = |state: &mut LinkState| state.link.policy.max_files = 100;
    links
        .borrow_mut()
        .get_mut(&link)
        .into_iter()
        .for_each(allow);
    for n in 0..50 {
        edge.put(link, &[PDF, &[n]].concat(), None).expect("a file");
    }
    links.borrow()[&link].clone()
}

fn reserve(state: &LinkState) -> command::Reserve {
    command::Reserve {
        upload: UploadId::new(state.link.id, [9; 6]),
        attempt: 1,
        name: "b.pdf".into(),
        size: 1_000,
        sha256: Some(Sha256::of(PDF)),
        extras: Default::default(),
    }
}

#[test]
fn a_decision_on_a_link_of_fifty_files() {
    let (state, now) = (link_of_fifty(), Timestamp::from_secs(1_795_000_000));
    let held = |_| Default::default();
    let decision = takes_at_most(150_000, || {
        decide(Some(&state), reserve(&state), &held, now)
    });
    assert!(decision.is_ok());
}

#[test]
fn a_command_and_its_answer_as_they_cross() {
    let state = link_of_fifty();
    takes_at_most(18_000, || {
        let message = serde_json::to_string(&reserve(&state).message()).expect("JSON");
        serde_json::from_str::<Message>(black_box(&message)).expect("a message")
    });
}

/// A request with `body` to a new link's path with `end`, which is answered with `status`.
fn request(
    instructions: u64,
    (method, end): (&str, &str),
    headers: &[(&str, &str)],
    body: &[u8],
    status: u16,
) {
    let edge = InMemory::new();
    let path = format!("{}{end}", edge.link());
    let length = body.len().to_string();
    let headers = [&[("content-length", length.as_str())], headers].concat();
    let answer = takes_at_most(instructions, || edge.send(method, &path, &headers, body));
    assert_eq!(answer.status, status, "{answer:?}");
}

#[test]
fn the_state_of_a_link_for_its_page() {
    request(424_000, ("GET", "/page"), &[], b"", 200);
}

#[test]
fn an_announcement() {
    let mut head = PDF.to_vec();
    head.resize(4096, b' ');
    let body = json!({ "name": "a.pdf", "size": 9_000_000, "head": STANDARD.encode(head) });
    request(
        189_000,
        ("POST", "/uploads"),
        &[("content-type", "application/json")],
        body.to_string().as_bytes(),
        200,
    );
}

#[test]
fn a_part() {
    let edge = InMemory::new();
    let (link, json) = (edge.link(), ("content-type", "application/json"));
    let part = [PDF, &[b'-'; 1_000]].concat();
    let length = part.len().to_string();
    let announce = |name: &str| {
        let body = json!({ "name": name, "size": part.len(), "head": STANDARD.encode(&part) });
        let body = body.to_string();
        let headers = [("content-length", &*body.len().to_string()), json];
        let answer = edge.send(
            "POST",
            &format!("{link}/uploads"),
            &headers,
            body.as_bytes(),
        );
        assert_eq!(answer.status, 201);
        answer.json::<Upload>()
    };
    let mut uploads = vec![announce("a.pdf"), announce("b.pdf")];
    let digest = Sha256::of(&part).to_header();
    let answer = takes_at_most(287_000, || {
        let upload = uploads.pop().expect("one for each time");
        let headers = [
            ("content-length", length.as_str()),
            ("content-digest", &digest),
            (HEADER_TICKET, &upload.ticket),
        ];
        edge.send(
            "PUT",
            &format!("{link}/uploads/{}/parts/1", upload.id),
            &headers,
            &part,
        )
    });
    assert_eq!(answer.status, 204, "{answer:?}");
}

#[test]
fn a_form_with_a_file() {
    let head =
        "--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.pdf\"\r\n\r\n%PDF-1.7";
    let body = [head.as_bytes(), &[b'-'; 1_000], b"\r\n--x--\r\n"].concat();
    let headers = [
        ("content-type", "multipart/form-data; boundary=x"),
        ("accept", "application/json"),
    ];
    request(206_000, ("POST", ""), &headers, &body, 200);
}
