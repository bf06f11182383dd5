"""What is fuzzed: functions that take any bytes, and raise if unitgen does what it must not do.

The generator runs as root at boot, and whatever lies in the folders of specs must neither end it nor hold it
up. What an input means is chosen so that it can be read and written by people.
"""

import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path

from tests.property.emitted import check_outcome
from tests.property.printer import print_assignments
from tests.property.reader import Unclean, read_unit
from unitgen.errors import BadValue, Problem
from unitgen.escape import FORBIDDEN
from unitgen.ini import parse_document
from unitgen.keys import KEYS
from unitgen.model import Host
from unitgen.native import DIRECTIVES, check_directive
from unitgen.pipeline import run_pipeline, write_result

PATH = "/etc/unitgen/containers/web.ini"
LONGEST = 1.0
"""Seconds of CPU time for a file under 1 MiB, on a machine that is no slower than the following."""
_TASK = 0.035  # seconds that it takes to do what measure_slowness() does, alone on a core of 2 to 3 GHz
FAST = "/dev/shm" if os.path.isdir("/dev/shm") else None
_PLACES: Mapping[str, str] = {
    "spec": "etc/unitgen/containers/web.ini",
    "other": "etc/unitgen/containers/other.ini",
    "vendor": "usr/lib/unitgen/containers/web.ini",
    "dropin": "etc/unitgen/containers/web.ini.d/10-more.ini",
    "second": "etc/unitgen/containers/web.ini.d/20-more.ini",
    "all": "etc/unitgen/containers/container.ini.d/10-all.ini",
    "conf": "etc/unitgen/unitgen.conf",
    "extra": "etc/unitgen/unitgen.conf.d/10-extra.conf",
    "machine-id": "etc/machine-id",
}
TEMPLATES = Path(__file__).parents[2] / "templates"
_SPEC = b"[Container]\nUnit=full\n[Files]\nBind=/srv\n[Network]\nPort=80\n[Service]\nMemoryMax=1G\n"
_HEADER = re.compile(rb"^--- ([a-z0-9-]+)\n", re.MULTILINE)
_HOSTS = {b"old": Host(252), b"nft": Host(257, "0123456789abcdef0123456789abcdef", "nft"), b"new": Host(262)}


class TooSlow(Exception):
    """Boot waits for every generator."""


def read_document(data: bytes) -> None:
    """A file to its assignments: those that systemd finds, and the same when they are written again."""
    document = parse_document(data, PATH)
    _check_problems(document.problems)
    kept = [item[:3] for item in document.assignments]
    if not document.problems:
        try:
            expected = [
                (section.strip(" \t"), key, value) for section, key, value in read_unit(data).entries
            ]
        except Unclean as error:
            raise AssertionError(f"{error} was accepted") from error
        assert kept == expected
        assert [
            item[:3] for item in parse_document(print_assignments(document.assignments), PATH).assignments
        ] == kept


def read_value(data: bytes) -> None:
    """One value: its key stands in the first line, as `Section Key`. Only BadValue says that it is wrong."""
    head, _, rest = data.partition(b"\n")
    value = FORBIDDEN.sub("", rest.decode(errors="ignore").replace("\n", "")).strip(" \t")
    section, name = find_key(head)
    if not value:
        return
    try:
        if section in DIRECTIVES:
            check_directive(section, name, value)
            return
        parsed = KEYS[section, name].type.parse(value)
    except BadValue as error:
        _check_problems((Problem("bad-value", PATH, str(error), error.hint, 1, section, name),))
        return
    words = parsed if isinstance(parsed, tuple) else (parsed,)
    assert all(isinstance(word, str | bool) for word in words)


def run_whole(data: bytes) -> None:
    """A root in which each `--- NAME` line begins a file, and on which host it is run: old, new or nft."""
    parts = _HEADER.split(b"--- spec\n" + data)[1:]
    files = dict(zip(parts[::2], parts[1::2], strict=True))
    host = next((host for name, host in _HOSTS.items() if name in files), _HOSTS[b"new"])
    root = _make_root()
    _clear(root)
    for name, place in _PLACES.items():
        if name.encode() in files:
            path = root / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(files[name.encode()])
    result = run_pipeline(str(root), host)
    _check_problems(result.problems)
    assert not any(problem.code == "internal" for problem in result.problems), result.problems
    for outcome in result.outcomes:
        check_outcome(outcome)
    assert write_result(result, str(root / "out")) == ()


