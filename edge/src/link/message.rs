//! The commands together, each with its reply, and the form in which they cross from the worker to the
//! link's object: JSON of a [`Message`], answered by JSON of a `Result<Reply, Problem>`.

use chatlift_shared::api::{EventStatus, LoggedEvent};
use chatlift_shared::audit::AuditTrail;
use chatlift_shared::{AppId, Problem, ProblemCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::command::{
    Abort, Announce, Cleaned, Close, Commit, Create, DeleteFile, Erase, Extend, Finish, Forget,
    ForgetPart, Listed, Open, Opened, PasswordRight, Read, ReadAudit, ReadEvents, ReadFile,
    ReadProgress, Recall, RecordPart, RecordReceipt, Redeliver, Reopen, Reserve, Resize, Revoke,
    SealUpload, Tick, Touch, Tried, TryPassword, Withdraw, WithdrawFile, Working,
};
use super::password::Hash;
use super::reply::{Announced, Erasure, FoundFile, OpenUpload, Reserved, Sealing};
use super::serial;
use super::serial::{Pieces, SerialView};
use super::state::{LinkState, LinkView, Policy};

/// Asked of a link.
pub trait Command: Clone {
    /// What it is answered with.
    type Reply: Serialize + DeserializeOwned;

    /// As it crosses.
    fn message(self) -> Message;
}

/// A command of an app's backend: on another app's link it finds nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct For<C> {
    /// The app.
    pub app: AppId,
    /// What it then does not find.
    pub missing: ProblemCode,
    /// The command.
    pub command: C,
}

impl<C: Command> Command for For<C> {
    type Reply = C::Reply;

    fn message(self) -> Message {
        Message {
            owner: Some(Owner {
                app: self.app,
                missing: self.missing,
            }),
            ..self.command.message()
        }
    }
}

/// Whose a link has to be.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Owner {
    /// The app's.
    pub app: AppId,
    /// What is not found on another's.
    pub missing: ProblemCode,
}

impl Owner {
    /// Refuses another app's link, and one that is none.
    ///
    /// # Errors
    /// What is not found then.
    pub fn check(&self, state: Option<&LinkState>) -> Result<(), Problem> {
        match state {
            Some(state) if state.link.app == self.app => Ok(()),
            _ => Err(self.missing.into()),
        }
    }
}

/// A command as it crosses.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Message {
    /// Whose the link has to be, for a command of [`For`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// The command.
    pub command: AnyCommand,
}

/// The one list of the commands: gives each, by its name in a [`Message`], with its type and its reply to
/// a macro.
macro_rules! commands {
    ($with:ident) => {
        $with! {
            Create(Create) => LinkView,
            Read(Read) => LinkView,
            ReadProgress(ReadProgress) => LinkView,
            Opened(Opened) => (),
            Finish(Finish) => (),
            Recall(Recall) => LinkView,
            Revoke(Revoke) => (),
            Erase(Erase) => Erasure,
            Forget(Forget) => (),
            Extend(Extend) => LinkView,
            Close(Close) => LinkView,
            TryPassword(TryPassword) => Option<Hash>,
            PasswordRight(PasswordRight) => (),
            Listed(Listed) => (),
            ReadEvents(ReadEvents) => Vec<LoggedEvent>,
            ReadAudit(ReadAudit) => AuditTrail,
            Announce(Announce) => Announced,
            Open(Open) => OpenUpload,
            Resize(Resize) => (),
            // The upload's sealing, when that was the last part.
            RecordPart(RecordPart) => Option<Sealing>,
            Touch(Touch) => (),
            ForgetPart(ForgetPart) => (),
            Reserve(Reserve) => Reserved,
            SealUpload(SealUpload) => Sealing,
            Working(Working) => (),
            Commit(Commit) => FoundFile,
            Withdraw(Withdraw) => (),
            Reopen(Reopen) => (),
            Abort(Abort) => (),
            WithdrawFile(WithdrawFile) => (),
            RecordReceipt(RecordReceipt) => FoundFile,
            ReadFile(ReadFile) => FoundFile,
            DeleteFile(DeleteFile) => (),
            Redeliver(Redeliver) => EventStatus,
            Tried(Tried) => EventStatus,
            Cleaned(Cleaned) => (),
            Tick(Tick) => (),
            SerialRoom(serial::Room) => Policy,
            SerialOpen(serial::Open) => SerialView,
            SerialLook(serial::Look) => SerialView,
            SerialBegin(serial::Begin) => SerialView,
            SerialRecord(serial::Record) => (),
            SerialOverrun(serial::Overrun) => (),
            SerialChecked(serial::Checked) => SerialView,
            SerialEnded(serial::Ended) => SerialView,
            SerialAbort(serial::Abort) => (),
            // Nothing where it is a whole piece already.
            SerialSeal(serial::Seal) => Option<Sealing>,
            SerialKeep(serial::Keep) => (),
            ReadPieces(serial::ReadPieces) => Pieces,
            SerialRecordJoined(serial::RecordJoined) => (),
            SerialJoin(serial::Join) => (),
        }
    };
}
pub(super) use commands;

macro_rules! define {
    ($($name:ident($command:ty) => $reply:ty,)*) => {
        /// Any command.
        #[derive(Clone, Debug, Serialize, Deserialize)]
        #[expect(missing_docs, reason = "each is named after its command")]
        pub enum AnyCommand {
            $($name($command),)*
        }

        $(
            impl Command for $command {
                type Reply = $reply;

                fn message(self) -> Message {
                    Message { owner: None, command: self.into() }
                }
            }

            impl From<$command> for AnyCommand {
                fn from(command: $command) -> Self {
                    Self::$name(command)
                }
            }
        )*
    };
}
commands!(define);
