//! Who is let in: keys, tokens, and what another app may see.

use chatlift_shared::token::{self, Claims};
use chatlift_shared::{LinkId, ProblemCode};
use chatlift_tests::assertions::{nothing_stored, refused};
use chatlift_tests::client::Page;
use chatlift_tests::edge::{ANY_FILE, APP};
use chatlift_tests::fixtures::pdf;
use chatlift_tests::scratch::now;
use chatlift_tests::stage::shared;

#[test]
fn what_was_never_made_is_not_to_be_found() {
    let app = shared().edge.app();
    let id = LinkId::from_bytes([1; 12]);
    refused(
        &app.call("GET", &format!("/v1/links/{id}"), &[], None),
        ProblemCode::LinkNotFound,
    );
    refused(
        &app.call("GET", "/v1/links/nonsense", &[], None),
        ProblemCode::LinkNotFound,
    );
    refused(
        &app.call("GET", "/v1/files/nonsense", &[], None),
        ProblemCode::FileNotFound,
    );
    refused(
        &app.call("GET", "/v1/nothing", &[], None),
        ProblemCode::NotFound,
    );
    refused(
        &app.call("PATCH", "/v1/links", &[], None),
        ProblemCode::MethodNotAllowed,
    );
}

/// Tokens that no edge has made, each close to one that it has.
fn false_tokens(token: &str) -> Vec<(&'static str, String)> {
    let flip = |at: usize| {
        let mut bytes = token.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8_lossy(&bytes).into_owned()
    };
    vec![
        ("altered tag", flip(token.len() - 5)),
        ("altered claims", flip(10)),
        ("altered key id", flip(2)),
        ("cut short", token[..token.len() - 6].to_owned()),
        ("cut to nothing much", token[..4].to_owned()),
        ("longer", format!("{token}AAAA")),
        ("much too long", "A".repeat(1000)),
        ("other letters", "not-a-token-%E5%8F%91".to_owned()),
    ]
}

#[test]
fn forged_and_cut_tokens_are_refused_on_every_route_of_the_page() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let good = app.page(&link);
    let foreign = token::mint(
        &chatlift_shared::mac::KeyRing::parse("1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8")
            .expect("a ring"),
        &Claims {
            link: link.id,
            app: link.app.clone(),
            scene: link.scene.clone(),
            expires_at: 4_000_000_000,
            password: false,
        },
    );
    let mut all = false_tokens(good.token());
    all.push(("another edge's key", foreign));
    for (what, token) in all {
        let page = Page::of(&format!("{}/u/{token}", stage.edge.origin()));
        let code = ProblemCode::LinkTokenInvalid;
        let html = page.call("GET", "", &[], None);
        assert_eq!(html.status, 404, "{what}");
        assert!(
            html.text().contains(code.code()),
            "{what}: the page does not say why"
        );
        let data = page.data();
        assert_eq!(data.problem.map(|p| p.code), Some(code), "{what}");
        assert_eq!(data.link, None, "{what}");
        refused(&page.send_file("a.pdf", &pdf(), &[]), code);
        refused(&page.announce("a.pdf", 10_000_000, &pdf()), code);
        let upload = "upl_AAAAAAAAAAAAAAAAAAAAAAAA";
        refused(
            &page.call(
                "POST",
                &format!("/uploads/{upload}/complete"),
                &[],
                Some(b"{}"),
            ),
            code,
        );
        refused(
            &page.call(
                "PUT",
                &format!("/uploads/{upload}/parts/1"),
                &[],
                Some(b"x"),
            ),
            code,
        );
        refused(
            &page.call("DELETE", &format!("/uploads/{upload}"), &[], None),
            code,
        );
    }
    nothing_stored(&stage, &app, &link);
}

#[test]
fn a_token_of_before_its_link_was_extended_goes_on_and_leads_to_the_present_one() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    // Signed with the edge's own key, for a link that is alive: only the token's time is over.
    let past = u64::try_from(now().secs() - 1).expect("after 1970");
    let claims = Claims {
        link: link.id,
        app: link.app.clone(),
        scene: link.scene.clone(),
        expires_at: past,
        password: false,
    };
    let page = Page::of(&format!(
        "{}/u/{}",
        stage.edge.origin(),
        token::mint(&stage.edge.keys(), &claims)
    ));
    // As a page does that was open meanwhile.
    let _ = page.store("a.pdf", &pdf());
    // Whoever opens it is led to the address that the link has now.
    let on = page.call("GET", "", &[], None);
    assert_eq!(on.status, 302);
    let address = on.header("location").expect("an address");
    assert!(link.url.ends_with(address), "{address}");
    assert_eq!(app.revoke(link.id).status, 204);
    assert_eq!(page.call("GET", "", &[], None).status, 410);
    refused(
        &page.send_file("b.pdf", &pdf(), &[]),
        ProblemCode::LinkExpired,
    );
    assert_eq!(app.get_link(link.id).files.len(), 1);
}

#[test]
fn a_genuine_token_of_a_link_that_does_not_exist_stores_nothing() {
    let stage = shared();
    let claims = Claims {
        link: LinkId::from_bytes([9; 12]),
        app: APP.parse().expect("an app"),
        scene: ANY_FILE.parse().expect("a scene"),
        expires_at: u64::try_from(now().secs() + 600).expect("after 1970"),
        password: false,
    };
    let page = Page::of(&format!(
        "{}/u/{}",
        stage.edge.origin(),
        token::mint(&stage.edge.keys(), &claims)
    ));
    refused(
        &page.send_file("a.pdf", &pdf(), &[]),
        ProblemCode::LinkNotFound,
    );
    refused(
        &page.announce("a.pdf", 10_000_000, &pdf()),
        ProblemCode::LinkNotFound,
    );
}