def run_template(data: bytes) -> None:
    """A template of the site's own, whose name stands in the first line."""
    head, _, text = data.partition(b"\n")
    names = sorted(path.name for path in TEMPLATES.glob("*.j2"))
    name = head.decode("ascii", "replace") + ".j2"
    name = name if name in names else names[sum(head) % len(names)]
    root = _make_root()
    _clear(root)
    for place, content in ((_PLACES["spec"], _SPEC), (f"etc/unitgen/templates/{name}", text)):
        (root / place).parent.mkdir(parents=True)
        (root / place).write_bytes(content)
    (outcome,) = run_pipeline(str(root), _HOSTS[b"new"]).outcomes
    _check_problems(outcome.problems)
    assert not any(problem.code == "internal" for problem in outcome.problems), outcome.problems
    for file in outcome.files:
        assert not FORBIDDEN.search(file.text.replace("\n", "")), file.path


def find_key(head: bytes) -> tuple[str, str]:
    """The key that is named, or one that stands for the name."""
    section, _, name = head.decode("ascii", "replace").partition(" ")
    known = list_keys()
    if (section, name) in known:
        return section, name
    return tuple(known)[sum(head) % len(known)]


@cache
def list_keys() -> Mapping[tuple[str, str], None]:
    """All keys and directives."""
    natives = ((section, name) for section in ("Unit", "Service") for name in DIRECTIVES[section])
    return dict.fromkeys((*KEYS, *natives))


def _check_problems(problems: tuple[Problem, ...]) -> None:
    """Each is one line that can be written, and says where."""
    for problem in problems:
        line = problem.format()
        assert not re.search("[\n\r\0\x1b]", line) and line.encode()
        assert problem.path and problem.line >= 0 and problem.message


@cache
def _make_root() -> Path:
    root = Path(tempfile.mkdtemp(prefix="unitgen-fuzz-", dir=os.environ.get("TMPDIR") or FAST))
    root.chmod(0o755)
    return root


def _clear(root: Path) -> None:
    for name in ("etc", "usr", "out"):
        shutil.rmtree(root / name, ignore_errors=True)


def remove_root() -> None:
    """Take away what run_whole() has made."""
    if _make_root.cache_info().currsize:
        shutil.rmtree(_make_root())
        _make_root.cache_clear()


def measure_slowness() -> float:
    """How many times longer bare Python takes on this machine at this moment; at least 1."""
    before = time.process_time()
    known: dict[str, int] = {}
    for number in range(300_000):
        known[str(number & 1023)] = number
    return max(1.0, (time.process_time() - before) / _TASK)


def is_too_long(taken: float, longest: float) -> bool:
    """Whether CPU time is more than it may be, for what the machine can do just then."""
    return taken > longest and taken > longest * measure_slowness()


def limit(target: Callable[[bytes], None], longest: float) -> Callable[[bytes], None]:
    """The target, which also fails if it takes longer."""

    def run(data: bytes) -> None:
        before = time.process_time()
        target(data)
        taken = time.process_time() - before
        if len(data) < 1 << 20 and is_too_long(taken, longest):
            raise TooSlow(f"{taken:.1f} s for {len(data)} bytes")

    return run


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "document": read_document,
    "value": read_value,
    "whole": run_whole,
    "template": run_template,
}


def join_files(files: Mapping[str, bytes]) -> bytes:
    """The input of run_whole() for these files; the spec comes first."""
    spec = files.get("spec", b"")
    parts = [
        spec,
        *(b"--- %b\n%b" % (name.encode(), data) for name, data in files.items() if name != "spec"),
    ]
    return b"".join(part if part.endswith(b"\n") or not part else part + b"\n" for part in parts)


def list_seeds(checkout: Path) -> Iterator[tuple[str, str, bytes]]:
    """Inputs to begin with: target, name and bytes, made of the examples, golden cases and broken specs."""
    places = (
        "examples/*.ini",
        "tests/golden/*/root/**/*.ini",
        "tests/errors/*.ini",
        "tests/errors/*/**/*.ini",
    )
    for path in sorted(path for place in places for path in checkout.glob(place) if path.is_file()):
        name = str(path.relative_to(checkout)).replace("/", "-")
        data = path.read_bytes()
        yield "document", name, data
        yield "whole", name, join_files({"spec": data, "other": b"[Exec]\n"})
        for entry in parse_document(data, PATH).assignments:
            if (entry.section, entry.key) in list_keys() and entry.value:
                value = f"{entry.section} {entry.key}\n{entry.value}".encode()
                yield "value", f"{name}-{entry.line}", value
    for path in sorted(TEMPLATES.glob("*.j2")):
        yield "template", path.stem, b"%b\n%b" % (path.stem.encode(), path.read_bytes())
        yield "template", f"short-{path.stem}", b"%b\n{{ machine }}\n" % path.stem.encode()
