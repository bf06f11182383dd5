"""python -m tests.fuzz SECONDS [TARGET...]: fuzz each target for its share of the time.

What is new and of interest is kept in the cache, for the next run to go on from. What breaks something is
written to tests/fuzz/found, to be replayed by test_found.py from then on.
"""

import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.fuzz.targets import FAST, TARGETS, list_keys, list_seeds
from tests.property.texts import FRAGMENTS, encode

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]
# Whole runs are slow, and have the most to find.
_SHARES = {"document": 1, "value": 1, "whole": 3, "template": 1}


def main(arguments: Sequence[str]) -> int:
    """1 if something was found."""
    if not arguments or not arguments[0].isdecimal() or not {*arguments[1:]} <= {*TARGETS}:
        print(f"usage: python -m tests.fuzz SECONDS [{' '.join(TARGETS)}]", file=sys.stderr)
        return 2
    if not importlib.util.find_spec("atheris"):
        print("fuzz: atheris is not installed: pip install '.[fuzz]'", file=sys.stderr)
        return 2
    names = arguments[1:] or list(TARGETS)
    parts = sum(_SHARES[name] for name in names)
    with tempfile.TemporaryDirectory(prefix="unitgen-fuzz-", dir=FAST) as place:
        write_seeds(Path(place))
        statuses = [fuzz(name, Path(place), int(arguments[0]) * _SHARES[name] // parts) for name in names]
    return int(any(statuses))


def write_seeds(place: Path) -> None:
    """A folder of seeds for each target, and the words that inputs are made of."""
    for target in TARGETS:
        (place / target).mkdir()
    for target, name, data in list_seeds(CHECKOUT):
        (place / target / name).write_bytes(data)
    words = [
        *(encode(text) for text in FRAGMENTS),
        *(f"{section} {name}\n".encode() for section, name in list_keys()),
    ]
    words += [f"{name}=".encode() for _, name in list_keys()]
    quoted = ("".join(f"\\x{byte:02x}" for byte in word) for word in words)
    (place / "words").write_text("".join(f'"{word}"\n' for word in quoted))


def fuzz(target: str, place: Path, seconds: int) -> int:
    """Fuzz one target; the status of libFuzzer."""
    print(f"fuzz: {target} for {seconds} s", flush=True)
    cache = Path(os.environ.get("UNITGEN_CACHE") or Path.home() / ".cache/unitgen-testbed") / "fuzz" / target
    found = HERE / "found" / target
    for folder in (cache, found):
        folder.mkdir(parents=True, exist_ok=True)
    options = [f"-max_total_time={seconds}", "-timeout=30", "-rss_limit_mb=2048", "-max_len=8192"]
    options += [
        f"-dict={place / 'words'}",
        f"-artifact_prefix={found}/",
        "-print_final_stats=1",
        "-verbosity=0",
    ]
    command = [sys.executable, "-m", "tests.fuzz.session", target, *options]
    # libFuzzer ends the process at once, so that nothing could be cleared away there.
    environment = os.environ | {"TMPDIR": str(place)}
    return subprocess.run(
        [*command, str(cache), str(place / target)], cwd=CHECKOUT, env=environment
    ).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
