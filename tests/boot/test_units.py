"""What is emitted, judged by the systemd of the suite."""

import re
from pathlib import Path

import pytest

from tests.conftest import GOLDEN, GOLDEN_CASES, copy_root, read_tree
from tests.testbed.host import NspawnHost
from unitgen.host import detect_host
from unitgen.model import Host
from unitgen.nspawn import build_command
from unitgen.pipeline import run_pipeline

# What systemd-nspawn says of a command line that it does not take (src/nspawn/nspawn.c, parse_argv()).
REFUSALS = re.compile(
    r"unrecognized option|requires an argument|Failed to parse|Invalid|may not be combined|Cannot "
)
# It needs a key or a file of the host, or another machine.
UNTRIED = (
    "--selinux",
    "--root-hash-sig",
    "--personality",
    "--cpu-affinity",
    "--load-credential",
    "--bind-user",
)


def is_too_new(host: NspawnHost, case: str) -> bool:
    """Whether a case is made for a later systemd than the host's."""
    return detect_host(str(GOLDEN / case / "root")).systemd > detect_host(str(host.tree)).systemd


@pytest.mark.parametrize("case", GOLDEN_CASES)
def test_units_pass_verify(case: str, host: NspawnHost) -> None:
    if is_too_new(host, case):
        pytest.skip("made for a newer systemd than this host's")
    folder = f"/run/golden/{case}"
    for path, text in read_tree(GOLDEN / case / "expected").items():
        if not text.startswith("-> "):
            host.write(f"{folder}/{path}", text)
    names = [path.name for path in (GOLDEN / case / "expected").glob("systemd-nspawn@*.service*")]
    units = " ".join(sorted({name.removesuffix(".d") for name in names if not name.endswith(".wants")}))
    result = host.run(f"SYSTEMD_UNIT_PATH={folder}: systemd-analyze verify --man=no {units}")
    assert result.stdout + result.stderr == ""


@pytest.mark.parametrize("case", GOLDEN_CASES)
def test_command_lines_are_taken_by_nspawn(case: str, host: NspawnHost, tmp_path: Path) -> None:
    """Every option with the value that the cases give it; no container starts, the tree is missing."""
    if is_too_new(host, case):
        pytest.skip("made for a newer systemd than this host's")
    version = Host(detect_host(str(host.tree)).systemd)
    for outcome in run_pipeline(str(copy_root(case, tmp_path)), version).outcomes:
        if outcome.state not in ("ok", "warning") or outcome.spec.find("Container", "OCIBundle"):
            continue  # a bundle is read while the command line is parsed
        words = build_command(outcome.spec, version)
        # Into which namespace is not the question here, and there is none.
        words = words[words.index("systemd-nspawn") :]
        tried = [word for word in words if not word.startswith((*UNTRIED, "--directory", "--keep-unit"))]
        if not any(word.startswith(("--image", "--mstack", "--template")) for word in tried):
            tried.insert(1, "--directory=/nonexistent")
        result = host.run(["timeout", "20", *tried], check=False)
        assert result.returncode != 0
        assert not REFUSALS.search(result.stderr), f"{outcome.source.name}: {result.stderr}"
