"""The dispute game (`docs/disputes.md`): from "this segment is wrong" down to one place that the chain itself computes.

    execution   what a party knows of the disputed segment: its own execution of it
"""
