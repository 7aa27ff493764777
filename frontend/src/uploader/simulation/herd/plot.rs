//! The plot of what a thousand pages send, as SVG.

use core::fmt::Write as _;

use super::{AWAY_S, Away, FIXED_MS, Herd, PAGES, SECONDS, Second, WAYS};

/// Pixels a second and a power of ten, and where the first of them are.
const SECOND: f64 = 4.0;
const DECADE: f64 = 55.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 90.0;
const PANEL: f64 = 4.0 * DECADE + 75.0;

const WIDTH: f64 = LEFT + SECOND * SECONDS as f64 + 30.0;

const FIXED: &str = "#b3261e";
const ASKED: &str = "#1a4fa0";
const WORK: &str = "#2e7d32";
const BOUND: &str = "#1d1d1f";

/// Where a second is.
fn x(second: usize) -> f64 {
    LEFT + SECOND * second as f64
}

/// How high a number of requests stands, from the foot of its panel: by its power of ten; one and none are the foot.
fn y(requests: f64) -> f64 {
    4.0 * DECADE - DECADE * requests.max(1.0).log10()
}

fn line(svg: &mut String, herd: &Herd, colour: &str, of: fn(&Second) -> usize) {
    let points: Vec<String> = herd
        .seconds
        .iter()
        .enumerate()
        .map(|(n, second)| format!("{:.0},{:.1}", x(n), y(of(second) as f64)))
        .collect();
    let _ = writeln!(
        svg,
        r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="1.8"/>"#,
        points.join(" ")
    );
}

fn panel(svg: &mut String, n: usize, away: Away) {
    let _ = writeln!(
        svg,
        r#"<g transform="translate(0 {:.0})">"#,
        TOP + PANEL * n as f64
    );
    let _ = writeln!(
        svg,
        r#"<text x="{LEFT}" y="-12" font-weight="600">The edge {} for {AWAY_S} s</text>"#,
        away.name
    );
    let _ = writeln!(
        svg,
        r##"<rect x="{LEFT}" y="0" width="{:.0}" height="{:.0}" fill="#f2f2f4"/>"##,
        x(AWAY_S) - LEFT,
        y(1.0)
    );
    for power in 0..=4 {
        let requests = 10_u32.pow(power);
        let y = y(f64::from(requests));
        let _ = writeln!(
            svg,
            r##"<path d="M{LEFT} {y:.0}H{:.0}" stroke="#d0d0d4"/><text x="{:.0}" y="{:.0}" text-anchor="end">{requests}</text>"##,
            x(SECONDS),
            LEFT - 8.0,
            y + 4.0
        );
    }
    for second in (0..=SECONDS).step_by(30) {
        let _ = writeln!(
            svg,
            r#"<text x="{:.0}" y="{:.0}" text-anchor="middle">{second} s</text>"#,
            x(second),
            y(1.0) + 18.0
        );
    }
    line(svg, &Herd::play(away, Some(FIXED_MS)), FIXED, |second| {
        second.asked()
    });
    let herd = Herd::play(away, None);
    line(svg, &herd, WORK, |second| second.work);
    line(svg, &herd, ASKED, |second| second.asked());
    let (bound, end) = (away.bound(), x(SECONDS));
    let _ = writeln!(
        svg,
        r#"<path d="M{:.0} {:.1}H{end:.0}" stroke="{BOUND}" stroke-width="1.8" stroke-dasharray="6 4"/>"#,
        x(AWAY_S),
        y(bound)
    );
    let _ = writeln!(
        svg,
        r#"<text x="{end:.0}" y="{:.0}" text-anchor="end">bound {bound:.0}, met {}</text>"#,
        y(bound) - 6.0,
        herd.peak()
    );
    svg.push_str("</g>\n");
}

/// Draws it.
pub(super) fn draw() -> String {
    let ways = [WAYS[0], WAYS[2]];
    let height = TOP + PANEL * ways.len() as f64 - 35.0;
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:.0} {height:.0}" font-family="system-ui, sans-serif" font-size="13" fill="#1d1d1f">
<title>Requests a second of {PAGES} pages, while the edge is away and when it comes back</title>
<rect width="{WIDTH:.0}" height="{height:.0}" fill="#fff"/>
<text x="{LEFT}" y="22" font-size="16" font-weight="600">{PAGES} pages: requests a second since the edge went</text>
"##
    );
    let legend = [
        (FIXED, "retries at fixed times, every second"),
        (ASKED, "the page: retries and probes"),
        (WORK, "the page: its uploads, once through"),
    ];
    let mut at = LEFT;
    for (colour, what) in legend {
        let _ = writeln!(
            svg,
            r#"<path d="M{at:.0} 44h20" stroke="{colour}" stroke-width="3"/><text x="{:.0}" y="48">{what}</text>"#,
            at + 26.0
        );
        at += 46.0 + 6.6 * what.len() as f64;
    }
    for (n, away) in ways.into_iter().enumerate() {
        panel(&mut svg, n, away);
    }
    svg.push_str("</svg>\n");
    svg
}
