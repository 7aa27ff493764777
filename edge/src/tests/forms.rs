//! Forms over HTTP, as senders write them: each file is stored or named, never passed over.

use core::time::Duration;

use chatlift_shared::api::FormResult;

use super::http::{FORM, InMemory};
use crate::http::{FORM_MEMORY, Runtime as _};

const A: &str = "Content-Disposition: form-data; name=\"f\"; filename=\"a.pdf\"";
const B: &str = "Content-Disposition: form-data; name=\"f\"; filename=\"b.pdf\"";
const PDF_A: &str = "%PDF-1.7 a";
const PDF_B: &str = "%PDF-1.7 b";

/// Sends two files of which the first is written as `head`; what is answered.
fn send(head: &str) -> (u16, FormResult) {
    let body = format!("--x\r\n{head}\r\n\r\n{PDF_A}\r\n--x\r\n{B}\r\n\r\n{PDF_B}\r\n--x--\r\n");
    post(&body)
}

fn post(body: &str) -> (u16, FormResult) {
    let edge = InMemory::new();
    let answer = edge.send("POST", &edge.link(), &FORM, body.as_bytes());
    (answer.status, answer.json())
}

fn stored(result: &FormResult) -> Vec<&str> {
    let files = result.files.iter();
    files
        .filter(|f| f.file.is_some())
        .map(|f| f.name.as_str())
        .collect()
}

#[test]
fn both_files_are_stored_however_a_head_is_written() {
    for (head, name) in [
        (
            "Content-Disposition: form-data;\r\n filename=\"a.pdf\"",
            "a.pdf",
        ),
        (
            "Content-Disposition:\r\n\tform-data;\r\n\tname=\"f\";\r\n\tfilename=\"a\r\n b.pdf\"",
            "a b.pdf",
        ),
        (
            "Content-Disposition : form-data; filename=\"a.pdf\"",
            "a.pdf",
        ),
        (
            "X-Odd header: 1\r\nContent-Disposition:form-data;filename=a.pdf",
            "a.pdf",
        ),
        (
            "no header\r\nContent-Disposition: form-data; filename=\"a.pdf\"",
            "a.pdf",
        ),
        (
            "Content-Disposition: form-data; filename=\"a\nb.pdf\"",
            "ab.pdf",
        ),
        (
            "Content-Disposition: attachment; filename=\"a.pdf\"",
            "a.pdf",
        ),
        (
            "Content-Disposition: form-data; name=\"f\"\r\nContent-Disposition: form-data; filename=a.pdf",
            "a.pdf",
        ),
        (
            "Content-Disposition: form-data; name=\"a.pdf\"\r\nContent-Type: application/pdf",
            "a.pdf",
        ),
        (
            "Content-Disposition: form-data; name=\"a.pdf\"\r\nContent-Type:\r\n application/octet-stream",
            "a.pdf",
        ),
    ] {
        let (status, result) = send(head);
        assert_eq!(status, 200, "{head}: {result:?}");
        assert_eq!(stored(&result), [name, "b.pdf"], "{head}");
    }
}

#[test]
fn what_is_around_and_between_the_parts_loses_no_file() {
    for body in [
        format!("\r\n--x\r\n{A}\r\n\r\n{PDF_A}\r\n--x \r\n{B}\r\n\r\n{PDF_B}\r\n--x--"),
        format!(
            "A form.\r\n--x\r\n{A}\r\n\r\n{PDF_A}\r\n--x\r\n{B}\r\n\r\n{PDF_B}\r\n--x--\r\nThe end."
        ),
        format!("--x\n{A}\n\n{PDF_A}\n--x\n{B}\n\n{PDF_B}\n--x--\n"),
        format!(
            "--x\r\n{A}\r\n\r\n{PDF_A}\r\n--x\r\nContent-Disposition: form-data; name=n\r\n\r\n1\r\n--x\r\n{B}\r\n\r\n{PDF_B}\r\n--x--"
        ),
    ] {
        let (status, result) = post(&body);
        assert_eq!(status, 200, "{body}: {result:?}");
        assert_eq!(stored(&result), ["a.pdf", "b.pdf"], "{body}");
    }
}

#[test]
fn where_a_file_cannot_be_told_apart_the_answer_says_that_not_all_arrived() {
    let long = "h".repeat(20_000);
    for (body, left) in [
        // Its bytes would be those of both.
        (
            format!("--x\r\n{A}\r\n\r\n{PDF_A}\n--x\r\n{B}\r\n\r\n{PDF_B}\r\n--x--"),
            &["b.pdf"][..],
        ),
        // Its head has no end.
        (
            format!("--x\r\n{A}\r\n--x\r\n{B}\r\n\r\n{PDF_B}\r\n--x--"),
            &["b.pdf"],
        ),
        (
            format!("--x\r\n{A}\r\nX: {long}\r\n\r\n{PDF_A}\r\n--x\r\n{B}\r\n\r\n{PDF_B}\r\n--x--"),
            &["b.pdf"],
        ),
        // After the end, and without one.
        (
            format!("--x\r\n{A}\r\n\r\n{PDF_A}\r\n--x--\r\n--x\r\n{B}\r\n\r\n{PDF_B}\r\n--x--"),
            &["a.pdf"],
        ),
        (
            format!("--x\r\n{A}\r\n\r\n{PDF_A}\r\n--x\r\n{B}\r\n\r\n{PDF_B}"),
            &["a.pdf"],
        ),
        (format!("--x\r\n{A}\r\n\r\n{PDF_A}\r\n--x\r\n"), &["a.pdf"]),
        // Before the beginning.
        (
            format!(" --x\r\n{A}\r\n\r\n{PDF_A}\r\n--x\r\n{B}\r\n\r\n{PDF_B}\r\n--x--"),
            &[],
        ),
    ] {
        let (status, result) = post(&body);
        assert_eq!(stored(&result), left, "{body}: {result:?}");
        let expected = if left.is_empty() { 400 } else { 207 };
        assert_eq!(status, expected, "{body}: {result:?}");
        let named = result.files.iter().any(|f| f.file.is_none());
        assert!(named || result.problem.is_some(), "{body}: {result:?}");
    }
}

#[test]
fn a_form_waits_for_memory_and_is_told_to_come_again_where_others_have_it() {
    let edge = InMemory::new();
    let link = edge.link();
    let large = format!("%PDF-1.7{}", " ".repeat(1_000_000));
    let body = format!("--x\r\n{A}\r\n\r\n{large}\r\n--x\r\n{B}\r\n\r\n{PDF_B}\r\n--x--");
    let length = body.len().to_string();
    let headers = [FORM[0], FORM[1], ("content-length", length.as_str())];
    let others = edge.memory.take(FORM_MEMORY - 100_000).expect("room");
    let begin = edge.now();
    let answer = edge.send("POST", &link, &headers, body.as_bytes());
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("retry-after"), Some("2"));
    assert!(begin.until(edge.now()) >= Duration::from_secs(10));
    let result: FormResult = answer.json();
    assert!(result.files.is_empty(), "{result:?}");
    // A small one has room.
    let small = format!("--x\r\n{A}\r\n\r\n{PDF_A}\r\n--x--");
    let length = small.len().to_string();
    let headers_of_small = [FORM[0], FORM[1], ("content-length", length.as_str())];
    let answer = edge.send("POST", &link, &headers_of_small, small.as_bytes());
    assert_eq!(answer.status, 200);
    drop(others);
    let answer = edge.send("POST", &edge.link(), &headers, body.as_bytes());
    assert_eq!(answer.status, 200);
    assert!(edge.memory.take(FORM_MEMORY).is_some(), "all is given back");
}
