"""Measures commands in turn on a booted host: seconds that pass, and CPU time of all of the host.

It is given to the host's own Python. A JSON object on stdin, {"rounds", "pause", "steps": {NAME: {"before",
"command"}}} with shell commands, is answered on stdout by {NAME: [{"cpu", "wall"}, ...]}; the first round is
left out.
"""

import json
import subprocess
import sys
import time
from pathlib import Path


def main() -> None:
    """Carry out the request."""
    request = json.load(sys.stdin)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in request["steps"]}
    for number in range(request["rounds"] + 1):
        for name, step in request["steps"].items():
            run(step["before"])
            # What that has started in the background must not be counted.
            time.sleep(request.get("pause", 0.3))
            cpu, wall = cpu_time(), time.monotonic()
            run(step["command"])
            result = {"wall": time.monotonic() - wall, "cpu": cpu_time() - cpu}
            if number:
                found[name].append(result)
    json.dump(found, sys.stdout)


def run(command: str) -> None:
    """Run a shell command; an error ends it all."""
    subprocess.run(["/bin/sh", "-e", "-c", command], check=True, stdout=subprocess.DEVNULL)


def cpu_time() -> float:
    """What all processes of the host have used, those that have ended too."""
    lines = Path("/sys/fs/cgroup/cpu.stat").read_text().splitlines()
    return int(dict(line.split() for line in lines)["usage_usec"]) / 1e6


if __name__ == "__main__":
    main()
