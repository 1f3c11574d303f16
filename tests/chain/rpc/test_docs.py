"""`docs/rpc.md` names every method that the node offers, but for older names of the same."""

from __future__ import annotations

from pathlib import Path

from chain.rpc.server import make_registry


def test_every_method_is_documented() -> None:
    text = (Path(__file__).parents[3] / "docs" / "rpc.md").read_text()
    registry = make_registry()
    functions = {**registry.methods, **registry.session_methods}
    streams = {name: subscription.open for name, subscription in registry.subscriptions.items()}
    documented = {function for name, function in {**functions, **streams}.items() if f"`{name}`" in text}
    missing = [name for name, function in {**functions, **streams}.items() if function not in documented]
    assert missing == []
    for name in functions:
        if name in registry.unsafe and f"`{name}`" in text:
            assert f"*`{name}`*" in text, f"{name} is unsafe"
