"""What is kept of the last run: which of it a broken spec gets, and when none of it is used."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import copy_root, read_tree
from unitgen.generator import BROKEN, main
from unitgen.kept import FOLDERS, find_kept, list_inputs

SPEC = "etc/unitgen/containers/web.ini"
GOOD = "[Container]\nDescription=The web\n[Service]\nMemoryMax=100M\n"
BAD = "[Container]\nDescription=The web\n[Service]\nMemoryMax=much\n"
UNIT = "systemd-nspawn@web.service"
NOTICE = f"{UNIT}.d/11-unitgen-broken.conf"


def run(root: Path) -> tuple[int, dict[str, str]]:
    """The status of a run on this root, and what it wrote."""
    out = root.parent / f"out-{len(list(root.parent.iterdir()))}"
    return main(["unitgen-generator", str(out)], str(root)), read_tree(out)


@pytest.fixture(name="root")
def fixture_root(tmp_path: Path) -> Path:
    """A root with one sound spec, and what a run has kept of it."""
    root = tmp_path / "root"
    write(root / "usr/lib/systemd/libsystemd-shared-252.so", "")
    write(root / SPEC, GOOD)
    assert run(root)[0] == 0
    return root


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_broken_spec_keeps_what_it_had(root: Path) -> None:
    """All of it, and over several runs; what says so comes and goes with the fault."""
    _, good = run(root)
    for _ in range(3):
        write(root / SPEC, BAD)
        status, files = run(root)
        assert status == BROKEN
        notice = files.pop(NOTICE)
        assert f"/{SPEC}:4: error: [Service] MemoryMax=: " in notice
        assert files == good
    write(root / SPEC, GOOD)
    assert run(root) == (0, good)


def test_spec_that_never_was_sound_gets_the_stub(root: Path) -> None:
    write(root / SPEC.replace("web", "new"), BAD)
    status, files = run(root)
    assert status == BROKEN
    assert "exit 78" in files["systemd-nspawn@new.service"]
    assert NOTICE not in files


def test_nothing_of_a_mask_is_kept(root: Path) -> None:
    """It says that the vendor's settings are wanted, which nobody says of a broken spec."""
    (root / SPEC).write_text("")
    assert run(root)[0] == 0
    write(root / SPEC, BAD)
    assert "exit 78" in run(root)[1][f"{UNIT}"]


def test_stub_on_request(root: Path) -> None:
    write(root / "etc/unitgen/unitgen.conf", "[Container]\nWhenBroken=stub\n")
    write(root / SPEC, BAD)
    assert "exit 78" in run(root)[1][UNIT]


def test_broken_defaults_leave_every_container_as_it_was(root: Path) -> None:
    _, good = run(root)
    write(root / "etc/unitgen/unitgen.conf", "[Containr]\n")
    _, files = run(root)
    assert "/etc/unitgen/unitgen.conf:1: error: " in files.pop(NOTICE)
    assert files == good


def kept(root: Path) -> Path:
    return root / FOLDERS[0].lstrip("/")


DAMAGES: dict[str, Callable[[Path], object]] = {
    "a file is cut short": lambda kept: os.truncate(kept / f"tree/{UNIT}.d/10-unitgen-override.conf", 100),
    "a file is gone": lambda kept: (kept / f"tree/{UNIT}.d/10-unitgen-override.conf").unlink(),
    "a link is gone": lambda kept: (kept / f"tree/machines.target.wants/{UNIT}").unlink(),
    "owners are cut short": lambda kept: os.truncate(kept / "owners", 10),
    "sums are gone": lambda kept: (kept / "outputs").unlink(),
    "sums are no sums": lambda kept: (kept / "outputs").write_text("x\n"),
    "sums are no text": lambda kept: (kept / "outputs").write_bytes(b"\xff"),
    "all is gone but the folder": lambda kept: subprocess.run(["rm", "-r", *kept.iterdir()], check=True),
    "others may write": lambda kept: kept.chmod(0o1770),
    "others may write to the tree": lambda kept: (kept / "tree").chmod(0o757),
    "the tree is a link": lambda kept: os.symlink("x", (kept / "tree").rename(kept / "x").parent / "tree"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_not_used(damage: str, root: Path) -> None:
    DAMAGES[damage](kept(root))
    write(root / SPEC, BAD)
    status, files = run(root)
    assert status == BROKEN
    assert "exit 78" in files[UNIT]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_another_owns_is_not_used(root: Path) -> None:
    os.chown(kept(root), 1000, 1000)
    assert find_kept(str(root)) is None


def test_what_was_saved_is_used_after_a_reboot(root: Path) -> None:
    saved = root / FOLDERS[-1].lstrip("/")
    saved.parent.mkdir(parents=True)
    kept(root).rename(saved)
    write(root / SPEC, BAD)
    assert NOTICE in run(root)[1]


@pytest.mark.parametrize("text", [GOOD, BAD])
def test_only_a_run_without_errors_is_sealed(text: str, root: Path) -> None:
    write(root / SPEC, text)
    run(root)
    assert (kept(root) / "seal").exists() == (kept(root) / "inputs").exists() == (text == GOOD)


def test_sums_are_what_b2sum_reads(root: Path) -> None:
    """And what it reads are all files of a run: an altered one is noticed, and none is read in vain."""
    run(root)
    chroot = f"s,  /,  {root}/,"
    script = f'sed "{chroot}" inputs | b2sum --check --strict --status outputs -'
    sums = (kept(root) / "inputs").read_text()
    names = [line.partition("  ")[2] for line in sums.splitlines()]
    assert names == [f"/{SPEC}", "-"]
    command = script.replace("sed ", "grep -v '  -$' inputs | sed ").replace('" inputs', '"')
    assert subprocess.run(["sh", "-c", command], cwd=kept(root)).returncode == 0
    (root / SPEC).write_text(GOOD + "\n")
    assert subprocess.run(["sh", "-c", command], cwd=kept(root)).returncode != 0


ODD = ["a.ini", "b c.ini", ".hidden.ini", "ä.ini", "a.ini.d", "a.d.ini", "a-b.ini", "A.ini", "[x].ini", "*"]


def test_names_are_listed_as_the_shell_does(tmp_path: Path) -> None:
    """Else no run would ever find that nothing has changed."""
    root = copy_root("08-layers", tmp_path)
    for name in ODD:
        write(root / "etc/unitgen/containers" / name / "x.ini", "") if name.endswith(".d") else write(
            root / "etc/unitgen/containers" / name, ""
        )
    write(root / "usr/lib/x86_64-linux-gnu/systemd/libsystemd-shared-257.so", "")
    write(root / "usr/sbin/nft", "")
    launcher = (Path(__file__).parents[2] / "packaging/unitgen-generator").read_text()
    function = launcher.partition("is_unchanged() {")[2].partition("\n}")[0]
    lines = function.partition("    set --\n")[2].partition("    for name; do\n")[0]
    script = "export LC_ALL=C; set --\n" + lines.replace(" /", f" {root}/") + '\nprintf "%s\\n" "$@"'
    shell = subprocess.run(["/bin/sh", "-c", script], capture_output=True, check=True)
    listed = [name.removeprefix(str(root)) for name in os.fsdecode(shell.stdout).splitlines()]
    assert listed == list(list_inputs(str(root)))
    assert sum(name.startswith("/etc/unitgen/containers/") for name in listed) > len(ODD)
