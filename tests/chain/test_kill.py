"""Kill -9 at random instants (seeded) of a chain that authors, finalises and prunes: nothing that was told is lost.

The child says what it did after it did it; the parent kills it some milliseconds into its work, also while block 0 is
being written, and then checks the folder: heads, every kept state node by node, and that the chain goes on.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from chain.trie import EMPTY_ROOT, Trie
from tests.chain.devchain import ALICE, SLOT_MS, START_MS, DevChain, transfer

SEED = 1
CHILD = """
import sys
from pathlib import Path
from tests.chain import devchain
from chain.state import pruning
pruning.SWEEP_EVERY = 8  # so that sweeps are frequent
devchain.genesis(), devchain.ALICE
print("ready", flush=True)
dev = devchain.DevChain(Path(sys.argv[1]), kept_states=4)
dev.now_ms = max(dev.now_ms, devchain.START_MS + dev.chain.best.number * devchain.SLOT_MS)
while True:
    nonce = dev.chain.nonce(dev.chain.best.hash, devchain.ALICE.public)
    block = dev.author([devchain.transfer(dev.chain, nonce)])
    print("best", block.number, block.hash.hex(), flush=True)
    if block.number % 3 == 0:
        dev.chain.finalize(block.hash, b"proof of %d" % block.number)
        print("final", block.number, block.hash.hex(), flush=True)
"""
ROUNDS = 5
ROOT = Path(__file__).parents[2]


def test_no_instant_of_a_kill_loses_what_was_told(tmp_path: Path) -> None:
    draw = random.Random(SEED)
    told: dict[str, tuple[int, str]] = {}
    for round_number in range(ROUNDS):
        # the first rounds hit the writing of block 0, later ones anything
        delay = draw.uniform(0, 0.05) if round_number < 2 else draw.uniform(0.02, 0.6)
        told.update(run_and_kill(tmp_path / "db", delay))
        check_folder(tmp_path / "db", told)


def run_and_kill(path: Path, delay: float) -> dict[str, tuple[int, str]]:
    """Runs the child and kills it `delay` seconds after it began to work: the last best and final block it told of."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert child.stdout is not None
    assert child.stderr is not None
    assert child.stdout.readline() == "ready\n", child.stderr.read()
    time.sleep(delay)
    os.kill(child.pid, signal.SIGKILL)
    lines = [line.split() for line in child.stdout.read().splitlines() if line.count(" ") == 2]
    errors = child.stderr.read()
    assert child.wait() == -signal.SIGKILL, errors
    return {kind: (int(number), block) for kind, number, block in lines if len(block) == 64}


def check_folder(path: Path, told: dict[str, tuple[int, str]]) -> None:
    """It opens, holds what was told, each kept state is whole and gives its root, and a block can be added."""
    dev = DevChain(path, kept_states=4)
    chain = dev.chain
    for kind, head in (("best", chain.best), ("final", chain.finalized)):
        number, block = told.get(kind, (0, chain.genesis_hash.hex()))
        assert head.number >= number
        assert (chain.hash_of(number) or b"").hex() == block, f"{kind} block {number} is lost"
    if chain.finalized.number:
        assert chain.justification(chain.finalized.hash) == b"proof of %d" % chain.finalized.number
    for number in range(max(chain.finalized.number - 4, 0), chain.best.number + 1):
        root = chain.state_at(chain.hash_of(number) or b"").root
        fresh = Trie(chain.database.trie)  # no cache: each node is read
        values = {key: fresh.get(root, key) for key in fresh.iterate(root)}
        if number == chain.best.number:
            assert Trie({}).update(EMPTY_ROOT, {k: v for k, v in values.items() if v is not None}).root == root
    dev.now_ms = START_MS + chain.best.number * SLOT_MS
    nonce = chain.nonce(chain.best.hash, ALICE.public)
    assert dev.author([transfer(chain, nonce)]).is_best
    chain.close()
