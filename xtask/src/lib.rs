//! Chatlift's developer commands, and the pieces of them that the end-to-end tests use too: the
//! process groups that everything is started in, the commands that run the edge, and the making of secrets.
//!
//! Promise: what is started here ends here, whichever way the starter ends; what goes wrong is
//! said in one sentence that names the way out.

pub mod bench;
pub mod chat;
pub mod clients;
pub mod conformance;
pub mod deploy;
pub mod dev;
pub mod document;
pub mod error;
pub mod fuzz;
pub mod html;
pub mod imports;
mod in_memory;
pub mod instructions;
pub mod native;
pub mod old_chromium;
pub mod operator;
pub mod packages;
pub mod page;
pub mod process;
pub mod python;
pub mod root;
pub mod run;
pub mod secrets;
pub mod sizes;
pub mod supply;
pub mod test;
pub mod tools;
pub mod worker;
pub mod workerd;

pub use error::Error;
