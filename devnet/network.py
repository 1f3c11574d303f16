"""The demo's network: an operator, miners, validators and a submitter as processes of this machine, over loopback."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chain.open_chain import export_spec
from devnet.operator import OPERATOR_URI
from devnet.processes import DevnetError, ManagedProcess, ProcessGroup, find_free_port, wait_until

LISTEN_SECONDS = 60.0  # libp2p's imports take seconds on a busy machine


@dataclass(frozen=True)
class MinerPlan:
    """A miner of the devnet. `throttle`: share of its speed that it uses; `cheat`: its lie (miner/work/cheat.py)."""

    name: str
    uri: str
    throttle: float = 1.0
    cheat: str = ""


@dataclass(frozen=True)
class ValidatorPlan:
    """A validator of the devnet. `watch` is the share of units it re-executes unasked, `cheat` its lie."""

    name: str
    uri: str
    watch: float = 0.0
    cheat: str = ""


@dataclass(frozen=True)
class NetworkPlan:
    """Who takes part; accounts must be endowed by the preset's genesis."""

    preset: str
    miners: tuple[MinerPlan, ...]
    validators: tuple[ValidatorPlan, ...]
    genesis: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """Values of the genesis that differ from the preset's, by pallet."""


DEMO_PLAN = NetworkPlan(
    preset="dev",
    miners=(
        MinerPlan("fast miner", "//Bob"),
        MinerPlan("slow miner", "//Charlie", throttle=1 / 3),
        MinerPlan("cheater", "//Dave", cheat="skip:0.75"),
    ),
    validators=(ValidatorPlan("validator 1", "//Eve"), ValidatorPlan("validator 2", "//Ferdie")),
)


def call_rpc(port: int, method: str, *params: object) -> Any:
    """Result of one JSON-RPC call over HTTP to a node on this machine; raises `DevnetError` with the node's words."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}", data=body, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        document = json.load(answer)
    if "error" in document:
        raise DevnetError(f"{method} failed: {document['error'].get('message')}")
    return document["result"]


class DemoNetwork:
    """Starts the plan's processes in `folder`, each with data, log and ports of its own."""

    def __init__(self, plan: NetworkPlan, folder: Path, group: ProcessGroup) -> None:
        self.plan, self.folder, self.group = plan, folder, group
        self.spec = folder / "chain-spec.json"
        self.operator: ManagedProcess
        self.miners: dict[str, ManagedProcess] = {}
        self.validators: dict[str, ManagedProcess] = {}
        self.bootnode = ""

    def nodes(self) -> list[ManagedProcess]:
        """Every process with an embedded node."""
        return [self.operator, *self.miners.values(), *self.validators.values()]

    def start_operator(self) -> None:
        """Writes the chain spec and starts the operator's node; returns when it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        overrides = {pallet: dict(values) for pallet, values in self.plan.genesis.items()}
        self.spec.write_text(json.dumps(export_spec(self.plan.preset, overrides=overrides)))
        ports = [find_free_port() for _ in range(3)]
        arguments = ["--chain", str(self.spec), "--base-path", str(self.folder / "operator")]
        arguments += ["--rpc-port", str(ports[0]), "--p2p-port", str(ports[1]), "--blob-port", str(ports[2])]
        self.operator = ManagedProcess("operator", "devnet.cli", arguments, self.folder, ports[0], ports[2])
        self.group.start(self.operator)
        self.operator.wait_healthy()
        wait_until(self._has_address, LISTEN_SECONDS, "the operator's node to listen for peers")

    def _has_address(self) -> bool:
        self.operator.check()
        addresses = call_rpc(self.operator.rpc_port, "system_localListenAddresses")
        self.bootnode = addresses[0] if addresses else ""
        return bool(addresses)

    def start_workers(self) -> None:
        """Starts miners and validators; returns when every embedded node answers."""
        for miner in self.plan.miners:
            extra = ["--throttle", str(miner.throttle)] if miner.throttle < 1 else []
            extra += ["--cheat", miner.cheat] if miner.cheat else []
            self.miners[miner.name] = self._start_role(miner.name, "miner.cli.miner", miner.uri, extra)
        for validator in self.plan.validators:
            extra = ["--watch", str(validator.watch)] if validator.watch else []
            extra += ["--cheat", validator.cheat] if validator.cheat else []
            process = self._start_role(validator.name, "miner.cli.validator", validator.uri, extra)
            self.validators[validator.name] = process
        for process in [*self.miners.values(), *self.validators.values()]:
            process.wait_healthy()

    def post_task(self, model: str, shards: int, rounds: int, segments: int, steps: int) -> ManagedProcess:
        """Starts the submitter: traces the model, posts the task, serves its inputs until it is stopped."""
        port = find_free_port()
        arguments = [
            "task",
            "post",
            "--node",
            self.operator.rpc_url,
            "--key",
            OPERATOR_URI,
            "--model",
            model,
            "--serve",
        ]
        arguments += ["--model", model, "--shards", str(shards), "--rounds", str(rounds), "--segments", str(segments)]
        arguments += ["--steps", str(steps), "--blob-port", str(port), "--base-path", str(self.folder / "submitter")]
        process = ManagedProcess("submitter", "miner.cli.aipow", arguments, self.folder, 0, port)
        return self.group.start(process)

    def _start_role(self, name: str, module: str, uri: str, extra: list[str]) -> ManagedProcess:
        slug = name.replace(" ", "-")
        ports = [find_free_port() for _ in range(4)]
        arguments = ["--chain", str(self.spec), "--bootnode", self.bootnode, "--key", uri]
        arguments += ["--base-path", str(self.folder / slug), "--rpc-port", str(ports[0]), "--p2p-port", str(ports[1])]
        arguments += ["--blob-port", str(ports[2]), "--metrics-port", str(ports[3]), *extra]
        return self.group.start(ManagedProcess(slug, module, arguments, self.folder, ports[0], ports[2], ports[3]))
