"""No attack: an honest unit passes every check, else the other files would show nothing."""

from tests.attacks.arena import SEGMENTS, serve, sign, train, verify


def test_an_honest_unit_matches_in_every_segment() -> None:
    results = train()
    for index in range(SEGMENTS):
        report = verify(sign(results), serve(results), index)
        assert report.is_match and report.claim is not None, report.detail
