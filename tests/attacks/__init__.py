"""Attacks as an adversary would run them, one file each; docs/security.md has the table."""
