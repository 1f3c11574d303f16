"""Listening sockets of the daemons' HTTP servers, with an error that names the option to change."""

from __future__ import annotations

import errno

from aiohttp import web


class PortInUseError(OSError):
    """`host:port` cannot be bound; `option` is the command line's name for the port."""

    def __init__(self, host: str, port: int, option: str, reason: OSError) -> None:
        self.host, self.port, self.option = host, port, option
        cause = "the port is in use" if reason.errno == errno.EADDRINUSE else reason.strerror or str(reason)
        super().__init__(f"cannot listen on {host}:{port}: {cause}; stop the other process or take another {option}")


async def listen(runner: web.AppRunner, host: str, port: int, option: str) -> int:
    """Binds a server that is set up; the port (0 takes a free one). Cleans up and raises PortInUseError."""
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        raise PortInUseError(host, port, option, error) from error
    bound: int = runner.addresses[0][1]
    return bound
