"""GRANDPA finality: messages, authority sets, justifications, the pure voter and its thin service."""

from chain.grandpa.authorities import AuthoritySet, AuthorityState, genesis_state
from chain.grandpa.justification import JustificationInput, Verified, verify_justification
from chain.grandpa.messages import Justification
from chain.grandpa.service import FinalityStatus, GrandpaService

__all__ = [
    "AuthoritySet",
    "AuthorityState",
    "FinalityStatus",
    "GrandpaService",
    "Justification",
    "JustificationInput",
    "Verified",
    "genesis_state",
    "verify_justification",
]
