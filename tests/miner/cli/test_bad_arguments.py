"""A daemon started wrongly ends with one line that says what to do and exit code 1 or 2, and leaves its folders alone.

The processes are real (see `forked.py`); so are the occupied ports and the damaged folders.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from miner.store.address import Address, Kind
from miner.store.blobs import BlobStore
from tests.miner.cli.forked import CommandServer, Ended

NOBODY = "ws://127.0.0.1:1"
"""Port 1 (tcpmux): nobody listens there."""

STRANGER = "/ip4/127.0.0.1/tcp/1/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp"
"""A well-formed bootnode that is not there."""

DAEMONS = ("aipow-miner", "aipow-validator", "aipow-devnet")
QUICK = {"miner.roles.daemon.CONNECT_SECONDS": 0.2, "miner.roles.daemon.SYNC_SECONDS": 1.0}


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandServer]:
    with CommandServer(tmp_path_factory.mktemp("commands")) as server:
        yield server


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port on which somebody else listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield int(listener.getsockname()[1])


@contextlib.contextmanager
def silent_web_server() -> Iterator[str]:
    """An HTTP server that knows nothing of WebSockets; the ws:// address somebody may take it for."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"ws://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def with_key(daemon: str) -> list[str]:
    """The daemon and what it needs to start at all."""
    return [daemon, "--rpc-port", "0"] if daemon == "aipow-devnet" else [daemon, "--key", "//Bob"]


def check_refusal(ended: Ended, *wanted: str, code: int = 1) -> None:
    """One line, no traceback, exit code, and all of `wanted` in the line."""
    assert "Traceback" not in ended.errors, ended.errors
    lines = [line for line in ended.errors.splitlines() if line.lower().startswith("error:")]
    assert len(lines) == 1, ended.errors
    assert ended.code == code, ended
    for text in wanted:
        assert text in lines[0]


