//! The link explored exhaustively for small cases: every order of what two tabs, a duplicated request, R2, the alarm,
//! the app and time can do, with workers that die before or after any step, requests that arrive twice and late, and
//! stores that fail or are late. stateright visits every state that the rules which run ([`decide`]) come to.
//!
//! What bounds a [`Case`] is in it: how many faults strike, and how often half a minute passes. Within that nothing is
//! left out: the exploration ends when no state is new.

mod world;

use std::collections::BTreeSet;

use stateright::{Checker as _, Expectation, HasDiscoveries, Model, Property};

use self::world::{At, Deed, Fault, Tab, Webhook, World};
use super::*;
use crate::planted::Fault as Planted;

/// A small case: who does what, and how much goes wrong.
#[derive(Clone, Copy, Debug)]
struct Case {
    name: &'static str,
    /// The file that each tab sends.
    tabs: &'static [u8],
    /// Whether the first tab sends it in one request, not in parts.
    in_one: bool,
    max_files: u32,
    /// What somebody does once, at any moment.
    deed: Option<Deed>,
    /// Most faults that strike, and how often [`STUCK_AFTER`] passes.
    faults: u8,
    passes: u8,
    /// States that this case must come to, or it explores less than it says.
    reached: &'static [Reached],
    /// The fault that is planted in the rules.
    planted: Option<Planted>,
}

