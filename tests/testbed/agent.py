"""The testbed's hand inside a virtual machine: runs the commands that arrive on a serial port.

One JSON object a line: {"id", "command", "environment", "stdin", "timeout"} is answered by {"id", "status",
"stdout", "stderr"}; texts are in base64, and the status is null if the time limit was reached. It needs
nothing but Python's standard library, since it is copied into the machine alone.
"""

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator


def execute(
    command: list[str], environment: dict[str, str], stdin: bytes, timeout: float
) -> tuple[int | None, bytes, bytes]:
    """Run a command; at the time limit end it with all its children."""
    try:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        return 127, b"", f"{command[0]}: {error.strerror}\n".encode()
    try:
        out, err = process.communicate(stdin, timeout)
        return process.returncode, out, err
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        return None, *process.communicate()


def answer(line: bytes) -> bytes:
    """Carry out one request."""
    request = json.loads(line)
    stdin = base64.b64decode(request["stdin"])
    status, out, err = execute(request["command"], request["environment"], stdin, request["timeout"])
    texts = {"stdout": base64.b64encode(out).decode(), "stderr": base64.b64encode(err).decode()}
    return json.dumps({"id": request["id"], "status": status, **texts}).encode() + b"\n"


def requests(port: int) -> Iterator[bytes]:
    """The lines that arrive, for ever; reading nothing means that nobody is at the other end just now."""
    parts: list[bytes] = []
    while True:
        chunk = os.read(port, 1 << 16)
        if not chunk:
            time.sleep(0.1)
        # A long line comes in many chunks: they are joined only once.
        while b"\n" in chunk:
            end, chunk = chunk.split(b"\n", 1)
            yield b"".join((*parts, end))
            parts.clear()
        parts.append(chunk)


def main(path: str) -> None:
    """Serve the port at this path."""
    port = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    for line in requests(port):
        # The rest of a line that was cut off by a reboot is no request, and nobody waits for the answer.
        with contextlib.suppress(ValueError):
            reply = answer(line)
            while reply:
                reply = reply[os.write(port, reply) :]


if __name__ == "__main__":
    main(sys.argv[1])
