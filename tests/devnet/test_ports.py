"""Ports for daemons: never the same twice, never one that the system may give to an outgoing connection."""

from __future__ import annotations

import socket

import pytest

from devnet import processes
from devnet.processes import PORT_RANGE, DevnetError, find_free_port


def test_ports_are_distinct_and_below_the_ephemeral_range() -> None:
    ports = [find_free_port() for _ in range(50)]
    assert len(set(ports)) == 50
    assert all(PORT_RANGE[0] <= port < PORT_RANGE[1] <= 32_768 for port in ports)


def test_a_port_in_use_is_not_given_out(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        monkeypatch.setattr(processes, "PORT_RANGE", (port, port + 1))
        with pytest.raises(DevnetError, match="no free port"):
            find_free_port()
