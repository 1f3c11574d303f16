"""What the command lines share: keys, options' help, exit codes.

Exit codes: 0 done, 1 an error of ours (one line on stderr says what to do), 2 wrong usage, 130 Ctrl-C.
"""

from __future__ import annotations

import asyncio
import getpass
import logging
import os
import sys
import traceback
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NoReturn

import typer
from chain.client import ChainClientError
from chain.errors import ChainError
from chain.identity import IdentityError
from platformdirs import user_data_path

from miner.roles.link import ChainLink
from miner.store.errors import StoreError
from miner.wallet import Wallet, WalletError, load_keystore
from miner.work.cheat import parse_cheat
from miner.work.errors import JobError, WorkError
from miner.work.segment import Pace

PASSWORD_VARIABLE = "AIPOW_PASSWORD"  # noqa: S105 - the name of a variable, no password
"""Environment variable with the keystore's password, for services without a terminal."""

READER_URI = "//Reader"
"""Whoever only reads needs no key of his own; nothing is signed with this one."""

CONNECT_SECONDS = 5.0
"""How long a reading command waits for its node."""

USER_ERRORS = (ChainError, ChainClientError, IdentityError, StoreError, WalletError, WorkError, OSError, TimeoutError)
"""Errors that end a command with one line instead of a traceback."""


def fail(message: str, code: int = 1) -> NoReturn:
    """Ends the command with a line on stderr."""
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(code)


def describe(error: BaseException) -> str:
    """An error's message; one of the operating system with the path first and what to do last."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}; give a path that exists and that you may read and write"
    return str(error) or type(error).__name__


def open_wallet(key: str | None, keystore: Path | None) -> Wallet:
    """The wallet of `--key` or `--keystore`; ends the command unless one of them is given and can be opened."""
    if (key is None) == (keystore is None):
        fail("give either --key (a secret URI like //Bob, for development) or --keystore FILE", 2)
    try:
        if key is not None:
            return Wallet.from_uri(key)
        if keystore is None:
            fail("no keystore given", 2)
        password = os.environ.get(PASSWORD_VARIABLE) or getpass.getpass(f"password of {keystore}: ")
        return load_keystore(keystore, password)
    except FileNotFoundError:
        fail(f"there is no keystore {keystore}; make a key with `aipow account new {keystore}`")
    except (WalletError, OSError) as error:
        fail(describe(error))


def make_pace(throttle: float, cheat: str) -> Pace:
    """The pace of `--throttle` and `--cheat`; ends the command with wrong usage."""
    try:
        return Pace(throttle, parse_cheat(cheat))
    except JobError as error:
        raise typer.BadParameter(str(error)) from error


def default_base_path(name: str, wallet: Wallet) -> Path:
    """Data folder of a daemon when none is given: one for each account."""
    return user_data_path("aipow") / f"{name}-{wallet.address[:12]}"


def run_async(work: Coroutine[Any, Any, None]) -> None:
    """Runs a command's coroutine; expected errors become one line and exit code 1."""
    try:
        asyncio.run(work)
    except USER_ERRORS as error:
        fail(describe(error))
    except ExceptionGroup as group:
        expected, others = group.split(USER_ERRORS)
        if others is not None or expected is None:
            raise
        fail("; ".join(describe(error) for error in expected.exceptions))
    except KeyboardInterrupt:
        sys.exit(130)


def read_chain(
    node: str, work: Callable[[ChainLink], Coroutine[Any, Any, None]], wallet: Wallet | None = None
) -> None:
    """Runs a reading command on a link to a node."""

    async def run() -> None:
        link = ChainLink(node, wallet or Wallet.from_uri(READER_URI))
        try:
            await link.connect(CONNECT_SECONDS)
            await work(link)
        finally:
            await link.close()

    run_async(run())


def run_app(app: typer.Typer) -> NoReturn:
    """Runs a command line and ends the process at once with its exit code.

    By then everything is closed; the interpreter's own teardown of Wasm and libp2p modules would take seconds more than
    a user who pressed Ctrl-C should wait.
    """
    code: object = 0
    try:
        app()
    except SystemExit as error:
        code = error.code
    except BaseException:  # noqa: BLE001 - printed whole: a bug of ours
        traceback.print_exc()
        code = 1
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))
