//! What a person is shown: the upload page filled with what it is opened for, and the pages without script.

pub mod csp;
pub mod first;
pub mod html;
pub mod language;
pub mod password;
pub mod qr;
pub mod result;
pub mod texts;
