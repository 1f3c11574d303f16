"""Headers of Polkadot and Kusama, as their chain specs carry them (npm `@substrate/connect-known-chains` 1.10.3,
`lightSyncState.finalizedBlockHeader`): decoded and encoded again exactly."""

from __future__ import annotations

import pytest

from chain.aura import get_slot
from chain.errors import WrongDigest
from chain.primitives import DigestKind, Header

POLKADOT = bytes.fromhex(
    "5e29dc612dec2565bd32f19dd9dda917e7aefed3cdf993888e0191bd4c2ab6de96515906b4ca0f98cf06e82f59723d133d53"
    "597a69d79cc0891ee0794009b78b572b5c73148da8b1e8d3d561f937c2c8fe698e66e233a42b80b5c30ead4276a9dd42bd9d"
    "0c0642414245b5010301010000520d651100000000c6f4e2edb7474a69c30d33045506fc7c5ca7a9e2739bd4b1e302004065"
    "eed0201d0dda4bf14ee07e71cdd0814d4f226260b9c6b46625c2562094a71ce2479c0e0cf35699e77c0c49be71e0de5ac66c"
    "ddd3da3995734cb4f6c94541c02a54c00804424545468403536c654bca26a21919c17b8e60cb7f16310ab98dfe81ac343e15"
    "ba912025fba9054241424501010e04ea1bd931590662e92c53f0fa21bda9cdd09e2f4cd2b091809c83095a3f2a1cf5896802"
    "c1b3bf0f4b1d343d600e2afe10e0e7ccb804e626dc55d71985118a"
)
KUSAMA = bytes.fromhex(
    "3a0e85d5276a2004289e196ca4c6e3c0416e50885568e66aef2d4f747ad58a5a5e55e806cd00f0cdb56b932fbec9b58849e3"
    "77a377330dd6119bf6c5eb661c6a287c7dafb567c8ed5a9632c2a93d3aa5b1c68e2432a6f650030b11706b3ba740475c8e1e"
    "0c0642414245b5010300000000500d651100000000b4685e31ed982e5ee64c4f6b0b5351ffc8bf2baad1dbf30dcec90996aa"
    "02a61a792cf7bc762bad874475f7e48c193ac65170832b0964effbd4300a9694b1ed0880058fc0d4baeb66b3393432135b8e"
    "fc82a6cd6750bf161aac3278975326b90204424545468403dff797d22d03bc2a2095bc9d83bfc3cbdd3d7cbd0ec27ec605cb"
    "ffa32cdb278a054241424501013c4c746e658cc988a2ec581c3051d261475a8696e1dc59ada1f61deb1e9c271b4195bb7f6a"
    "aea2ac35fb41a6f7fd05d6753d6cc20c134d0fb17836ad9cc8d788"
)


@pytest.mark.parametrize("data", [POLKADOT, KUSAMA], ids=["polkadot", "kusama"])
def test_a_real_header_is_encoded_again_exactly(data: bytes) -> None:
    header = Header.decode(data)
    assert header.encode() == data
    assert [item.kind for item in header.digest] == [DigestKind.PRE_RUNTIME, DigestKind.CONSENSUS, DigestKind.SEAL]
    assert [item.engine for item in header.digest] == [b"BABE", b"BEEF", b"BABE"]
    assert header.number > 20_000_000


def test_a_header_of_another_engine_has_no_aura_slot() -> None:
    with pytest.raises(WrongDigest):
        get_slot(Header.decode(POLKADOT))
