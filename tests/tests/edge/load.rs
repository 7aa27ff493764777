//! Many uploads at once, too many, and then as before, in some seconds. At length: `cargo xtask load`.

use chatlift_tests::load;

#[test]
fn what_is_too_much_is_told_when_to_come_again_and_all_else_is_stored_and_told_of_once() {
    load::play();
}
