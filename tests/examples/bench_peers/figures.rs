//! Figures of all rounds, as Markdown and as plots.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::peers::Peer;

/// Size of a plot's parts, in pixels.
const NAMES: f64 = 190.0;
const BAR: f64 = 300.0;
const ROW: f64 = 22.0;
const HEAD: f64 = 34.0;

/// What each peer took, in the rounds that were played.
type Rows = Vec<(Peer, Vec<f64>)>;

/// What was measured, in the order in which it was first.
#[derive(Debug, Default)]
pub(crate) struct Figures(Vec<(&'static str, Rows)>);

/// The middle, the least and the most of all rounds.
fn spread(values: &[f64]) -> [f64; 3] {
    let mut all = values.to_vec();
    all.sort_by(f64::total_cmp);
    [all.len() / 2, 0, all.len() - 1].map(|n| all[n])
}

/// A number with as many digits as say something.
fn short(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

impl Figures {
    /// Takes one down, and prints it.
    pub(crate) fn add(&mut self, what: &'static str, peer: Peer, value: f64) {
        println!("{what:<44} {:<28} {}", peer.name(), short(value));
        let known = self.0.iter().position(|(name, _)| *name == what);
        let n = known.unwrap_or_else(|| {
            self.0.push((what, Vec::new()));
            self.0.len() - 1
        });
        let rows = &mut self.0[n].1;
        match rows.iter_mut().find(|(other, _)| *other == peer) {
            Some((_, values)) => values.push(value),
            None => rows.push((peer, vec![value])),
        }
    }

    /// Writes tables and plots into a folder, and answers the tables: medians, least and most, and how many times our
    /// page's median on workerd each is.
    ///
    /// # Panics
    /// When they cannot be written.
    pub(crate) fn write(&self, folder: &Path) -> String {
        fs::create_dir_all(folder).expect("a folder");
        let mut text = String::new();
        for (what, rows) in &self.0 {
            let mut rows: Vec<_> = rows.iter().map(|(p, v)| (*p, spread(v))).collect();
            let place = |peer| Peer::ALL.iter().position(|&other| other == peer);
            rows.sort_by_key(|(peer, _)| place(*peer));
            let ours = rows.iter().find(|(peer, _)| *peer == Peer::PageWorkerd);
            let ours = ours.map_or(f64::NAN, |(_, [median, ..])| *median);
            let _ = write!(
                text,
                "\n{what}:\n\n| | median | least | most | x of ours |\n|---|---:|---:|---:|---:|\n"
            );
            for (peer, [median, least, most]) in &rows {
                let ratio = median / ours;
                let ratio = if ratio.is_finite() {
                    short(ratio)
                } else {
                    "–".to_owned()
                };
                let [median, least, most] = [median, least, most].map(|value| short(*value));
                let name = peer.name();
                let _ = writeln!(text, "| {name} | {median} | {least} | {most} | {ratio} |");
            }
            let name: String = what
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
                .collect();
            fs::write(folder.join(format!("{name}.svg")), plot(what, &rows)).expect("a plot");
        }
        fs::write(folder.join("peers.md"), &text).expect("the tables");
        text
    }
}

/// Bars of medians, with lines from the least to the most; ours are darker.
fn plot(what: &str, rows: &[(Peer, [f64; 3])]) -> String {
    let most = rows.iter().map(|(_, [.., most])| *most).fold(0.0, f64::max);
    let scale = BAR / most.max(f64::MIN_POSITIVE);
    let (width, height) = (NAMES + BAR + 80.0, HEAD + ROW * rows.len() as f64 + 8.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"8\" y=\"20\" font-weight=\"bold\">{what}</text>\n"
    );
    for (n, (peer, [median, least, most])) in rows.iter().enumerate() {
        let y = HEAD + ROW * n as f64;
        let [median_x, least_x, most_x] = [median, least, most].map(|v| NAMES + v.max(0.0) * scale);
        let fill = if peer.is_ours() { "#1558b0" } else { "#a9b4c2" };
        let (name, text) = (peer.name(), short(*median));
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{name}</text>\
             <rect x=\"{NAMES}\" y=\"{y}\" width=\"{:.1}\" height=\"14\" fill=\"{fill}\"/>\
             <path d=\"M{least_x:.1} {mid}H{most_x:.1}\" stroke=\"#000\"/>\
             <text x=\"{:.1}\" y=\"{}\">{text}</text>",
            NAMES - 6.0,
            y + 11.0,
            median_x - NAMES,
            most_x + 6.0,
            y + 11.0,
            mid = y + 7.0,
        );
    }
    svg + "</svg>\n"
}
