"""Commands for hosts: how they are written, run and reported."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from subprocess import CompletedProcess

from tests.testbed.trees import PATH

# What a command sees; nothing of this process's own environment gets in.
ENVIRONMENT = {
    "PATH": PATH,
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    "SYSTEMD_PAGER": "cat",
    "SYSTEMD_COLORS": "0",
}


class CommandError(subprocess.CalledProcessError):
    """A command failed; unlike its base class it also says what the command wrote."""

    def __str__(self) -> str:
        return f"{super().__str__()}\n--- stdout\n{self.stdout}\n--- stderr\n{self.stderr}"


def words(command: str | Sequence[str]) -> list[str]:
    """A string is a shell command, a sequence the words of one."""
    return ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)


def to_bytes(stdin: bytes | str | None) -> bytes:
    """What a command gets to read."""
    return stdin.encode() if isinstance(stdin, str) else stdin or b""


def checked(result: CompletedProcess[str], check: bool) -> CompletedProcess[str]:
    """The result, or CommandError if it has to be a success and is none."""
    if check and result.returncode:
        raise CommandError(result.returncode, result.args, result.stdout, result.stderr)
    return result


def capture(
    command: Sequence[str], stdin: bytes, timeout: float, env: Mapping[str, str] = ENVIRONMENT
) -> CompletedProcess[str]:
    """Run a command on this machine; at the time limit end it with all its children (TimeoutExpired)."""
    process = subprocess.Popen(
        command,
        env=env,
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(stdin, timeout)
    except BaseException:
        # A command entered into a container is a grandchild: only its process group reaches it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    return CompletedProcess(
        command, process.returncode, out.decode(errors="replace"), err.decode(errors="replace")
    )
