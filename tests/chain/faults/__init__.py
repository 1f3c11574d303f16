"""Faults done to real nodes from outside: their disk, their clock, their links, strangers that connect to them."""
