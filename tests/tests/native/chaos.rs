//! Three nodes, their database and their store, killed, cut off and slowed at moments drawn from a seed. At length:
//! `cargo xtask chaos nodes`.

use chatlift_tests::chaos;

#[test]
fn whatever_strikes_nodes_each_file_is_fetched_and_told_of_once() {
    chaos::three_nodes();
}
