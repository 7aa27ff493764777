//! A command that came as a message, carried out as the one that it is.

use chatlift_shared::UploadId;

use super::Decide;
use crate::link::message::{AnyCommand, commands};
use crate::link::state::LinkState;

/// What is done with a command, whichever it is.
pub trait Visitor {
    /// What comes of it.
    type Output;

    /// Does it.
    fn visit<C: Decide>(self, command: C) -> Self::Output;
}

macro_rules! dispatch {
    ($($name:ident($command:ty) => $reply:ty,)*) => {
        impl AnyCommand {
            /// Gives the command to a visitor.
            pub fn visit<V: Visitor>(self, visitor: V) -> V::Output {
                match self {
                    $(Self::$name(command) => visitor.visit(command),)*
                }
            }

            /// As [`Decide::collects`].
            #[must_use]
            pub fn collects(&self, state: &LinkState) -> Option<UploadId> {
                match self {
                    $(Self::$name(command) => command.collects(state),)*
                }
            }

            /// As [`Decide::releases`].
            #[must_use]
            pub fn releases(&self) -> Option<(UploadId, u16)> {
                match self {
                    $(Self::$name(command) => command.releases(),)*
                }
            }
        }
    };
}
commands!(dispatch);
