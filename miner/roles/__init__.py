"""What a daemon does on the chain: solver, verifier, beacon keeper; each a state machine driven by new heads."""
