//! The fields `Content-Digest` and `Repr-Digest` (RFC 9530).

use chatlift_shared::digest::Sha256;
use sfv::{Dictionary, ListEntry, Parser};

/// Reads the `sha-256` member of a digest field. Other algorithms are passed over, as RFC 9530 section 2
/// says; `None` where there is no such member, or the field is no Dictionary (RFC 9651).
#[must_use]
pub fn sha256(field: &str) -> Option<Sha256> {
    let members: Dictionary = Parser::new(field).parse().ok()?;
    match members.get("sha-256")? {
        ListEntry::Item(item) => item
            .bare_item
            .as_byte_sequence()?
            .try_into()
            .ok()
            .map(Sha256),
        ListEntry::InnerList(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The worked example of RFC 9530, appendix D, and what RFC 9651 allows around it. Parameters were
    /// refused, and a member of another algorithm hid what came after it if it had a comma.
    #[test]
    fn the_sha_256_member_is_read_wherever_it_stands() {
        let digest = Sha256::of(b"{\"hello\": \"world\"}\n");
        let header = digest.to_header();
        for field in [
            header.clone(),
            format!("sha-512=:AAAA:, {header}"),
            format!("other=\"a, b\" ,\t{header};q=1"),
            format!("sha-256=:AAAA:, {header}"),
        ] {
            assert_eq!(sha256(&field), Some(digest), "{field}");
        }
        for bad in [
            "",
            "sha-256",
            "sha-256=",
            "sha-256=:AAAA:",
            "sha-256=:!:",
            "md5=:AAAA:",
            "sha-256=(:AAAA:)",
            "sha-256=\"AAAA\"",
        ] {
            assert_eq!(sha256(bad), None, "{bad}");
        }
    }
}
