"""How long the generators take, for few and for many specs."""

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from tests.bench import runner
from tests.bench.room import run_inside
from tests.bench.specs import UNITGEN_FOLDER, write_specs

# As PID 1 calls them: three folders, and this environment.
OUTPUTS = [f"/run/systemd/generator{suffix}" for suffix in ("", ".early", ".late")]
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin",
    "HOME": "/",
    "LANG": "C.UTF-8",
    "SYSTEMD_SCOPE": "system",
}
# What unitgen keeps of an earlier run.
KEPT = ("/run/unitgen", "/var/cache/unitgen")
GENERATORS = "/usr/lib/systemd/system-generators"


_NONE: Mapping[str, str] = MappingProxyType({})


class Candidate(NamedTuple):
    """A program to measure, what is removed and run before each of its runs, and what files end with."""

    name: str
    command: Sequence[str]
    remove: Sequence[str] = ()
    before: Sequence[str] = ()
    append: Mapping[str, str] = _NONE
    # Whether it has to enable each container; a bare interpreter does not.
    emits: bool = True


class Figures(NamedTuple):
    """Of a candidate's runs: medians in seconds, medians of the ratios to Quadlet's run of the same round,
    the number of files it wrote, and a digest of them.
    """

    cpu: float
    wall: float
    cpu_ratio: float
    wall_ratio: float
    files: int
    digest: str


class GeneratorError(Exception):
    """A generator did not do what it is measured for."""


def generator(name: str, program: str, **settings: Any) -> Candidate:
    """A candidate that is called as PID 1 calls generators."""
    return Candidate(name, [f"{GENERATORS}/{program}-generator", *OUTPUTS], **settings)


SHELL = Candidate("sh", ["/bin/sh", "-c", ":"], emits=False)
PYTHON = Candidate("python3 -I -S", ["/usr/bin/python3", "-I", "-S", "-c", ""], emits=False)
QUADLET = generator("Quadlet", "podman-system")
COLD = generator("unitgen cold", "unitgen", remove=KEPT)
# It comes after the cold one, and finds what that has kept: a daemon-reload.
WARM = generator("unitgen warm", "unitgen")
# Then /run is empty, and there is what unitgen-keep.service has saved: a boot.
_SAVE = f"mkdir -p {KEPT[1]} && cp -a {KEPT[0]}/kept {KEPT[1]} && rm -r {KEPT[0]}"
_SAVE_ANY = f"[ ! -d {KEPT[0]} ] || {{ {_SAVE}; }}"
SAVED = generator("unitgen warm, at boot", "unitgen", before=["/bin/sh", "-c", _SAVE_ANY])
# What is kept is there, and of no use, because one spec says something else.
CHANGED = generator("unitgen changed", "unitgen", append={f"/{UNITGEN_FOLDER}/c0.ini": "RestartSec=7\n"})
CANDIDATES = (SHELL, PYTHON, QUADLET, COLD, WARM, SAVED, CHANGED)


def measure(
    place: Path, count: int, rounds: int, candidates: Sequence[Candidate] = CANDIDATES
) -> dict[str, Figures]:
    """Run the candidates in turn on that many specs, and check that they did their work."""
    write_specs(place, count)
    candidates = [candidate for candidate in candidates if count or not candidate.append]
    request = {
        "rounds": rounds,
        "outputs": OUTPUTS,
        "environment": ENVIRONMENT,
        "candidates": [asdict(candidate) for candidate in candidates],
    }
    results = json.loads(run_inside(place, Path(runner.__file__), request))
    for candidate in candidates:
        check(candidate, results[candidate.name], count)
    base = results.get(QUADLET.name) or results[candidates[0].name]
    return {name: figures(runs, base) for name, runs in results.items()}


def asdict(candidate: Candidate) -> dict[str, Any]:
    """A candidate in the words of the runner."""
    return candidate._asdict() | {"append": dict(candidate.append)}


def check_same(found: dict[str, Figures]) -> None:
    """Raise GeneratorError unless what unitgen keeps is what it makes anew, and an edit takes effect."""
    if len({found[candidate.name].digest for candidate in (COLD, WARM, SAVED)}) > 1:
        raise GeneratorError("what unitgen kept differs from what it makes anew")
    if CHANGED.name in found and found[COLD.name].digest == found[CHANGED.name].digest:
        raise GeneratorError("what unitgen makes of a changed spec is what it kept of the old one")


def check(candidate: Candidate, runs: list[dict[str, Any]], count: int) -> None:
    """Raise GeneratorError unless each run was a success and enabled all units."""
    expected = count if candidate.emits else 0
    for run in runs:
        if run["status"] or run["enabled"] != expected:
            raise GeneratorError(
                f"{candidate.name} of {count} specs: status {run['status']}, {run['enabled']} units enabled"
            )


def figures(runs: list[dict[str, Any]], base: list[dict[str, Any]]) -> Figures:
    """What is reported of several runs, of which the first does not count."""
    medians = {key: statistics.median(run[key] for run in runs[1:]) for key in ("cpu", "wall")}
    # In a round all ran within moments: other load on the machine slowed all of them down.
    ratios = {
        key: statistics.median(run[key] / other[key] for run, other in zip(runs[1:], base[1:], strict=True))
        for key in ("cpu", "wall")
    }
    first = runs[0]
    return Figures(
        medians["cpu"], medians["wall"], ratios["cpu"], ratios["wall"], first["files"], first["digest"]
    )