/// A state that must be reached, in words.
type Reached = (&'static str, fn(&Case, &World) -> bool);

const STORED_BY_THE_ALARM: Reached = (
    "the alarm stores a file of which nobody was told",
    |_, world| world.told == 0 && world.stored() != 0,
);
const TAKEN_OVER: Reached = ("a second attempt takes over", |_, world| world.sealings > 1);
const TOLD_TWICE: Reached = ("the backend is sent an event twice", |_, world| {
    world.resent
});
const BOTH_TOLD: Reached = ("both tabs are told of one file", |_, world| {
    let told = |tab: &Tab| tab.at == At::Stored;
    world.tabs[..2].iter().all(told) && world.stored().count_ones() == 1
});
const ONE_REFUSED: Reached = ("one tab has the place, the other is refused", |_, world| {
    let at = |at| world.tabs.iter().any(|tab| tab.at == at);
    at(At::Stored) && at(At::Refused)
});
const ENDED_UNDER_WAY: Reached = (
    "R2 makes an object of an upload that has ended",
    |_, world| world.ended() & world.objects != 0,
);
const BESIDE_ITS_TWIN: Reached = (
    "R2 makes an object of a file that another tab has stored",
    |_, world| world.twins() & world.objects != 0,
);
const FORGOTTEN: Reached = ("the link is forgotten", |_, world| world.link.is_none());

/// What most cases are like.
const CASE: Case = Case {
    name: "",
    tabs: &[1],
    in_one: false,
    max_files: 2,
    deed: None,
    faults: 1,
    passes: 1,
    reached: &[],
    planted: None,
};

const CASES: &[Case] = &[
    Case {
        name: "two tabs send one file",
        tabs: &[1, 1],
        reached: &[BOTH_TOLD, STORED_BY_THE_ALARM, TAKEN_OVER],
        ..CASE
    },
    Case {
        name: "one tab sends a file in one request, another in parts",
        tabs: &[1, 1],
        in_one: true,
        reached: &[BOTH_TOLD, STORED_BY_THE_ALARM, BESIDE_ITS_TWIN],
        ..CASE
    },
    Case {
        name: "two tabs send a file each to a link of one",
        tabs: &[1, 2],
        max_files: 1,
        reached: &[ONE_REFUSED, STORED_BY_THE_ALARM],
        ..CASE
    },
    Case {
        name: "its sender takes a file back",
        max_files: 1,
        deed: Some(Deed::Withdraw),
        passes: 2,
        reached: &[ENDED_UNDER_WAY, TAKEN_OVER, TOLD_TWICE],
        ..CASE
    },
    Case {
        name: "the app revokes the link",
        deed: Some(Deed::Revoke),
        passes: 2,
        reached: &[ENDED_UNDER_WAY, STORED_BY_THE_ALARM, TOLD_TWICE],
        ..CASE
    },
    Case {
        name: "the app erases the link",
        deed: Some(Deed::Erase),
        passes: 2,
        reached: &[ENDED_UNDER_WAY, FORGOTTEN, TOLD_TWICE],
        ..CASE
    },
    Case {
        name: "the link's time is over",
        deed: Some(Deed::Expire),
        passes: 2,
        reached: &[STORED_BY_THE_ALARM, TOLD_TWICE],
        ..CASE
    },
    Case {
        name: "the app deletes what it was told of",
        deed: Some(Deed::Delete),
        reached: &[TOLD_TWICE],
        ..CASE
    },
];

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Happens {
    /// A tab goes on by one step, with this going wrong.
    Step(usize, Option<Fault>),
    /// R2 makes an object of an upload whose completion it has failed.
    MadeLate(u8),
    /// [`STUCK_AFTER`] passes.
    Passes,
    /// Somebody does what the case has.
    Deed,
    /// The alarm looks into R2 for an object.
    Looks,
    /// It settles what it has looked at, or dies before.
    Settles { dies: bool },
    /// It removes what is owed first; R2 may fail.
    Cleans { fails: bool },
    /// It sends the event that is due first.
    Sends(Webhook),
    /// It lets the link go.
    Forgets,
}

impl Model for Case {
    type State = World;
    type Action = Happens;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(self)]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Happens>) {
        let may_fail = world.faults < self.faults;
        for (n, tab) in world.tabs.iter().enumerate() {
            if tab.may_go_on() {
                actions.push(Happens::Step(n, None));
                if may_fail {
                    let faults = world
                        .faults_of(n)
                        .map(|fault| Happens::Step(n, Some(fault)));
                    actions.extend(faults);
                }
            }
        }
        actions.extend(world.late_uploads().map(Happens::MadeLate));
        if world.passes < self.passes {
            actions.push(Happens::Passes);
        }
        if self.deed.is_some_and(|deed| world.can(deed)) {
            actions.push(Happens::Deed);
        }
        if world.looked.is_some() {
            actions.push(Happens::Settles { dies: false });
            if may_fail {
                actions.push(Happens::Settles { dies: true });
            }
        }
        for work in world.due() {
            match work {
                Work::Settle(_) if world.looked.is_none() => actions.push(Happens::Looks),
                Work::Clean { .. } => {
                    actions.push(Happens::Cleans { fails: false });
                    if may_fail {
                        actions.push(Happens::Cleans { fails: true });
                    }
                }
                // Where two tabs send, what is told is looked at in the end alone.
                Work::Send(_) if self.tabs.len() == 1 => {
                    actions.push(Happens::Sends(Webhook::Taken));
                    if may_fail {
                        actions.push(Happens::Sends(Webhook::TakenAndDies));
                        actions.push(Happens::Sends(Webhook::Refused));
                    }
                }
                Work::Forget { .. } => actions.push(Happens::Forgets),
                _ => {}
            }
        }
        actions.dedup();
    }

    fn next_state(&self, world: &World, action: Happens) -> Option<World> {
        let mut world = world.clone();
        match action {
            Happens::Step(tab, fault) => world.step(tab, fault),
            Happens::MadeLate(upload) => world.make_late(upload),
            Happens::Passes => {
                world.passes += 1;
                world.now = world.now.plus(STUCK_AFTER);
            }
            Happens::Deed => world.does(self.deed?),
            Happens::Looks => world.looks(),
            Happens::Settles { dies } => world.settles(dies),
            Happens::Cleans { fails } => world.cleans(fails),
            Happens::Sends(webhook) => world.sends(webhook),
            Happens::Forgets => drop(world.run(command::Forget)),
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always("an acknowledged file is there", |_, world: &World| {
                world.told & !(world.stored() & world.objects) & !world.taken_back == 0
            }),
            Property::always("what was taken back is not there", |_, world: &World| {
                world.stored() & world.taken_back == 0
            }),
            Property::always(
                "a file that two tabs send is there once",
                |_, world: &World| {
                    world.files_by_name(|state| matches!(state, UploadState::Stored(file) if file.deleted_at.is_none()))
                    .is_some()
                },
            ),
            // A file in one request and the same one in parts: the first that is whole is the file.
            Property::always(
                "no two attempts make one file in one way",
                |_, world: &World| {
                    [true, false].iter().all(|parts| {
                        let is_one = |state: &UploadState| {
                            matches!(state, UploadState::Completing { multipart, .. }
                            if multipart.is_some() == *parts)
                        };
                        world.files_by_name(is_one).is_some()
                    })
                },
            ),
            Property::always(
                "a link has no more files than it may",
                |_, world: &World| {
                    let link = world.link.as_deref();
                    link.is_none_or(|link| link.places_taken() <= link.link.policy.max_files)
                },
            ),
            Property::always(
                "each file has one event, and nothing else has",
                |_, world: &World| {
                    world.is_erased() || world.events_of_files() == world.files_ever().count_ones()
                },
            ),
            Property::always("each file is told of by one id", |_, world: &World| {
                let told = world.backend.values().filter(|upload| **upload != 0);
                told.clone().collect::<BTreeSet<_>>().len() == told.count()
            }),
            Property::always("nothing is told after an erasure", |_, world: &World| {
                world.told_when_erased.is_none_or(|told| told == world.sent)
            }),
            Property::always("whatever is due has an alarm", |_, world: &World| {
                let wakes = |link: &LinkState| next_alarm(link).is_some_and(|at| at <= world.now);
                world.due().is_empty() || world.link.as_deref().is_some_and(wakes)
            }),
            Property::always(
                "when all have died, alarms tell of each file and leave nothing else over",
                |_, world: &World| world.clone().rests(),
            ),
        ];
        let reached = self.reached.iter();
        properties.extend(reached.map(|(what, reached)| Property::sometimes(what, *reached)));
        properties
    }
}

