"""Run programs. Nothing else in hentou imports `subprocess`."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import IO

from hentou.errors import HentouError

PIPE = subprocess.PIPE
"""For `spawn`: the caller reads what the program says."""


@dataclass(frozen=True, slots=True)
class Result:
    """How a program ended."""

    command: tuple[str, ...]
    status: int
    stdout: str
    stderr: str
    raw: bytes = b""
    """Standard output as it came, undecoded."""


def harmless(text: str) -> str:
    """What another machine said, without characters that steer a terminal; lines and tabs stay."""
    return "".join(c if c in "\n\t" or c.isprintable() else "\ufffd" for c in text.replace("\r\n", "\n").rstrip("\r"))


class CommandError(HentouError):
    """A program that failed: its command line, exit status and the end of what it said."""

    def __init__(self, result: Result) -> None:
        said = (result.stderr.strip() or result.stdout.strip())[-2000:]
        super().__init__(f"`{shlex.join(result.command)}` ended with status {result.status}\n{said}".rstrip())
        self.result = result


def run(
    command: Sequence[str | Path],
    *,
    stdin: str | bytes | None = None,
    check: bool = True,
    timeout: float | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Result:
    """Run a program to its end and return what it printed.

    `timeout` is in seconds; a program that takes longer is killed and reported with status 124, as by
    timeout(1). A program that is not installed is reported with status 127, one that may not be run with 126.
    """
    argv = tuple(str(word) for word in command)
    data = stdin.encode() if isinstance(stdin, str) else stdin
    try:
        done = subprocess.run(argv, input=data, capture_output=True, timeout=timeout, env=env, cwd=cwd, check=False)
        out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        result = Result(argv, done.returncode, out, err, done.stdout)
    except subprocess.TimeoutExpired as late:
        out = (late.stdout or b"").decode(errors="replace")
        err = (late.stderr or b"").decode(errors="replace")
        result = Result(argv, 124, out, f"{err}\ntook longer than {timeout} s".strip())
    except FileNotFoundError:
        result = Result(argv, 127, "", f"{argv[0]}: not installed")
    except OSError as refused:
        result = Result(argv, 126, "", f"{argv[0]}: {refused.strerror}")
    if check and result.status:
        raise CommandError(result)
    return result


def run_bounded(command: Sequence[str | Path], *, timeout: float, env: Mapping[str, str], most: int = 2**16) -> Result:
    """Run a program whose words come from elsewhere, to its end or at most `timeout` seconds: the last `most` bytes of
    its standard error are kept, and nothing of its standard output.
    """
    argv = tuple(str(word) for word in command)
    try:
        program = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=env
        )
    except OSError as refused:
        return Result(argv, 127, "", f"{argv[0]}: {refused.strerror}")
    late = Timer(timeout, program.kill)
    late.start()
    said = b""
    try:
        with program:
            assert program.stderr  # noqa: S101 - a pipe
            while more := os.read(program.stderr.fileno(), 2**16):
                said = (said + more)[-most:]
    finally:
        late.cancel()
    return Result(argv, program.returncode, "", said.decode(errors="replace"))


def interactive(command: Sequence[str | Path]) -> int:
    """Run a program on the caller's own terminal and return its exit status."""
    return subprocess.run([str(word) for word in command], check=False).returncode


Program = subprocess.Popen[bytes]
"""A running program."""


def spawn(
    command: Sequence[str | Path],
    *,
    stdout: IO[bytes] | int = subprocess.DEVNULL,
    stderr: IO[bytes] | int = subprocess.DEVNULL,
    env: Mapping[str, str] | None = None,
) -> Program:
    """Start a program that outlives its caller: its own session, no terminal, no inherited input."""
    return subprocess.Popen(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        env=env,
        start_new_session=True,
    )


Conversation = subprocess.Popen[bytes]
"""A running program with pipes to its standard input and output."""


def converse(command: Sequence[str | Path], env: Mapping[str, str] | None = None) -> Conversation:
    """Start a program that answers on its standard output what it is asked on its standard input.

    It ends by itself when its input is closed, also when this process dies.
    """
    return subprocess.Popen(
        [str(word) for word in command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=env,
    )


def end(program: Program, *, kill: bool = False) -> None:
    """Ask a spawned program, and all of its session that it started, to end; or make them, with `kill`."""
    with suppress(ProcessLookupError):
        os.killpg(program.pid, signal.SIGKILL if kill else signal.SIGTERM)


def follow(command: Sequence[str | Path]) -> tuple[int, str]:
    """Run a program whose standard error is the caller's own; its exit status and what it printed."""
    done = subprocess.run(
        [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False
    )
    return done.returncode, done.stdout.decode(errors="replace")
