"""Commitments: Merkle trees, tensor and state roots, step and segment records, witnesses, openings (DESIGN §3)."""
