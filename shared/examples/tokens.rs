//! `cargo xtask bench tokens`: how many link tokens one core checks in a second, forged ones and ours.

use std::hint::black_box;
use std::time::{Duration, Instant};

use chatlift_shared::mac::KeyRing;
use chatlift_shared::token::{Claims, mint, verify};
use chatlift_shared::{LinkId, Timestamp};

#[expect(clippy::disallowed_methods, reason = "a benchmark, natively")]
fn now() -> Instant {
    Instant::now()
}

fn main() {
    let keys = KeyRing::parse("1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8").expect("a key");
    let time = Timestamp::from_secs(1_795_000_000);
    let claims = Claims {
        link: LinkId::from_bytes([9; 12]),
        app: "demo".parse().expect("an app id"),
        scene: "claim-documents".parse().expect("a scene id"),
        expires_at: 1_795_600_000,
        password: false,
    };
    let ours = mint(&keys, &claims);
    let mut forged = ours.clone();
    let tag = forged.split_off(forged.len() - 4);
    forged.extend(tag.chars().rev());
    println!("| token | checked in a second |\n|---|---:|");
    for (name, token) in [("forged", &forged), ("ours", &ours)] {
        let (start, mut checked) = (now(), 0_u64);
        while start.elapsed() < Duration::from_secs(2) {
            for _ in 0..1000 {
                let _ = black_box(verify(&keys, black_box(token), time));
            }
            checked += 1000;
        }
        println!(
            "| {name} | {:.0} |",
            checked as f64 / start.elapsed().as_secs_f64()
        );
    }
}
