"""The dispute game (`docs/disputes.md`): from "this segment is wrong" down to one place that the chain itself computes.

A defender stands by a claim, a challenger doubts it. The defender lays open what its claim is made of, level by level;
the challenger points at the first part that it finds wrong and so accepts all before it: of the segment's steps one, of
the step's nodes one, of the node's tiles one, and on along elements or partial sums. At the end stands one place of one
primitive with operands that both accept, and the runtime computes it (`consensus.arbiter`). Everything here is pure:
no clock, no storage, no network.

    execution   what a party knows: its own execution of the disputed segment
    view        a game as the chain has it: stages, clocks, what was committed on the way down
    moves       the moves, a dataclass a call, with their bytes
    narrowing   down a Merkle tree, 16 nodes at a time
    referee     the rules: `open_game`, `play`, `expire`, and all down to a node; the pallet's twin
    places      the rules from a node down to the settlement
    checks      proofs, as all rules check them
    batches     the rule that makes batches of the data set, element by element
    defender    `defend`: the next move of who stands by the claim
    challenger  `challenge`: the next move of who doubts it; `open_segment`
    proofs      what both make of an execution
    errors      why a move is refused
    bounds      most moves of a game, most bytes of a move
"""
