//! Faults that a test plants in the rules, to see that the model of the link catches each of them. A build that
//! is not a test has neither a switch nor a fault: [`planted!`] is `false` there.

/// Whether this fault is planted.
#[cfg(test)]
macro_rules! planted {
    ($fault:ident) => {
        $crate::planted::is_planted($crate::planted::Fault::$fault)
    };
}

#[cfg(not(test))]
macro_rules! planted {
    ($fault:ident) => {
        false
    };
}

#[cfg(test)]
pub(crate) use switch::{FAULTS, Fault, is_planted, plant};

#[cfg(test)]
mod switch {
    use std::cell::Cell;

    macro_rules! faults {
        ($($(#[doc = $what:literal])+ $fault:ident,)*) => {
            /// A fault that can be planted.
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub(crate) enum Fault {
                $($(#[doc = $what])+ $fault,)*
            }

            /// Every fault, with what it breaks.
            pub(crate) const FAULTS: &[(Fault, &str)] =
                &[$((Fault::$fault, concat!($($what),+)),)*];
        };
    }

    faults! {
        /// Seal an upload whatever its sender says that its parts are
        PartsDigestUnchecked,
        /// Seal an upload of the page without all of its parts
        SealedWithoutParts,
        /// Seal a serial upload without all of its parts
        SerialSealedWithoutParts,
        /// Commit for an attempt that another one took over from
        CommitOfAnyAttempt,
        /// Reopen for an attempt that another one took over from
        ReopenOfAnyAttempt,
        /// Withdraw for an attempt that another one took over from
        WithdrawOfAnyAttempt,
        /// Store a file whose object comes late beside the same one of another tab
        LateBesideTwin,
        /// Store a file beside the same one that was stored while R2 made its object
        StoredBesideTwin,
        /// Keep bytes whose checksum was wrong
        WrongChecksumKept,
        /// Keep bytes whose checksum nobody lived to check
        UncheckedKept,
        /// Record a part of a form's file that R2 did not take
        FormPartNotPut,
        /// Record a part whatever its sender says that its digest is
        PartDigestUnchecked,
        /// Let a request add to a serial upload that another one took over
        WriterUnchecked,
        /// Put no event of a stored file into the outbox
        EventLost,
        /// Give an event up when one try failed
        TryNotRepeated,
        /// Take a cleanup that failed for done
        CleanupUnconfirmed,
        /// End an upload and leave its parts with R2
        CleanupLost,
        /// End an upload and leave what is staged of it
        StagedLeft,
        /// Leave R2's part of an announcement that found the same file under way
        TwinLeft,
        /// Forget the digests of a file's parts when it is stored
        PartDigestsForgotten,
        /// Take files beyond those that the link may have
        PlacesUncounted,
        /// Go on when the link's time is over
        ExpiryUnchecked,
    }

    thread_local! {
        static PLANTED: Cell<Option<Fault>> = const { Cell::new(None) };
    }

    /// Plants a fault in what this thread runs, in place of any other.
    pub(crate) fn plant(fault: Option<Fault>) {
        PLANTED.set(fault);
    }

    pub(crate) fn is_planted(fault: Fault) -> bool {
        PLANTED.get() == Some(fault)
    }
}
