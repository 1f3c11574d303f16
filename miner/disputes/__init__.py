"""Disputes at work: what a party's own execution says (`execution`), asked out of the event loop (`player`).

The rules and the players are pure and stand in `consensus.dispute`; the roles that play on a chain in `miner.roles`.
"""