#[test]
fn in_every_order_of_a_small_case_the_promises_are_kept() {
    let mut states = 0;
    for case in CASES {
        let checker = case.checker().threads(2).spawn_bfs().join();
        println!(
            "{}: {} states of {} visited, at most {} steps deep, with up to {} faults and {} × {} s",
            case.name,
            checker.unique_state_count(),
            checker.state_count(),
            checker.max_depth(),
            case.faults,
            case.passes,
            STUCK_AFTER.as_secs(),
        );
        for (name, path) in checker.discoveries() {
            let property = checker.model().property(name);
            let broken = property.expectation == Expectation::Always;
            assert!(!broken, "{}: {name}\n{:#?}", case.name, path.into_actions());
        }
        // Those that must be reached are, and nothing was left to visit.
        checker.assert_properties();
        assert!(
            checker.is_done(),
            "{} was not explored to its end",
            case.name
        );
        states += checker.unique_state_count();
    }
    let properties = CASES[0].properties();
    let always = properties
        .iter()
        .filter(|property| property.expectation == Expectation::Always);
    println!(
        "{states} states, in each of which {} promises are kept:",
        always.clone().count()
    );
    always.for_each(|property| println!("  {}", property.name));
}

/// The case in which a fault that is planted in the rules breaks a promise, and the promise.
pub(crate) fn broken_by(planted: Planted) -> Option<(&'static str, &'static str)> {
    CASES.iter().find_map(|case| {
        let planted = Some(planted);
        let case = Case { planted, ..*case };
        let checker = case.checker().finish_when(HasDiscoveries::AnyFailures);
        let checker = checker.spawn_bfs().join();
        let broken = checker.discoveries().into_keys().find(|name| {
            let property = checker.model().property(name);
            property.expectation == Expectation::Always
        })?;
        Some((case.name, broken))
    })
}
