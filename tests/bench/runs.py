"""What one run of a generator does: processes, system calls, modules of Python."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.bench.generators import COLD, OUTPUTS, QUADLET, WARM, Candidate
from tests.bench.room import enter
from tests.bench.specs import write_specs

COUNTS = (1, 1000)
# Quoted, as these are words of a shell script: empty output folders, and a run that is not looked at.
_FRESH = f"rm -rf {' '.join(OUTPUTS)}; mkdir -p {' '.join(OUTPUTS)}"
_FAST = "env -i PATH=/usr/sbin:/usr/bin SYSTEMD_SCOPE=system"


class Run(NamedTuple):
    """Of one run: processes, programs (a process may become another program), and system calls of all."""

    processes: int
    programs: int
    calls: int


def measure(place: Path) -> dict[str, dict[int, Run]]:
    """What each generator does, by the number of specs."""
    found: dict[str, dict[int, Run]] = {one.name: {} for one in (QUADLET, COLD, WARM)}
    for count in COUNTS:
        write_specs(place, count)
        for one in (QUADLET, COLD, WARM):
            found[one.name][count] = trace(place, one)
    return found


def trace(place: Path, candidate: Candidate) -> Run:
    """Trace two runs: once all calls are counted, which is quick, and once new processes are looked at."""
    command = " ".join(candidate.command)
    # A warm run is one after another, in the same /run.
    first = f"{_FRESH}; {_FAST} {command}" if candidate is WARM else ":"
    remove = f"rm -rf {' '.join(candidate.remove)}" if candidate.remove else ":"
    new = "strace -f -e trace=execve,clone,clone3,fork,vfork -o /run/new"
    script = f"""
        exec 2>/dev/null
        {remove}; {first}
        {_FRESH}; {_FAST} strace -f -c -U calls,name -o /run/calls {command}
        {remove}; {_FRESH}; {_FAST} {new} {command}
        grep total /run/calls; cat /run/new
    """
    total, *lines = enter(place, ["/bin/sh", "-e", "-c", script]).splitlines()
    return Run(*count_processes(lines), calls=int(total.split()[0]))


def count_processes(lines: Sequence[str]) -> tuple[int, int]:
    """How many processes and programs there are in a trace, with those of the start and without threads."""
    processes = programs = 1
    for line in lines:
        call = re.match(r"\d+ +(execve|clone3?|v?fork)\(", line)
        if not call or " = -1 " in line:
            continue
        if call[1] == "execve":
            programs += 1
        elif "CLONE_THREAD" not in line:
            processes += 1
    # The first program is in the trace, its process is not.
    return processes, programs - 1


def count_modules(place: Path) -> tuple[int, int]:
    """How many modules Python imports for a cold run with one spec, and how many for nothing at all."""
    write_specs(place, 1)
    python = "/usr/bin/python3 -I -S -X importtime"
    script = f"""
        {_FRESH}; {python} /usr/lib/unitgen/generator {OUTPUTS[0]} 2>&1 | grep -c '^import time:.* [0-9]'
        {python} -c '' 2>&1 | grep -c '^import time:.* [0-9]'
    """
    ours, bare = enter(place, ["/bin/sh", "-e", "-c", script]).split()
    return int(ours), int(bare)


def rows(found: dict[str, dict[int, Run]]) -> list[list[str]]:
    """A row for each generator, the headings first."""
    low, high = COUNTS
    head = ["", "processes", "programs", f"system calls, {low:,} spec", f"{high:,} specs", "per spec"]
    table = [head]
    for name, runs in found.items():
        few, many = runs[low], runs[high]
        each = (many.calls - few.calls) / (high - low)
        table.append(
            [name, str(few.processes), str(few.programs), f"{few.calls:,}", f"{many.calls:,}", f"{each:.1f}"]
        )
    return table
