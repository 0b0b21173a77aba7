"""Commands of a shell's script that are forked as services are: a fresh interpreter imports for a second."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import socket
import sys
import threading
from collections.abc import Iterator
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any

from tests.service.running import forks

#: Has a command run by the process that forks, with this one's arguments, folder, environment and streams.
_CLIENT = """
import json, os, socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
    server.connect("\\0" + sys.argv[1])
    words = json.dumps([sys.argv[2:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(server, [words], [0, 1, 2])
    sys.exit(int(server.recv(9)))
"""
_MODULES = {"app": "app.cli", "sigil_native.cli": "sigil_native.cli"}


def _become(arguments: list[str], folder: str, environment: dict[str, str], streams: list[Any]) -> None:
    """Turn a forked process into what ``python -m MODULE`` is."""
    for number, stream in enumerate(streams):
        opened = stream.detach()
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = os.fdopen(0)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = arguments
    sys.exit(importlib.import_module(_MODULES[arguments[0]]).main())


def _answer(client: socket.socket) -> None:
    """Run what one client asks for, and tell it the status."""
    with client:
        words, streams, *_ = socket.recv_fds(client, 1 << 20, 3)
        try:
            process = forks.Process(
                target=_become, args=(*json.loads(words), [DupFd(one) for one in streams])
            )
            process.start()
        finally:
            for stream in streams:
                os.close(stream)
        process.join()
        code = process.exitcode
        assert code is not None
        with contextlib.suppress(BrokenPipeError):  # nobody waits for it any more
            client.send(b"%d" % (code if code >= 0 else 128 - code))


def _serve(listener: socket.socket) -> None:
    """Answer until the listener is shut down."""
    answering: list[threading.Thread] = []
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            break
        answering.append(threading.Thread(target=_answer, args=(client,)))
        answering[-1].start()
    for thread in answering:
        thread.join()


@contextlib.contextmanager
def commands(folder: Path) -> Iterator[None]:
    """Have ``python -m app`` and ``sigil`` in an empty folder, and as ``python`` whatever else it can run."""
    name = f"sigil-commands-{os.getpid()}-{id(folder)}"
    client = folder / "client.py"
    client.write_text(_CLIENT)
    forked = f"exec {sys.executable} -IS {client} {name}"
    scripts = {
        "python": f'[ "$1" != -m ] || {{ shift; {forked} "$@"; }}\nexec {sys.executable} "$@"\n',
        "sigil": f'{forked} sigil_native.cli "$@"\n',
    }
    for script, text in scripts.items():
        (folder / script).write_text(f"#!/bin/sh\n{text}")
        (folder / script).chmod(0o755)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(f"\0{name}")
        listener.listen()
        serving = threading.Thread(target=_serve, args=(listener,))
        serving.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            serving.join()
