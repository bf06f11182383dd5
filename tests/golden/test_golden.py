"""Whole trees in, whole trees out, byte for byte."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import GOLDEN, GOLDEN_CASES, copy_root, read_tree
from unitgen.host import detect_host
from unitgen.keys import KEYS
from unitgen.pipeline import run_pipeline, write_result
from unitgen.systemd import ask_version

PACKAGING = Path(__file__).parents[2] / "packaging"
PROGRAM = "/usr/lib/unitgen/network"


@pytest.mark.parametrize("case", GOLDEN_CASES)
def test_golden(case: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Emitted files and reported problems of a case."""
    root, out = copy_root(case, tmp_path), tmp_path / "out"
    result = run_pipeline(str(root))
    assert write_result(result, str(out)) == ()
    report = "".join(f"{problem.format()}\n" for problem in result.problems)
    expected, expected_report = GOLDEN / case / "expected", GOLDEN / case / "report"
    if request.config.getoption("--update-golden"):
        shutil.rmtree(expected, ignore_errors=True)
        shutil.copytree(out, expected, symlinks=True)
        expected_report.unlink(missing_ok=True)
        if report:
            expected_report.write_text(report)
    assert report == (expected_report.read_text() if expected_report.exists() else "")
    assert read_tree(out) == read_tree(expected)


@pytest.mark.parametrize("seed", ["0", "1"])
def test_same_bytes_under_any_hash_seed(seed: str, tmp_path: Path) -> None:
    """The generator itself, as a process of its own, under two hash seeds and another locale."""
    script = "import sys; from unitgen.generator import main; sys.exit(main(sys.argv[:2], sys.argv[2]))"
    environment = os.environ | {"PYTHONHASHSEED": seed, "LC_ALL": "C", "LANG": "C"}
    for case in GOLDEN_CASES:
        root, out = copy_root(case, tmp_path / case), tmp_path / case / "out"
        command = [sys.executable, "-c", script, str(out), str(root)]
        subprocess.run(command, env=environment, check=False, capture_output=True, timeout=60)
        assert read_tree(out) == read_tree(GOLDEN / case / "expected"), case


def list_units(expected: Path) -> list[str]:
    """Every service of unitgen's that a case has a file for."""
    names = {path.name.removesuffix(".d") for path in expected.iterdir()}
    return sorted(name for name in names if name.endswith(".service") and not name.endswith("@.service"))


def install_units(place: Path) -> Path:
    """The units of the package, with its program where the checkout has it."""
    shutil.copytree(PACKAGING / "units", place)
    for unit in place.glob("*.service"):
        if unit.is_file():
            unit.write_text(unit.read_text().replace(PROGRAM, str(PACKAGING / "network")))
    return place


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
@pytest.mark.parametrize("case", GOLDEN_CASES)
def test_systemd_analyze_verify_is_silent(case: str, tmp_path: Path) -> None:
    """systemd has nothing to say against any unit; newer ones are verified in the booted hosts."""
    if detect_host(str(GOLDEN / case / "root")).systemd > ask_version():
        pytest.skip("made for a newer systemd than this machine's")
    expected = GOLDEN / case / "expected"
    units = list_units(expected)
    assert any(unit.startswith("systemd-nspawn@") for unit in units)
    command = ["systemd-analyze", "verify", "--man=no", *units]
    environment = os.environ | {"SYSTEMD_UNIT_PATH": f"{expected}:{install_units(tmp_path / 'units')}:"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert (result.stdout, result.stderr) == ("", "")


def test_containers_pull_in_what_is_made_for_them() -> None:
    """Every network or bridge that has a drop-in is one that a container goes with, and the other way round.

    The bridge has to be wanted too; the network is by the package's drop-in for all containers.
    """
    for case in GOLDEN_CASES:
        expected = GOLDEN / case / "expected"
        if (GOLDEN / case / "root/etc/unitgen/templates").exists():
            continue  # the site's own templates leave the dependencies out
        made = {path.name.removesuffix(".d") for path in expected.glob("unitgen-*@*.service.d")}
        text = "".join(path.read_text() for path in expected.glob("systemd-nspawn@*.service.d/*.conf"))
        assert {unit for unit in list_words(text, "StopPropagatedFrom") if "unitgen-" in unit} == made, case
        bridges = {unit for unit in made if unit.startswith("unitgen-bridge@")}
        assert {unit for unit in list_words(text, "Wants") if "unitgen-" in unit} == bridges, case


def list_words(text: str, key: str) -> list[str]:
    return " ".join(re.findall(f"^{key}=(.*)$", text, re.MULTILINE)).split()


def test_every_key_has_a_golden_case() -> None:
    """A key without a case is not done."""
    specs = [
        path.read_bytes().decode("utf-8-sig") for path in GOLDEN.glob("*/root/**/*.ini") if path.is_file()
    ]
    used = {line.partition("=")[0].strip() for spec in specs for line in spec.splitlines() if "=" in line}
    assert {key for _, key in KEYS} <= used


def test_every_option_is_emitted_in_a_golden_case() -> None:
    """The option of every row stands in some expected command line."""
    emitted = "".join(path.read_text() for path in GOLDEN.glob("*/expected/**/*.conf"))
    missing = [row.option for row in KEYS.values() if row.option.partition("{")[0] not in emitted]
    assert missing == []
