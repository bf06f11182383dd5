"""Measures programs one after the other, in turn, from inside the tree that they belong to.

It is given to that tree's own Python, so it needs nothing but the standard library. A JSON object on stdin,
{"rounds", "outputs", "environment", "candidates": [{"name", "command", "remove", "before", "append"}]}, is
answered on stdout by {NAME: [{"cpu", "wall", "status", "enabled", "files", "digest"}, ...]}, one entry a
round. The first round fills the page cache: it is answered as well, and is the only one that looks at what
the output contains.
"""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def main() -> None:
    """Carry out the request."""
    request = json.load(sys.stdin)
    results: dict[str, list[dict[str, Any]]] = {entry["name"]: [] for entry in request["candidates"]}
    for number in range(request["rounds"] + 1):
        for entry in request["candidates"]:
            with appended(entry["append"]):
                result = measure(entry, request["outputs"], request["environment"])
            result |= look(Path(request["outputs"][0]), thorough=number == 0)
            results[entry["name"]].append(result)
    json.dump(results, sys.stdout)


@contextlib.contextmanager
def appended(texts: dict[str, str]) -> Iterator[None]:
    """Have files end with these texts for a while."""
    kept = {path: Path(path).read_bytes() for path in texts}
    for path, text in texts.items():
        Path(path).write_bytes(kept[path] + text.encode())
    try:
        yield
    finally:
        for path, data in kept.items():
            Path(path).write_bytes(data)


def measure(entry: dict[str, Any], outputs: list[str], environment: dict[str, str]) -> dict[str, Any]:
    """Run one program once, as PID 1 runs generators, with empty output folders."""
    for path in (*outputs, *entry["remove"]):
        shutil.rmtree(path, ignore_errors=True)
    for path in outputs:
        os.makedirs(path)
    if entry["before"]:
        subprocess.run(entry["before"], check=True)
    null = [(os.POSIX_SPAWN_OPEN, number, "/dev/null", os.O_RDWR, 0) for number in range(3)]
    start = time.monotonic()
    process = os.posix_spawn(entry["command"][0], entry["command"], environment, file_actions=null)
    # The usage is that of the process and of all children that it has waited for.
    _, status, usage = os.wait4(process, 0)
    wall = time.monotonic() - start
    return {
        "cpu": usage.ru_utime + usage.ru_stime,
        "wall": wall,
        "status": os.waitstatus_to_exitcode(status),
    }


def look(output: Path, thorough: bool) -> dict[str, Any]:
    """How many containers start at boot, how many files there are, and if wanted a digest of it all."""
    digest = hashlib.sha256()
    enabled = files = 0
    for folder, names in walk(output):
        enabled += len(names) if folder.endswith("/machines.target.wants") else 0
        files += len(names)
        for name in names if thorough else ():
            path = os.path.join(folder, name)
            digest.update(f"{path}\0".encode())
            digest.update(os.readlink(path).encode() if os.path.islink(path) else Path(path).read_bytes())
    return {"enabled": enabled, "files": files, "digest": digest.hexdigest() if thorough else ""}


def walk(top: Path) -> list[tuple[str, list[str]]]:
    """All folders below, with what is in them but for folders, in order."""
    found = []
    for folder, folders, names in os.walk(top):
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        found.append((folder, sorted(names + links)))
    return sorted(found)


if __name__ == "__main__":
    main()