def digest(folder: Path) -> dict[str, str]:
    """Every file below a folder with the hash of its bytes; LevelDB's own log of openings left out."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in {"LOG", "LOG.old", "LOCK"}
    }


# ---- keys


@pytest.mark.parametrize("daemon", ["aipow-miner", "aipow-validator"])
@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("//Bob/", "does not have the form"),
        ("hello world", "no BIP-39 mnemonic"),
        ("0x12", "does not have the form"),
        ("", "does not have the form"),
        ("//Bob/soft", "hard"),
    ],
)
def test_invalid_key_uri(commands: CommandServer, tmp_path: Path, daemon: str, key: str, reason: str) -> None:
    ended = commands.run(daemon, "--key", key, "--base-path", tmp_path / "data")
    check_refusal(ended, "bad secret URI", reason)
    assert not (tmp_path / "data").exists()


def test_invalid_key_is_not_repeated(commands: CommandServer, tmp_path: Path) -> None:
    """A typing error in a real secret must not end up in a log."""
    ended = commands.run("aipow-miner", "--key", "secretword other//Bob", "--base-path", tmp_path / "data")
    check_refusal(ended)
    assert "secretword" not in ended.errors + ended.output


@pytest.mark.parametrize("daemon", ["aipow-miner", "aipow-validator"])
def test_no_key_and_two_keys(commands: CommandServer, tmp_path: Path, daemon: str) -> None:
    for options in ([], ["--key", "//Bob", "--keystore", tmp_path / "key"]):
        check_refusal(commands.run(daemon, *options), "give either --key", "--keystore FILE", code=2)


def test_keystore_that_is_none(commands: CommandServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    password = {"miner.cli.common.PASSWORD_VARIABLE": "PATH"}  # any variable that is set: nobody can type here
    check_refusal(
        commands.run("aipow-miner", "--keystore", tmp_path / "key", constants=password),
        "there is no keystore",
        "aipow account new",
    )
    (tmp_path / "key").write_text("{}")
    check_refusal(
        commands.run("aipow-miner", "--keystore", tmp_path / "key", constants=password),
        "not a keystore",
        "aipow account new",
    )


def test_a_key_is_never_overwritten_and_bad_paths_are_told(commands: CommandServer, tmp_path: Path) -> None:
    password = {"miner.cli.aipow.PASSWORD_VARIABLE": "PATH"}
    file = tmp_path / "key"
    made = commands.run("aipow", "account", "new", file, constants=password)
    assert made.code == 0 and "words" in made.output, made.errors
    before = file.read_bytes()
    check_refusal(commands.run("aipow", "account", "new", file, constants=password), str(file), "never overwritten")
    assert file.read_bytes() == before
    below = commands.run("aipow", "account", "new", file / "below", constants=password)
    check_refusal(below, str(file), "give a path")


def test_the_same_without_the_server(tmp_path: Path) -> None:
    """One command as a user starts it, so that the forks of the other tests stand for the real thing."""
    command = [sys.executable, "-m", "miner.cli.miner", "--key", "nonsense", "--base-path", str(tmp_path / "data")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    check_refusal(Ended(done.returncode, done.stdout, done.stderr), "bad secret URI")


# ---- chain


@pytest.mark.parametrize("daemon", DAEMONS)
@pytest.mark.parametrize("content", [None, b"{", b"[]", b'{"name": 3}', b"[" * 100_000, b"\xff\xfe"])
def test_unusable_chain(commands: CommandServer, tmp_path: Path, daemon: str, content: bytes | None) -> None:
    spec = tmp_path / "spec.json"
    if content is not None:
        spec.write_bytes(content)
    ended = commands.run(*with_key(daemon), "--chain", spec, "--base-path", tmp_path / "data")
    check_refusal(ended, "chain spec", "a valid spec" if content == b'{"name": 3}' else f"{spec}: ")
    assert not (tmp_path / "data" / "node").exists()


def test_unknown_preset(commands: CommandServer) -> None:
    for arguments in (["--preset", "main"], ["export-spec", "--preset", "main"]):
        check_refusal(commands.run("aipow-devnet", *arguments), "chain spec main", "give a preset (dev, local, test)")


@pytest.mark.parametrize("daemon", DAEMONS)
def test_genesis_under_which_cheating_pays(commands: CommandServer, tmp_path: Path, daemon: str) -> None:
    spec = tmp_path / "spec.json"
    exported = json.loads(commands.run("aipow-devnet", "export-spec").output)
    exported["genesis"]["runtimeGenesis"]["patch"]["verification"]["challengePpm"] = 1
    spec.write_text(json.dumps(exported))
    ended = commands.run(*with_key(daemon), "--chain", spec, "--base-path", tmp_path / "data")
    check_refusal(ended, "cheating pays")
    assert not list((tmp_path / "data" / "node").glob("db/*.log")), "no chain was begun"


# ---- addresses


@pytest.mark.parametrize("daemon", DAEMONS)
@pytest.mark.parametrize(
    "address", ["nonsense", "/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/x/p2p/12D3KooW", "ws://127.0.0.1:9944"]
)
def test_malformed_bootnode(commands: CommandServer, tmp_path: Path, daemon: str, address: str) -> None:
    ended = commands.run(*with_key(daemon), "--bootnode", address, "--base-path", tmp_path)
    check_refusal(ended, "is no bootnode address", "/ip4/127.0.0.1/tcp/PORT/p2p/PEER_ID")


def test_unreachable_bootnode_is_told_and_the_daemon_lives_on(commands: CommandServer, tmp_path: Path) -> None:
    """The peer may come later, so this is no reason to end; SIGTERM then ends it with 0."""
    ended = commands.run(
        *with_key("aipow-validator"), "--chain", "test", "--bootnode", STRANGER, "--base-path", tmp_path,
        constants=QUICK, until="no peers with blocks",
    )  # fmt: skip
    assert ended.code == 0, ended.errors
    assert "Traceback" not in ended.errors
    assert "is --bootnode right?" in ended.errors


@pytest.mark.parametrize("daemon", ["aipow-miner", "aipow-validator"])
def test_unreachable_node(commands: CommandServer, tmp_path: Path, daemon: str) -> None:
    ended = commands.run(*with_key(daemon), "--node", NOBODY, "--base-path", tmp_path, constants=QUICK)
    check_refusal(ended, f"node {NOBODY} does not answer", "is it running, and is --node right?")
    assert "Trying again" in ended.errors, "the user must not wait a minute without a word"


def test_a_node_that_is_no_node(commands: CommandServer, tmp_path: Path) -> None:
    """Somebody listens there, but does not speak WebSocket."""
    with silent_web_server() as url:
        ended = commands.run("aipow-miner", "--key", "//Bob", "--node", url, "--base-path", tmp_path, constants=QUICK)
    check_refusal(ended, f"node {url} does not answer")


@pytest.mark.parametrize("url", ["nonsense", "127.0.0.1:9944", "ws://", "ws://127.0.0.1:99999", "file:///etc/passwd"])
def test_malformed_node_address(commands: CommandServer, tmp_path: Path, url: str) -> None:
    for arguments in (
        ["aipow-miner", "--key", "//Bob", "--base-path", tmp_path],
        ["aipow", "task", "list"],
        ["aipow", "account", "show", "--key", "//Bob"],
    ):
        check_refusal(commands.run(*arguments, "--node", url), "is no node address", "ws://127.0.0.1:9944")


@pytest.mark.parametrize("arguments", [["task", "list"], ["task", "show", "0"], ["task", "download", "0"]])
def test_unreachable_node_of_a_submitter(commands: CommandServer, arguments: list[str]) -> None:
    quick = {"miner.cli.aipow.CONNECT_SECONDS": 0.2}
    check_refusal(commands.run("aipow", *arguments, "--node", NOBODY, constants=quick), "is --node right?")


# ---- ports


@pytest.mark.parametrize(
    ("daemon", "option"),
    [(daemon, f"--{kind}-port") for daemon in DAEMONS for kind in ("rpc", "p2p", "blob")]
    + [("aipow-miner", "--metrics-port"), ("aipow-validator", "--metrics-port")],
)  # fmt: skip
def test_port_in_use(commands: CommandServer, tmp_path: Path, taken_port: int, daemon: str, option: str) -> None:
    ended = commands.run(*with_key(daemon), option, taken_port, "--base-path", tmp_path)
    check_refusal(ended, f"127.0.0.1:{taken_port}", "in use", "stop the other process", option)


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_port_that_cannot_be(commands: CommandServer, tmp_path: Path, port: str) -> None:
    for option in ("--rpc-port", "--p2p-port", "--blob-port", "--metrics-port"):
        ended = commands.run("aipow-miner", "--key", "//Bob", option, port, "--base-path", tmp_path)
        check_refusal(ended, option, code=2)


# ---- folders


@pytest.mark.parametrize("daemon", DAEMONS)
def test_base_path_that_cannot_be(commands: CommandServer, tmp_path: Path, daemon: str) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    for path in (file, file / "below", Path("/proc/aipow")):
        check_refusal(commands.run(*with_key(daemon), "--base-path", path), str(path), "give a path")
    assert file.read_text() == "mine"


def damage(database: Path) -> None:
    """Destroys what LevelDB reads first."""
    database.mkdir(parents=True, exist_ok=True)
    (database / "CURRENT").write_text("nonsense")


@pytest.mark.parametrize("daemon", DAEMONS)
@pytest.mark.parametrize(("folder", "advice"), [("blobs", "move the folder away"), ("node/db", "move it away")])
def test_corrupt_database(commands: CommandServer, tmp_path: Path, daemon: str, folder: str, advice: str) -> None:
    with BlobStore(tmp_path / "blobs") as store:
        store.put_blob(b"precious")
    damage(tmp_path / folder)
    before = digest(tmp_path / folder)
    check_refusal(commands.run(*with_key(daemon), "--base-path", tmp_path), str(tmp_path / folder), "damaged", advice)
    assert digest(tmp_path / folder) == before, "a damaged folder may be all that somebody has: leave it alone"


@pytest.mark.parametrize("daemon", DAEMONS)
def test_folder_in_use(commands: CommandServer, tmp_path: Path, daemon: str) -> None:
    with BlobStore(tmp_path / "blobs") as store:
        address = Address(Kind.BLOB, store.put_blob(b"precious"))
        check_refusal(commands.run(*with_key(daemon), "--base-path", tmp_path), "another process", "--base-path")
        assert store.get(address) == b"precious"


def test_folder_of_another_chain(commands: CommandServer, tmp_path: Path) -> None:
    """The database of preset dev is not opened as preset test."""
    run: Callable[..., Ended] = commands.run
    started = run("aipow-devnet", "--rpc-port", 0, "--base-path", tmp_path, until="authored #1 ")
    assert started.code == 0, started.errors
    check_refusal(run("aipow-devnet", "--preset", "test", "--rpc-port", 0, "--base-path", tmp_path), "genesis")


# ---- values


@pytest.mark.parametrize("value", ["0", "-1", "1.01", "nan", "fast"])
def test_throttle_out_of_range(commands: CommandServer, tmp_path: Path, value: str) -> None:
    ended = commands.run("aipow-miner", "--key", "//Bob", "--throttle", value, "--base-path", tmp_path)
    check_refusal(ended, "throttle", code=2)


@pytest.mark.parametrize("value", ["steal", "skip:2", "op:1", ""])
def test_unknown_cheat(commands: CommandServer, tmp_path: Path, value: str) -> None:
    for daemon in DAEMONS[:2]:
        ended = commands.run(daemon, "--key", "//Bob", "--cheat", value, "--base-path", tmp_path)
        check_refusal(ended, "skip", code=2)
    check_refusal(commands.run("aipow-devnet", "demo", "--cheat", value), "--cheat", code=2)


@pytest.mark.parametrize("value", ["-0.1", "1.5", "often"])
def test_watch_out_of_range(commands: CommandServer, tmp_path: Path, value: str) -> None:
    ended = commands.run("aipow-validator", "--key", "//Bob", "--watch", value, "--base-path", tmp_path)
    check_refusal(ended, "--watch", code=2)


def test_unknown_option_and_command(commands: CommandServer) -> None:
    for daemon in (*DAEMONS, "aipow"):
        check_refusal(commands.run(daemon, "--no-such-option"), "No such option", code=2)
    check_refusal(commands.run("aipow", "mine"), "No such command", code=2)


def test_options_before_a_command_of_the_miner(commands: CommandServer) -> None:
    check_refusal(commands.run("aipow-miner", "--threads", "2", "selftest"), "put --threads after 'selftest'", code=2)


def test_the_miner_starts_with_and_without_its_command(commands: CommandServer, tmp_path: Path) -> None:
    """Launchers give options only."""
    for command in ([], ["run"]):
        ended = commands.run("aipow-miner", *command, "--key", "nonsense", "--base-path", tmp_path)
        check_refusal(ended, "bad secret URI")


@pytest.mark.parametrize("value", ["0", "-1", "1,x", ""])
def test_threads_of_the_bench(commands: CommandServer, value: str) -> None:
    check_refusal(commands.run("aipow-miner", "bench", f"--threads={value}"), "--threads are numbers", code=2)


def test_models_of_the_bench(commands: CommandServer) -> None:
    check_refusal(commands.run("aipow-miner", "bench", "--models", "gpt5"), "'gpt5'", "gpt2-10m", code=2)


def test_unknown_model_and_missing_file(commands: CommandServer, tmp_path: Path) -> None:
    post = ["aipow", "task", "post", "--key", "//Bob", "--base-path", str(tmp_path)]
    check_refusal(commands.run(*post, "--model", "gpt5"), "no model is called 'gpt5'", "digits-mlp")
    missing = tmp_path / "missing.txt"
    check_refusal(commands.run(*post, "--model", "byte-gpt-tiny", "--file", missing), str(missing), "give a path")


# ---- help


@pytest.mark.parametrize(
    ("command", "wanted"),
    [
        (["aipow-miner"], ["Mine", "Example: aipow-miner", "--bootnode", "--throttle", "slashed"]),
        (["aipow-validator"], ["Validate", "Example: aipow-validator", "--bootnode", "slashed", "--watch", "dispute"]),
        (["aipow-devnet"], ["A devnet in one process", "demo", "export-spec", "--base-path"]),
        (["aipow-devnet", "demo"], ["The main job", "--json", "--keep", "Exit code 0 only if all held", "--cheat"]),
        (["aipow-devnet", "export-spec"], ["chain spec", "--raw"]),
        (["aipow"], ["task", "graph", "account", "dispute", "availability"]),
        (["aipow", "dispute"], ["list", "show", "the chain computes one place itself", "loses its bond"]),
        (["aipow", "dispute", "list"], ["Example: aipow dispute list", "--json"]),
        (["aipow", "dispute", "show"], ["Example: aipow dispute show", "tree", "--json"]),
        (["aipow", "availability"], ["list", "show", "loses its bond and the unit", "has its task closed"]),
        (["aipow", "availability", "list"], ["Example: aipow availability list", "--json"]),
        (["aipow", "availability", "show"], ["Example: aipow availability show", "--json"]),
        (["aipow", "task"], ["post", "serve", "list", "show", "download"]),
        (["aipow", "task", "serve"], ["Example: aipow task serve", "--blob-port", "loses a quarter"]),
        (["aipow", "task", "post"], ["Example: aipow task post", "--model", "--price", "digits-mlp"]),
        (["aipow", "task", "list"], ["--node"]),
        (["aipow", "task", "show"], ["--node"]),
        (["aipow", "task", "download"], ["--output", "--unit"]),
        (["aipow-miner", "run"], ["Mine", "--bootnode", "slashed"]),
        (["aipow-miner", "bench"], ["Example: aipow-miner bench", "--threads", "--compile", "kernel cache"]),
        (["aipow-miner", "selftest"], ["Exit code 1", "inconclusive", "--quick"]),
        (["aipow", "graph", "show"], ["MODEL", "--json"]),
        (["aipow", "graph", "cost"], ["Example: aipow graph cost", "MACs of each layer"]),
        (["aipow", "graph", "diff"], ["Two machines", "--dump", "--whole", "3: different"]),
        (["aipow", "account", "new"], ["encrypted"]),
        (["aipow", "account", "show"], ["--keystore"]),
    ],
)
def test_help_teaches(commands: CommandServer, command: list[str], wanted: list[str]) -> None:
    ended = commands.run(*command, "--help")
    assert ended.code == 0, ended.errors
    for text in wanted:
        assert text in " ".join(ended.output.split()), f"{command} --help does not tell about {text!r}"
    options = ended.output.partition("\nOptions:")[2]
    described = re.findall(r"^ +(--[a-z-]+)(.*(?:\n {20,}.*)*)", options, re.MULTILINE)
    assert described
    bare = [name for name, text in described if len(re.findall(r"[A-Za-z]{3,}", text)) < 2]
    assert not bare, f"{command}: options without a word of help: {bare}"
