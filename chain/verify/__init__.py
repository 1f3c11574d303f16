"""One function per verification: verify(input) -> Verified, raising one branch of documented errors. Pure."""

from chain.verify.body import BodyInput, verify_body
from chain.verify.header import HeaderInput, VerifiedHeader, verify_header

__all__ = ["BodyInput", "HeaderInput", "VerifiedHeader", "verify_body", "verify_header"]
