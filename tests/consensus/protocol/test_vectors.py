"""The committed vectors are what the code emits, so that Rust replays today's rules."""

from tests.vectors import protocol_vectors


def test_protocol_vectors_are_up_to_date() -> None:
    text = protocol_vectors.PATH.read_text()
    hint = "run `python -m tests.vectors.protocol_vectors` and commit, after changing docs/protocol.md and the runtime"
    assert text == protocol_vectors.compute_text(), hint


def test_vectors_cover_both_sides() -> None:
    vectors = protocol_vectors.compute_vectors()
    assert {d["challenged"] for d in vectors["draws"]} == {True, False}
    assert any(d["drawn_verifiers"] is None for d in vectors["draws"])
    assert any(d["drawn_verifiers"] and len(d["drawn_verifiers"]) == 3 for d in vectors["draws"])
    assert {e["accepted"] for e in vectors["economics"]} == {True, False}
    for case in vectors["block_rights"]:
        assert len(case["schedule"]) == case["slots_per_epoch"] == sum(s for _, s in case["slots"])
