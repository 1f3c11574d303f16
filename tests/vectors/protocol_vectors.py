"""Makes `protocol.json`: `python -m tests.vectors.protocol_vectors` from the repository's root (format: README.md)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from consensus.commit.hashing import AccountId, Hash32, blake2_256
from consensus.commit.merkle import compute_proof, compute_root
from consensus.commit.records import (
    StepOutcome,
    compute_claims,
    compute_opening,
    compute_salted_witness,
    compute_step_record,
    compute_transcript_root,
    compute_unit_start_record,
    compute_witness,
    make_record,
)
from consensus.protocol.attestation import (
    Attestation,
    Outcome,
    SegmentClaim,
    compute_attestation_commitment,
    compute_beacon_commitment,
    compute_next_seed,
)
from consensus.protocol.block_rights import (
    BlockRightsRules,
    compute_allocation,
    compute_schedule,
    compute_weights,
)
from consensus.protocol.economics import (
    Incentive,
    compute_all_verifiers_share,
    compute_price_of_macs,
    is_honesty_profitable,
)
from consensus.protocol.jackpot import (
    MAX_FINDERS,
    Decoy,
    Prizes,
    compute_budget,
    compute_decoy_commitment,
    compute_finding_commitment,
)
from consensus.protocol.units import (
    DrawRules,
    UnitRef,
    compute_draw,
    compute_draw_number,
    compute_unit_seed,
)

PATH = Path(__file__).with_name("protocol.json")
Vector = dict[str, Any]


def h(label: str) -> Hash32:
    """A reproducible 32-byte value."""
    return blake2_256(b"aipow vectors/" + label.encode())


def account(index: int) -> AccountId:
    """A reproducible account id."""
    return AccountId(h(f"account {index}"))


def hexed(value: bytes) -> str:
    return "0x" + value.hex()


def unit_seeds() -> list[Vector]:
    cases = [(0, 0, 0), (1, 2, 3), (2**32 - 1, 2**32 - 1, 2**16 - 1)]
    return [
        {
            "task": t, "unit": u, "attempt": a, "parent_hash": hexed(h(f"block {i}")), "solver": hexed(account(i)),
            "seed": hexed(compute_unit_seed(UnitRef(t, u, a), h(f"block {i}"), account(i))),
        }
        for i, (t, u, a) in enumerate(cases)
    ]  # fmt: skip


def draws() -> list[Vector]:
    cases = []
    for i in range(24):
        rules = DrawRules((0, 500_000, 1_000_000)[i % 3], 1 + i % 4, 1 + i % 3)
        stakes = {account(k): 0 if k == 5 else 10**12 * (1 + k * k) * 7**i for k in range(1 + i % 8)}
        ref, seed, solver, n = UnitRef(i, 3 * i, i % 5), h(f"beacon {i}"), account(i % 4), 1 + (i * 5) % 33
        draw = compute_draw(seed, ref, rules, n, stakes, solver)
        cases.append({
            "beacon_seed": hexed(seed), "task": ref.task, "unit": ref.unit, "attempt": ref.attempt,
            "challenge_ppm": rules.challenge_ppm, "segments": rules.segments, "verifiers": rules.verifiers,
            "segments_per_unit": n, "solver": hexed(solver),
            "stakes": [[hexed(a), str(s)] for a, s in stakes.items()],
            "rng0": str(compute_draw_number(seed, ref, 0)), "challenged": draw.challenged,
            "drawn_segments": list(draw.segments),
            "drawn_verifiers": None if draw.verifiers is None else [hexed(a) for a in draw.verifiers],
        })  # fmt: skip
    return cases


def attestations() -> list[Vector]:
    claims = tuple(SegmentClaim(h(f"end {i}"), h(f"witness {i}")) for i in range(16))
    cases = [
        Attestation(Outcome.EXECUTED, claims[:1]), Attestation(Outcome.EXECUTED, claims),
        Attestation(Outcome.UNAVAILABLE), Attestation(Outcome.INCONCLUSIVE),
    ]  # fmt: skip
    return [
        {
            "account": hexed(account(i)), "task": i, "unit": 7 * i, "outcome": a.outcome.name.capitalize(),
            "segments": [[hexed(s.end_state_root), hexed(s.witness)] for s in a.segments],
            "encoded": hexed(a.encode()), "salt": hexed(h(f"salt {i}")),
            "commitment": hexed(compute_attestation_commitment(account(i), i, 7 * i, a, h(f"salt {i}"))),
        }
        for i, a in enumerate(cases)
    ]  # fmt: skip


def beacon() -> Vector:
    secrets = {account(i): h(f"secret {i}") for i in range(5)}
    return {
        "commitments": [
            {"account": hexed(a), "epoch": 3 + i, "secret": hexed(s),
             "commitment": hexed(compute_beacon_commitment(a, 3 + i, s))}
            for i, (a, s) in enumerate(secrets.items())
        ],
        "seeds": [
            {"seed": hexed(h(f"seed {n}")),
             "reveals": [[hexed(a), hexed(s)] for a, s in list(secrets.items())[:n]],
             "next_seed": hexed(compute_next_seed(h(f"seed {n}"), dict(list(secrets.items())[:n])))}
            for n in (0, 1, 5)
        ],
    }  # fmt: skip


def records() -> Vector:
    solver, outcomes = account(1), [StepOutcome(2.5, 0.125), StepOutcome(1.75, 0.0)]
    witness = compute_witness(outcomes)
    start = compute_unit_start_record(h("unit seed"), h("state 0"))
    step = compute_step_record(h("unit seed"), 0, start, h("batch 0"), outcomes[0])
    segments = [
        make_record(solver, i, (h(f"state {i}"), h(f"state {i + 1}")), (h(f"first {i}"), h(f"last {i}")),
                    h(f"segment witness {i}"), decoy=3 * i)
        for i in range(5)
    ]  # fmt: skip
    openings = [compute_opening(segments, i, h(f"segment witness {i}")) for i in range(5)]
    return {
        "witness": {"outcomes": [[o.loss, o.grad_norm] for o in outcomes], "witness": hexed(witness),
                    "account": hexed(solver), "salted": hexed(compute_salted_witness(solver, witness))},
        "step": {"unit_seed": hexed(h("unit seed")), "start_state_root": hexed(h("state 0")),
                 "unit_start": hexed(start), "batch_digest": hexed(h("batch 0")), "step_record": hexed(step)},
        "transcript": {
            "solver": hexed(solver), "root": hexed(compute_transcript_root(segments)),
            "end_state_root": hexed(segments[-1].end_state_root),
            "openings": [
                {"index": o.record.index, "record": hexed(o.record.encode()),
                 "start_state_root": hexed(o.record.start_state_root),
                 "end_state_root": hexed(o.record.end_state_root),
                 "first_step_record": hexed(o.record.first_step_record),
                 "last_step_record": hexed(o.record.last_step_record),
                 "salted_witness": hexed(o.record.salted_witness), "claims": hexed(o.record.claims),
                 "witness": hexed(o.witness), "proof": [hexed(p) for p in o.proof]}
                for o in openings
            ],
        },
    }  # fmt: skip


def jackpot() -> Vector:
    solver, witness, ref = account(1), h("jackpot witness"), UnitRef(3, 70_000, 2)
    decoys = [Decoy(place, h(f"decoy salt {place}")) for place in (0, 7, 15)]
    budgets = (0, 1, 99, 10**12, 2**64 + 1)
    return {
        "solver": hexed(solver), "witness": hexed(witness), "claims": hexed(compute_claims(solver, witness)),
        "task": ref.task, "unit": ref.unit, "attempt": ref.attempt,
        "decoys": [
            {"place": decoy.place, "salt": hexed(decoy.salt), "commitment": hexed(
                compute_decoy_commitment(solver, ref, decoy)
             ), "claims": hexed(compute_claims(solver, witness, decoy.place))}
            for decoy in decoys
        ],
        "finding": {"finder": hexed(account(2)), "segment": 300, "salt": hexed(h("finding salt")), "commitment": hexed(
            compute_finding_commitment(account(2), ref.task, ref.unit, 300, witness, h("finding salt"))
        )},
        "prizes": [
            {"budget": str(budget), "each": [str(Prizes(budget).compute_each(k)) for k in range(MAX_FINDERS + 1)],
             "bonus": [str(Prizes(budget).compute_bonus(k)) for k in range(MAX_FINDERS + 1)]}
            for budget in budgets
        ],
        "budgets": [
            {"price": str(price), "share": share, "challenge_ppm": ppm,
             "budget": str(compute_budget(price, share, ppm))}
            for price, share, ppm in ((10**13, 40_000, 500_000), (999, 333_333, 1), (10**12, 10_000, 10**6))
        ],
    }  # fmt: skip


def merkle() -> list[Vector]:
    cases = []
    for n in (0, 1, 2, 3, 5, 8, 13):
        leaves = [f"leaf {i}".encode() for i in range(n)]
        proofs = [compute_proof(leaves, i) for i in range(n)]
        cases.append({"leaves": [hexed(leaf) for leaf in leaves], "root": hexed(compute_root(leaves)),
                      "proofs": [[hexed(s) for s in p.siblings] for p in proofs]})  # fmt: skip
    return cases


def block_rights() -> list[Vector]:
    shapes: list[tuple[BlockRightsRules, list[dict[int, int]], int, int]] = [
        (BlockRightsRules(12, 800_000, 333_333, 500_000, 50_000, 100_000), [], 0, 1),
        (BlockRightsRules(12, 800_000, 333_333, 500_000, 50_000, 100_000), [{1: 10**9}], 0, 1),
        (BlockRightsRules(20, 700_000, 333_333, 500_000, 100_000, 50_000), [{1: 3 * 10**9, 2: 10**9}], 3, 1),
        (BlockRightsRules(20, 700_000, 333_333, 500_000, 100_000, 0),
         [{1: 5, 2: 5, 3: 5}, {1: 7, 4: 11}, {5: 10**12}], 9, 2),
        (BlockRightsRules(100, 500_000, 333_333, 300_000, 10_000, 50_000),
         [{k: 1000 + 37 * k * k for k in range(17)}, {k: 10**6 * k for k in range(3, 9)}], 2, 3),
        (BlockRightsRules(100, 900_000, 200_000, 0, 0, 0), [{k: 1 for k in range(7)}], 0, 1),
        (BlockRightsRules(1024, 900_000, 333_333, 100_000, 100_000, 10_000),
         [{k: (k * 2_654_435_761) % 2**40 for k in range(1, 40)} for _ in range(4)], 1, 2),
        (BlockRightsRules(5, 1_000_000, 1_000_000, 0, 0, 0), [{1: 1, 2: 1, 3: 1, 4: 2**64 - 1}], 0, 1),
        (BlockRightsRules(3, 0, 100_000, 1_000_000, 0, 0), [{1: 1}], 0, 1),
    ]  # fmt: skip
    cases = []
    for i, (rules, ages, worked, boot) in enumerate(shapes):
        named = [{account(k): macs for k, macs in age.items()} for age in ages]
        bootstrap = (
            [account(100 - k) for k in range(boot - 1)] + [account(1)]
            if i == 4
            else [account(100 - k) for k in range(boot)]
        )
        weights = compute_weights(named, rules.decay)
        allocation = compute_allocation(rules, weights, bootstrap, worked)
        seed = h(f"shuffle seed {i}")
        cases.append({
            "slots_per_epoch": rules.slots_per_epoch, "decay": rules.decay, "cap": rules.cap,
            "bootstrap_initial": rules.bootstrap_initial, "bootstrap_step": rules.bootstrap_step,
            "bootstrap_floor": rules.bootstrap_floor, "epochs_with_work": worked,
            "bootstrap": [hexed(a) for a in bootstrap],
            "credits_by_age": [[[hexed(a), str(m)] for a, m in age.items()] for age in named],
            "weights": [[hexed(a), str(w)] for a, w in weights.items()],
            "slots": [[hexed(a), s] for a, s in allocation.slots],
            "bootstrap_slots": allocation.bootstrap_slots,
            "credits_per_slot": str(allocation.credits_per_slot),
            "seed": hexed(seed), "schedule": [hexed(a) for a in compute_schedule(allocation, seed)],
        })  # fmt: skip
    return cases


def economics() -> list[Vector]:
    cases = [
        Incentive(500_000, 333_333, 2, 10**12, 10**14, 10**9, 10),
        Incentive(500_000, 333_333, 2, 0, 0, 0, 0), Incentive(0, 333_333, 2, 10**12, 10**14, 1, 1),
        Incentive(1_000_000, 0, 1, 10, 0, 10**6, 9), Incentive(1_000_000, 0, 1, 10, 0, 10**6, 10),
        Incentive(1_000_000, 1_000_000, 8, 10**20, 10**20, 1, 1),
        Incentive(1_000_000, 500_000, 3, 700, 300, 10**6 * 874, 1),
        Incentive(1_000_000, 500_000, 3, 700, 300, 10**6 * 875, 1), Incentive(1, 1, 8, 10**24, 10**24, 2**64 - 1, 3),
    ]  # fmt: skip
    return [
        {
            "challenge_ppm": c.challenge_ppm, "attacker_share": c.attacker_share, "verifiers": c.verifiers,
            "price": str(c.price), "bond": str(c.bond), "macs": str(c.macs), "mac_cost": str(c.mac_cost),
            "all_verifiers_share": compute_all_verifiers_share(c.attacker_share, c.verifiers),
            "cost": str(compute_price_of_macs(c.macs, c.mac_cost)), "accepted": is_honesty_profitable(c),
        }
        for c in cases
    ]  # fmt: skip


def compute_vectors() -> Vector:
    """All sections of the file."""
    return {
        "generated_by": "python -m tests.vectors.protocol_vectors",
        "unit_seeds": unit_seeds(),
        "draws": draws(),
        "attestations": attestations(),
        "beacon": beacon(),
        "records": records(),
        "jackpot": jackpot(),
        "merkle": merkle(),
        "block_rights": block_rights(),
        "economics": economics(),
    }


def compute_text() -> str:
    """The file's exact text."""
    return json.dumps(compute_vectors(), indent=1) + "\n"


if __name__ == "__main__":
    PATH.write_text(compute_text())
