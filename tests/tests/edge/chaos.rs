//! The edge, killed, cut off and slowed at moments drawn from a seed. At length: `cargo xtask chaos workerd native`.

use chatlift_tests::chaos;

#[test]
fn whatever_strikes_an_edge_each_file_is_fetched_and_told_of_once() {
    chaos::one_edge();
}
