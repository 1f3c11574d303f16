//! # Disputes
//!
//! The game between a solver's claim and whoever doubts it (docs/disputes.md). The defender lays open what its claim is
//! made of, one level after the other; the challenger points at the first part that it finds wrong; at the end the
//! chain computes one place of one node of the committed graph, or one element of a batch, and knows who has lied.
//!
//! - the move: `play` (turns, clocks), `narrowing` (trees), `stages` (what each call checks)
//! - the end: `verdict` (bonds, slashes, what becomes of the unit)
//!
//! Every turn has its end on a bounded agenda, so that each game ends within two clock periods, and every case then.

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

pub mod narrowing;
pub mod play;
mod stages;
pub mod types;
mod verdict;
pub mod weights;

#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;

pub use pallet::*;
pub use stages::{element_size, state_leaf, MAX_ARRAY};
pub use types::*;
pub use weights::WeightInfo;

#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use aipow_exact::{Ending, Place};
    use frame_support::{pallet_prelude::*, traits::fungible::MutateHold};
    use frame_system::pallet_prelude::*;
    use pallet_stakes::{Balance, BlockNumber};
    use pallet_tasks::{
        agenda::{Agenda, AgendaCursor, Queue, QueueBounds},
        TaskId, UnitIndex, MAX_CHAIN,
    };
    use sp_core::H256;
    use sp_runtime::{Permill, SaturatedConversion};

    /// Name of an op of the graph.
    pub type BoundedOpName = BoundedVec<u8, ConstU32<16>>;

    /// What the chain computed.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
    pub enum Answer {
        /// A value, by its claim hash.
        Value(H256),
        /// That the unit ends there.
        Ends(Ending),
    }

    #[pallet::pallet]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config<RuntimeEvent: From<Event<Self>>> + pallet_verification::Config {
        /// The money of bonds, with holds.
        type Currency: MutateHold<Self::AccountId, Balance = Balance, Reason = <Self as Config>::RuntimeHoldReason>;
        /// The runtime's reasons for holds.
        type RuntimeHoldReason: From<HoldReason>;
        /// Most clocks and cases looked at in one block; the rest follows in the next.
        #[pallet::constant]
        type MaxClocksPerBlock: Get<u32>;
        /// Most moot games ended in one block; the rest follows in the next.
        #[pallet::constant]
        type MaxMootPerBlock: Get<u32>;
        /// Weights of the calls.
        type WeightInfo: WeightInfo;
    }

    /// Why this pallet holds money.
    #[pallet::composite_enum]
    pub enum HoldReason {
        /// What a challenger has at stake in its open games.
        Challenge,
    }

    /// Parameters, set at genesis.
    #[pallet::storage]
    pub type Params<T: Config> = StorageValue<_, DisputesParams, ValueQuery>;

    /// Number of the next game.
    #[pallet::storage]
    pub type NextGame<T: Config> = StorageValue<_, GameId, ValueQuery>;

    /// Open games.
    #[pallet::storage]
    pub type Games<T: Config> = StorageMap<_, Twox64Concat, GameId, Game<T::AccountId>>;

    /// The node in question of an open game, once it is opened.
    #[pallet::storage]
    pub type Nodes<T: Config> = StorageMap<_, Twox64Concat, GameId, OpenedNode>;

    /// The claims from which the place in question follows, once they are posted.
    #[pallet::storage]
    pub type Claims<T: Config> = StorageMap<_, Twox64Concat, GameId, Claimed, ValueQuery>;

    /// The tile in question, once it is posted and until one of its elements is picked.
    #[pallet::storage]
    pub type Tiles<T: Config> = StorageMap<_, Twox64Concat, GameId, TileBytes>;

    /// Block for which the timer of an open game's clocks is set: not after the first block in which the turn is over.
    #[pallet::storage]
    pub type Alarms<T: Config> = StorageMap<_, Twox64Concat, GameId, BlockNumber>;

    /// The open games of a unit, oldest first.
    #[pallet::storage]
    pub type OpenGames<T: Config> =
        StorageDoubleMap<_, Twox64Concat, TaskId, Twox64Concat, UnitIndex, GameList, ValueQuery>;

    /// How games ended.
    #[pallet::storage]
    pub type Ended<T: Config> = StorageMap<_, Twox64Concat, GameId, EndedGame<T::AccountId>>;

    /// Disputed units.
    #[pallet::storage]
    pub type Cases<T: Config> = StorageDoubleMap<_, Twox64Concat, TaskId, Twox64Concat, UnitIndex, Case<T::AccountId>>;

    /// Lists of games whose units were listed again, to be ended without a loser.
    #[pallet::storage]
    pub type RetiredItems<T: Config> = StorageMap<_, Twox64Concat, u64, GameList>;

    /// First and one-past-last position of these lists.
    #[pallet::storage]
    pub type RetiredBounds<T: Config> = StorageValue<_, QueueBounds, ValueQuery>;

    /// Deadlines by block and position.
    #[pallet::storage]
    pub type TimerItems<T: Config> = StorageDoubleMap<_, Twox64Concat, BlockNumber, Twox64Concat, u32, Timer>;

    /// Number of deadlines of a block.
    #[pallet::storage]
    pub type TimerCounts<T: Config> = StorageMap<_, Twox64Concat, BlockNumber, u32, ValueQuery>;

    /// Block and position of the next deadline.
    #[pallet::storage]
    pub type TimerCursor<T: Config> = StorageValue<_, AgendaCursor, ValueQuery>;

    pub(crate) type Timers<T> = Agenda<Timer, TimerItems<T>, TimerCounts<T>, TimerCursor<T>>;
    pub(crate) type Retired<T> = Queue<GameList, RetiredItems<T>, RetiredBounds<T>>;

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// Verifiers differ from a unit's solver: until this block they may open games about it.
        CaseOpened {
            /// The task.
            task: TaskId,
            /// The unit.
            unit: UnitIndex,
            /// Last block in which a game may be opened.
            until: BlockNumber,
        },
        /// Nobody has shown that a disputed unit is wrong; it goes on.
        Acquitted {
            /// The task.
            task: TaskId,
            /// The unit.
            unit: UnitIndex,
        },
        /// A game was opened: it is the defender's turn to commit to the segment's history.
        Opened {
            /// The game.
            game: GameId,
            /// The task.
            task: TaskId,
            /// The unit.
            unit: UnitIndex,
            /// The disputed segment.
            segment: u16,
            /// The unit's solver.
            defender: T::AccountId,
            /// Who doubts it.
            challenger: T::AccountId,
        },
        /// The defender committed to the segment's history.
        HistoryCommitted {
            /// The game.
            game: GameId,
            /// Root over the steps.
            root: H256,
        },
        /// The challenger said what is wrong, or where to go on.
        Chosen {
            /// The game.
            game: GameId,
            /// What it chose.
            choice: Choice,
        },
        /// The defender laid open a node of a tree.
        Narrowed {
            /// The game.
            game: GameId,
            /// The tree.
            level: Level,
            /// Height of the node above the leaves.
            height: u8,
            /// Its place among the nodes of that height.
            index: u32,
            /// The nodes 4 levels below it, or the leaves.
            children: Children,
        },
        /// The challenger picked the first of them that it finds wrong.
        Picked {
            /// The game.
            game: GameId,
            /// The tree.
            level: Level,
            /// Which one.
            child: u8,
            /// The defender's hash.
            claimed: H256,
            /// What the challenger has instead; it decides nothing.
            counter: H256,
        },
        /// The defender committed to all values of a step.
        TraceCommitted {
            /// The game.
            game: GameId,
            /// Number of the step in the segment.
            step: u32,
            /// What it leads to.
            after: StepLeaf,
            /// Root over the tensor roots of the nodes' values.
            trace_root: H256,
        },
        /// The defender opened the node in question.
        NodeOpened {
            /// The game.
            game: GameId,
            /// Its index in the graph.
            index: u32,
            /// Its op, as graphs name it.
            op: BoundedOpName,
        },
        /// The defender posted the tile in question.
        TilePosted {
            /// The game.
            game: GameId,
            /// Its number.
            tile: u32,
        },
        /// The defender posted the claims from which the place in question follows.
        ClaimsPosted {
            /// The game.
            game: GameId,
            /// The place.
            place: Place,
            /// The claims' hashes.
            claims: Claimed,
        },
        /// The chain computed a place.
        Settled {
            /// The game.
            game: GameId,
            /// The place.
            place: Place,
            /// What came out.
            computed: Answer,
        },
        /// A game has ended.
        GameEnded {
            /// The game.
            game: GameId,
            /// How.
            verdict: Verdict,
            /// Who won; nobody if it is moot.
            winner: Option<T::AccountId>,
            /// Who lost.
            loser: Option<T::AccountId>,
        },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// There is no such open game: it never was, has ended, or is decided by another one about the same unit.
        NoGame,
        /// It is the other side's turn, or the sender is no party of the game.
        NotYourTurn,
        /// The sender's clock has run out; the game ends by itself.
        OutOfTime,
        /// Another move is due: see the game's stage.
        WrongStage,
        /// The sender has the minimum bond in no role: bond first.
        NotEligible,
        /// A solver cannot challenge its own unit.
        OwnUnit,
        /// The unit is neither in its watch window nor disputed, or no game can be opened about it any more.
        NotDisputable,
        /// The sender has an open game about this unit: finish it first.
        AlreadyOpen,
        /// As many games as allowed are open about this unit: wait for one to end.
        TooManyGames,
        /// After a mismatch only verifiers that differ from the solver may open games, until the watch window.
        NotAccuser,
        /// A verifier must challenge the first drawn segment on which it differs from the solver.
        WrongSegment,
        /// The proof does not lead to what was committed to.
        BadProof,
        /// Segment 0 and step 0 have nothing before them, all others need the record or leaf just before.
        BadPrevious,
        /// The history does not end in the state in which the claim says that the segment ends.
        WrongEnd,
        /// The losses do not give the witness that was committed to.
        BadWitness,
        /// The children are not all that exist, or do not combine to the hash that was committed to.
        BadChildren,
        /// There is no such child.
        BadPick,
        /// The challenger must have another hash than what it picks.
        SameHash,
        /// The stage offers no such choice.
        BadChoice,
        /// The node is not of the kind that is asked for.
        BadNode,
        /// The trace says the same: let the defender win, there is nothing to refute here.
        NothingToRefute,
        /// The bytes are not the tile that was committed to, or not as tiles are padded.
        BadTile,
        /// The place needs another number of claims.
        BadClaims,
        /// The opening is about another place than the game.
        WrongPlace,
        /// The array is not the one from which the rule makes the batch, or does not fit it.
        BadArray,
        /// The arbiter refuses the opening; the code is that of `aipow_exact::Error`.
        Refused(u8),
    }

    #[pallet::genesis_config]
    pub struct GenesisConfig<T: Config> {
        /// Blocks on each side's clock.
        pub clock_blocks: BlockNumber,
        /// Blocks that accusers have to open their games after a mismatch.
        pub accuse_blocks: BlockNumber,
        /// What a challenger has at stake for each of the three levels of a game, plancks.
        pub level_bond: Balance,
        /// Share of what a loser loses that goes to the winner, parts per million.
        pub reward_share: Permill,
        #[serde(skip)]
        #[doc(hidden)]
        pub _marker: PhantomData<T>,
    }

    impl<T: Config> Default for GenesisConfig<T> {
        fn default() -> Self {
            let DisputesParams { clock_blocks, accuse_blocks, level_bond, reward_share } = Default::default();
            Self { clock_blocks, accuse_blocks, level_bond, reward_share, _marker: PhantomData }
        }
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        fn build(&self) {
            assert!(self.clock_blocks > 0, "disputes.clockBlocks must be positive");
            assert!(self.accuse_blocks > 0, "disputes.accuseBlocks must be positive");
            assert!(self.level_bond > 0, "disputes.levelBond must be positive: else a challenge costs nothing");
            Params::<T>::put(DisputesParams {
                clock_blocks: self.clock_blocks,
                accuse_blocks: self.accuse_blocks,
                level_bond: self.level_bond,
                reward_share: self.reward_share,
            });
        }
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        /// Ends games whose clock has run out, cases that are over, and games that have become moot.
        fn on_initialize(now: BlockNumberFor<T>) -> Weight {
            let now: BlockNumber = now.saturated_into();
            let (mut done, mut relisted) = (0u32, 0u32);
            while done < T::MaxClocksPerBlock::get() && relisted < u32::from(MAX_CHAIN) {
                let Some(timer) = Timers::<T>::take(now) else { break };
                done = done.saturating_add(1);
                match timer {
                    Timer::Clock(game, alarm) => Self::on_clock(game, alarm),
                    Timer::Case(task, unit, attempt) => {
                        relisted = relisted.saturating_add(Self::on_case(task, unit, attempt));
                    }
                }
            }
            let moot = Self::end_moot_games(T::MaxMootPerBlock::get());
            <T as Config>::WeightInfo::on_initialize(done, relisted, moot)
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Opens a game about a segment of a unit and holds the sender's bonds of all three levels. `opening`: its record;
        /// `previous`: the record before it, none for segment 0.
        #[pallet::call_index(0)]
        #[pallet::weight(<T as Config>::WeightInfo::open())]
        pub fn open(
            origin: OriginFor<T>,
            task: TaskId,
            unit: UnitIndex,
            opening: OpenedRecord,
            previous: Option<OpenedRecord>,
        ) -> DispatchResult {
            Self::open_claim(ensure_signed(origin)?, task, unit, opening, previous)
        }

        /// Defender: commits to the history of the segment and shows its last leaf.
        #[pallet::call_index(1)]
        #[pallet::weight(<T as Config>::WeightInfo::show(0, MAX_SIBLINGS))]
        pub fn commit_history(
            origin: OriginFor<T>,
            game: GameId,
            root: H256,
            last: StepLeaf,
            siblings: Siblings,
        ) -> DispatchResult {
            Self::play(origin, game, |state| Self::commit_to_history(game, state, root, last, &siblings))
        }

        /// Challenger: says what is wrong, or where to go on.
        #[pallet::call_index(2)]
        #[pallet::weight(<T as Config>::WeightInfo::choose())]
        pub fn choose(origin: OriginFor<T>, game: GameId, choice: Choice) -> DispatchResult {
            Self::play(origin, game, |state| Self::follow_choice(game, state, choice))
        }

        /// Defender: shows all leaves of the history, which give the segment's witness. Wins.
        #[pallet::call_index(3)]
        #[pallet::weight(<T as Config>::WeightInfo::show(40 * leaves.len() as u32, 2 * leaves.len() as u32))]
        pub fn prove_witness(origin: OriginFor<T>, game: GameId, leaves: StepLeaves) -> DispatchResult {
            Self::play(origin, game, |state| Self::show_witness(state, &leaves))
        }

        /// Defender: lays open the nodes 4 levels below the one in question, or the leaves.
        #[pallet::call_index(4)]
        #[pallet::weight(<T as Config>::WeightInfo::show(0, MAX_CHILDREN))]
        pub fn narrow(origin: OriginFor<T>, game: GameId, children: Children) -> DispatchResult {
            Self::play(origin, game, |state| Self::lay_open(game, state, children))
        }

        /// Challenger: picks the first child that it finds wrong; `counter` is what it has there.
        #[pallet::call_index(5)]
        #[pallet::weight(<T as Config>::WeightInfo::choose())]
        pub fn pick(origin: OriginFor<T>, game: GameId, child: u8, counter: H256) -> DispatchResult {
            Self::play(origin, game, |state| Self::pick_child(game, state, child, counter))
        }

        /// Defender: commits to all values of the step that was picked. `after` is its leaf of the history, `before` the
        /// leaf of the step before it, none for step 0.
        #[pallet::call_index(6)]
        #[pallet::weight(<T as Config>::WeightInfo::show(0, MAX_SIBLINGS))]
        pub fn commit_trace(
            origin: OriginFor<T>,
            game: GameId,
            after: StepLeaf,
            before: Option<(StepLeaf, Siblings)>,
            trace_root: H256,
        ) -> DispatchResult {
            Self::play(origin, game, |state| Self::commit_to_trace(game, state, after, before, trace_root))
        }

        /// Defender: shows that loss or gradient norm is the value of the graph's output. Wins.
        #[pallet::call_index(7)]
        #[pallet::weight(<T as Config>::WeightInfo::show(MAX_NODE_BYTES, 2 * MAX_SIBLINGS))]
        pub fn prove_output(origin: OriginFor<T>, game: GameId, link: OutputLink) -> DispatchResult {
            Self::play(origin, game, |state| Self::show_output(state, &link))
        }

        /// Challenger: shows that the trace has a gradient norm, `value` (its tensor root), that is not +0. Wins.
        #[pallet::call_index(8)]
        #[pallet::weight(<T as Config>::WeightInfo::show(MAX_NODE_BYTES, 2 * MAX_SIBLINGS))]
        pub fn refute_output(origin: OriginFor<T>, game: GameId, link: OutputLink, value: H256) -> DispatchResult {
            Self::play(origin, game, |state| Self::refute_zero(state, &link, value))
        }

        /// Defender: shows that a tensor of the new state is an output of the trace, and wins; or says without a link that
        /// it did not change.
        #[pallet::call_index(9)]
        #[pallet::weight(<T as Config>::WeightInfo::show(MAX_NODE_BYTES, 3 * MAX_SIBLINGS))]
        pub fn prove_state(
            origin: OriginFor<T>,
            game: GameId,
            opening: StateOpening,
            link: Option<OutputLink>,
        ) -> DispatchResult {
            Self::play(origin, game, |state| Self::show_state(state, opening, link.as_ref()))
        }

        /// Challenger: shows that the trace has another value, `value` (its tensor root), for a tensor of which the
        /// defender says that it did not change. Wins.
        #[pallet::call_index(10)]
        #[pallet::weight(<T as Config>::WeightInfo::show(MAX_NODE_BYTES, 2 * MAX_SIBLINGS))]
        pub fn refute_state(origin: OriginFor<T>, game: GameId, link: OutputLink, value: H256) -> DispatchResult {
            Self::play(origin, game, |state| Self::refute_unchanged(state, &link, value))
        }

        /// Defender: opens the node that was picked. An input of kind seed or step ends the game at once.
        #[pallet::call_index(11)]
        #[pallet::weight(<T as Config>::WeightInfo::show(
            MAX_NODE_BYTES + MAX_FORMS_BYTES,
            MAX_SIBLINGS + opening.input_inner_roots.len() as u32,
        ))]
        pub fn open_node(origin: OriginFor<T>, game: GameId, opening: NodeOpening) -> DispatchResult {
            Self::play(origin, game, |state| Self::show_node(game, state, opening))
        }

        /// Defender: shows that the input of kind state is a tensor of the state before the step. Wins.
        #[pallet::call_index(12)]
        #[pallet::weight(<T as Config>::WeightInfo::show(0, MAX_SIBLINGS))]
        pub fn prove_state_input(origin: OriginFor<T>, game: GameId, index: u32, siblings: Siblings) -> DispatchResult {
            Self::play(origin, game, |state| Self::show_state_input(game, state, index, &siblings))
        }

        /// Defender: shows that what the node reads is the trace's value of the node that it names. Wins.
        #[pallet::call_index(13)]
        #[pallet::weight(<T as Config>::WeightInfo::show(0, MAX_SIBLINGS))]
        pub fn prove_link(origin: OriginFor<T>, game: GameId, siblings: Siblings) -> DispatchResult {
            Self::play(origin, game, |state| Self::show_link(game, state, &siblings))
        }

        /// Defender: posts the tile in question, which is made of elements.
        #[pallet::call_index(14)]
        #[pallet::weight(<T as Config>::WeightInfo::show(MAX_TILE_BYTES, 0))]
        pub fn post_tile(origin: OriginFor<T>, game: GameId, data: TileBytes) -> DispatchResult {
            Self::play(origin, game, |state| Self::show_tile(game, state, data))
        }

        /// Defender: posts the hashes of the places from which the one in question follows.
        #[pallet::call_index(15)]
        #[pallet::weight(<T as Config>::WeightInfo::choose())]
        pub fn post_claims(origin: OriginFor<T>, game: GameId, claims: Claimed) -> DispatchResult {
            Self::play(origin, game, |state| Self::show_claims(game, state, claims))
        }

        /// Either side: has the place in question computed; or the challenger: has an input tile checked that ends the
        /// unit at this node. Decides the game.
        #[pallet::call_index(16)]
        #[pallet::weight(<T as Config>::WeightInfo::settle(opening.len() as u32))]
        pub fn settle(origin: OriginFor<T>, game: GameId, opening: OpeningBytes) -> DispatchResult {
            Self::play_either(origin, game, |state| Self::compute_place(game, state, &opening))
        }

        /// Either side: has the element in question made from the data set. Decides the game.
        #[pallet::call_index(17)]
        #[pallet::weight(<T as Config>::WeightInfo::show(MAX_TILE_BYTES, 2 * MAX_SIBLINGS))]
        pub fn settle_data(
            origin: OriginFor<T>,
            game: GameId,
            array: ArrayOpening,
            tile: TileOpening,
        ) -> DispatchResult {
            Self::play_either(origin, game, |state| Self::compute_data(game, state, &array, &tile))
        }
    }
}
