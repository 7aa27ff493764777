//! Every state of the page, light and dark, in every language, is accessible as far as a program
//! can tell.

use std::collections::BTreeSet;

use chatlift_tests::axe;
use chatlift_tests::browser::Browser;
use chatlift_tests::stage::shared;
use chatlift_tests::tour::{STATES, tour};

/// A small phone's width, in CSS pixels.
const NARROW: u32 = 360;

fn every_state(lang: &str) {
    let stage = shared();
    let phone = Browser::english();
    phone.narrow(NARROW);
    axe::prepare(&phone);
    let (mut wrong, mut seen, mut runs) = (BTreeSet::new(), Vec::new(), 0);
    tour(&stage, &phone, lang, &mut |state| {
        seen.push(state.to_owned());
        for theme in ["light", "dark"] {
            axe::theme(&phone, theme);
            runs += 1;
            for line in axe::violations(&phone) {
                wrong.insert(format!("{state}, {theme}: {line}"));
            }
        }
        for line in axe::small_targets(&phone) {
            wrong.insert(format!("{state}: to be touched, and small: {line}"));
        }
        for line in axe::lost_at_twice_the_size(&phone) {
            wrong.insert(format!("{state}: at 200 % text: {line}"));
        }
        phone.narrow(NARROW);
    });
    println!(
        "{lang}: {} states in 2 themes, {runs} runs of axe-core, {} findings",
        seen.len(),
        wrong.len()
    );
    assert_eq!(seen, STATES, "the tour left something out");
    let wrong: Vec<_> = wrong.into_iter().collect();
    assert!(wrong.is_empty(), "{lang}:\n{}", wrong.join("\n"));
}

#[test]
fn every_state_is_accessible_in_english() {
    every_state("en");
}

#[test]
fn every_state_is_accessible_in_simplified_chinese() {
    every_state("zh-CN");
}

#[test]
fn every_state_is_accessible_in_traditional_chinese() {
    every_state("zh-TW");
}

#[test]
fn every_state_is_accessible_in_japanese() {
    every_state("ja");
}

#[test]
fn every_state_is_accessible_in_spanish() {
    every_state("es");
}

#[test]
fn every_state_is_accessible_in_arabic_from_right_to_left() {
    every_state("ar");
}
