"""What the demo promises, checked on collected facts; pure functions, each returning a `Finding` with its figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass

from scipy.stats import chisquare

MIN_P_VALUE = 0.01
MIN_EPOCHS = 4
MAX_VERIFICATION_SHARE = 0.03  # of the work executed
MAX_TRANSACTIONS = 40  # of a dispute
MAX_TRANSACTION_BYTES = 2**16 + 2**10  # an opening of 64 KiB, and what a call and a signature add


@dataclass(frozen=True)
class BlockFact:
    """One finalised block as a watcher saw it on the operator's node.

    `scheduled` is the Aura key that the parent's state names for `slot`; `sealer` the key whose signature the seal
    really is (equal to `scheduled` when the signature verifies under it, else empty).
    """

    number: int
    hash: str
    state_root: str
    slot: int
    epoch: int
    scheduled: str
    sealer: str


@dataclass(frozen=True)
class EpochWork:
    """Weight of each account in MACs (credits of the last epochs, decayed) that ruled the authors of `epoch`."""

    epoch: int
    weights: Mapping[str, float]


@dataclass(frozen=True)
class GameOutcome:
    """How a dispute ended, from its events. `winner` and `loser` are SS58, empty when it is moot."""

    number: int
    verdict: str
    winner: str
    loser: str
    transactions: int
    largest: int
    """Bytes of the largest transaction."""
    blocks: int
    """From the opening to the end."""


@dataclass(frozen=True)
class Finding:
    """One line of the summary: whether the promise held, in words and in figures."""

    name: str
    held: bool
    text: str
    figures: dict[str, object]


def check_authors(blocks: Sequence[BlockFact], seen_by: Mapping[str, Mapping[int, tuple[str, str]]]) -> Finding:
    """Every block sealed by its slot's key; all nodes agree on hash and state root of each finalised block.

    `seen_by[node][number]` is (hash, state root) as that node reports it; a node imports nothing that did not pass
    `Core_execute_block`. A node that lacks more than the last two blocks of the list fails the check.
    """
    wrong = [block.number for block in blocks if not block.scheduled or block.sealer != block.scheduled]
    forks = [
        (node, block.number)
        for node, view in seen_by.items()
        for block in blocks
        if block.number in view and view[block.number] != (block.hash, block.state_root)
    ]
    missing = {node: sum(block.number not in view for block in blocks) for node, view in seen_by.items()}
    held = bool(blocks) and not wrong and not forks and all(count <= 2 for count in missing.values())
    text = (
        f"{len(blocks)} finalised blocks: {len(blocks) - len(wrong)} sealed by their slot's key, "
        f"{len(seen_by)} nodes re-executed them, {len(forks)} differences in hash or state root"
    )
    figures: dict[str, object] = {
        "blocks": len(blocks), "wrong_author": wrong, "forks": forks, "missing": missing, "nodes": len(seen_by),
    }  # fmt: skip
    return Finding("blocks", held, text, figures)


def check_shares(blocks: Sequence[BlockFact], works: Sequence[EpochWork], miners: Mapping[str, str]) -> Finding:
    """Blocks of each honest miner (`miners`: name → Aura key) against its verified work, by Pearson's χ² over the
    epochs whose schedule rests on work of at least one of them; needs p ≥ `MIN_P_VALUE`."""
    by_epoch = Counter((block.epoch, block.sealer) for block in blocks)
    observed = dict.fromkeys(miners, 0)
    expected = dict.fromkeys(miners, 0.0)
    epochs = []
    for work in works:
        weights = {name: work.weights.get(key, 0.0) for name, key in miners.items()}
        total = sum(weights.values())
        counts = {name: by_epoch[work.epoch, key] for name, key in miners.items()}
        if total == 0 or sum(counts.values()) == 0:
            continue
        epochs.append(work.epoch)
        for name in miners:
            observed[name] += counts[name]
            expected[name] += sum(counts.values()) * weights[name] / total
    enough = len(miners) > 1 and all(value > 0 for value in expected.values())
    p_value = float(chisquare(list(observed.values()), list(expected.values())).pvalue) if enough else 0.0
    blocks_total = sum(observed.values())
    shares = ", ".join(
        f"{name} {observed[name]} of {blocks_total} blocks (work says {expected[name]:.1f})" for name in miners
    )
    text = f"{shares}; χ² p = {p_value:.3f} over epochs {epochs}"
    figures: dict[str, object] = {"observed": observed, "expected": expected, "p": p_value, "epochs": epochs}
    return Finding("shares", enough and p_value >= MIN_P_VALUE, text, figures)


def check_cheater(caught: int, slashed: int, bond_left: int, slots_after: int, epochs_after: int) -> Finding:
    """The cheater was caught by re-execution (`caught` mismatches), slashed (`slashed` plancks, `bond_left` still
    bonded) and has no slot in the `epochs_after` ≥ 1 schedules written since."""
    held = caught > 0 and slashed > 0 and slots_after == 0 and epochs_after > 0
    text = (
        f"cheater caught {caught} time(s) by sampled re-execution, {slashed / 10**12:,.0f} UNIT slashed, "
        f"{bond_left / 10**12:,.0f} UNIT still bonded, {slots_after} slots in the {epochs_after} schedules since"
    )
    figures: dict[str, object] = {
        "mismatches": caught, "slashed": slashed, "bond": bond_left, "slots_after": slots_after,
        "schedules_after": epochs_after,
    }  # fmt: skip
    return Finding("cheater", held, text, figures)


def check_game(game: GameOutcome | None, liar: str, is_by_chain: bool) -> Finding:
    """A dispute ended against the liar, within the bounds of the issue: at most `MAX_TRANSACTIONS` of at most
    `MAX_TRANSACTION_BYTES`; `is_by_chain`: the chain must have computed the verdict itself, no clock."""
    if game is None:
        return Finding("game", False, "no dispute about the lie has ended", {})
    held = game.loser == liar and game.transactions <= MAX_TRANSACTIONS and game.largest <= MAX_TRANSACTION_BYTES
    held = held and (game.verdict != "Clock" or not is_by_chain)
    text = (
        f"game {game.number} ({game.verdict}): {game.winner[:8]}… won against {game.loser[:8]}… in "
        f"{game.transactions} transactions, the largest of {game.largest:,} bytes, within {game.blocks} blocks"
    )
    return Finding("game", held, text, asdict(game))


def check_silence(unanswered: Sequence[tuple[int, int, str]], answered: int, liar: str, bond_left: int) -> Finding:
    """An ask on chain that the liar did not answer in time took its whole bond (`bond_left` plancks are left); no other
    solver left one unanswered. `unanswered`: task, unit and solver of each; `answered`: how many were answered."""
    others = [entry for entry in unanswered if entry[2] != liar]
    held = len(unanswered) > len(others) == 0 and bond_left == 0
    asks = ", ".join(f"about unit {task}/{unit}" for task, unit, _ in unanswered) or "none"
    text = f"asks on chain without an answer: {asks}; {answered} answered; {len(others)} honest solvers silent"
    figures: dict[str, object] = {
        "unanswered": [list(entry) for entry in unanswered], "answered": answered, "others": others, "bond": bond_left,
    }  # fmt: skip
    return Finding("silence", held, text, figures)


def check_slashes(
    slashed: Mapping[str, int], reasons: Collection[str], liar: str, wanted: str, bond_left: int
) -> Finding:
    """The liar was slashed for `wanted` (its `reasons`), down to `bond_left` plancks, and nobody else was slashed."""
    others = {account: amount for account, amount in slashed.items() if amount and account != liar}
    amount = slashed.get(liar, 0)
    held = amount > 0 and wanted in reasons and not others
    text = (
        f"liar slashed {amount / 10**12:,.0f} UNIT ({', '.join(sorted(reasons)) or 'for nothing'}), "
        f"{bond_left / 10**12:,.0f} UNIT still bonded; {len(others)} honest accounts slashed"
    )
    figures: dict[str, object] = {"slashed": amount, "reasons": sorted(reasons), "bond": bond_left, "others": others}
    return Finding("slashes", held, text, figures)


def check_unit(is_refused: bool, is_final: bool, is_liars: bool) -> Finding:
    """The disputed unit: a liar's is refused (and made anew by others), an honest solver's goes on to Final."""
    held = is_refused if is_liars else is_final and not is_refused
    owner = "the liar's unit" if is_liars else "the honest solver's unit"
    fate = "was refused" if is_refused else "is final" if is_final else "is not decided"
    return Finding("unit", held, f"{owner} {fate}", {"refused": is_refused, "final": is_final})


def check_verification(executed: Mapping[str, float], checked: Mapping[str, float]) -> Finding:
    """What verifiers execute again is at most `MAX_VERIFICATION_SHARE` of the work.

    MACs by the daemons' own counters: `executed` of each honest miner, `checked` of each validator, segments of the
    cheater among them.
    """
    work, again = sum(executed.values()), sum(checked.values())
    share = again / work if work else float("inf")
    text = (
        f"validators executed {again / 1e9:,.2f} GMAC again, {share:.2%} of the {work / 1e9:,.1f} GMAC "
        f"of honest miners (at most {MAX_VERIFICATION_SHARE:.0%})"
    )
    figures: dict[str, object] = {"executed": dict(executed), "checked": dict(checked), "share": share}
    return Finding("verification", again > 0 and share <= MAX_VERIFICATION_SHARE, text, figures)


def check_model(first_loss: float, last_loss: float, state_root: str, source: str) -> Finding:
    """Held-out loss in the plain PyTorch model, before training and with the final checkpoint fetched by its root."""
    held = last_loss < first_loss
    text = f"held-out loss {first_loss:.4f} → {last_loss:.4f} with checkpoint {state_root[:18]}… fetched from {source}"
    figures: dict[str, object] = {
        "first_loss": first_loss, "last_loss": last_loss, "state_root": state_root, "source": source,
    }  # fmt: skip
    return Finding("model", held, text, figures)


def check_epochs(epochs: int) -> Finding:
    """The run saw at least `MIN_EPOCHS` whole epochs."""
    return Finding("epochs", epochs >= MIN_EPOCHS, f"{epochs} epochs (at least {MIN_EPOCHS})", {"epochs": epochs})


def check_unseen(unit: tuple[int, int], drawn: Sequence[tuple[int, int]]) -> Finding:
    """The refused unit (task, number) is none of those that verifiers were `drawn` for: whoever found it out looked
    unasked."""
    held = unit not in drawn and unit[0] >= 0
    found = "found out by a watcher alone" if held else "not found out by a watcher alone"
    text = f"unit {unit[0]}/{unit[1]} was {found}; verifiers were drawn for {len(drawn)} units"
    return Finding("unseen", held, text, {"unit": list(unit), "drawn": [list(entry) for entry in drawn]})
