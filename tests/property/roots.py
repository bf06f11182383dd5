"""Roots with specs for one example, and what becomes of them."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from unitgen.model import Host
from unitgen.pipeline import Outcome, Result, run_pipeline

FOLDER = "etc/unitgen/containers"
HOST = Host(262, "0123456789abcdef0123456789abcdef")
_FAST = "/dev/shm"


@contextmanager
def make_root(files: Mapping[str | bytes, bytes]) -> Iterator[Path]:
    """A root with these files, by their path below it."""
    root = Path(tempfile.mkdtemp(prefix="unitgen-property-", dir=_FAST if os.path.isdir(_FAST) else None))
    try:
        root.chmod(0o755)
        for path, data in files.items():
            place = os.path.join(bytes(root), os.fsencode(path))
            os.makedirs(os.path.dirname(place), 0o755, exist_ok=True)
            with open(place, "wb") as file:
                file.write(data)
        yield root
    finally:
        shutil.rmtree(root)


def run(files: Mapping[str | bytes, bytes], host: Host = HOST) -> Result:
    """What the pipeline makes of a root with these files."""
    with make_root(files) as root:
        return run_pipeline(str(root), host)


def run_specs(specs: Mapping[str, bytes], host: Host = HOST) -> dict[str, Outcome]:
    """The outcomes of a fleet, by name."""
    result = run({locate(name): data for name, data in specs.items()}, host)
    assert result.general == ()
    assert [outcome.source.name for outcome in result.outcomes] == sorted(specs)
    return {outcome.source.name: outcome for outcome in result.outcomes}


def locate(name: str) -> str:
    """The path of a spec below the root."""
    return f"{FOLDER}/{name}.ini"


def fetch_file(outcome: Outcome, suffix: str) -> bytes:
    """The text of the one file whose path ends so."""
    (text,) = [file.text for file in outcome.files if file.path.endswith(suffix)]
    return text.encode()
