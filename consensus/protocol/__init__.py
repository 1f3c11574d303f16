"""The protocol's pure rules with the runtime's exact bytes: seeds, draws, attestations, beacon, rights, economics."""
