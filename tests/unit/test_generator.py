"""The entry at boot, as a process of its own: arguments, status, what it loads, and what it must not do."""

import ast
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import GOLDEN_CASES, copy_root, read_tree
from unitgen.generator import BROKEN

CHECKOUT = Path(__file__).parents[2]
FOLDER = "etc/unitgen/containers"
CASE = "04-network"
BROKEN_CASE = "09-broken"

FORBIDDEN_MODULES = {"pwd", "grp", "socket", "subprocess", "multiprocessing", "asyncio", "ctypes"}
FORBIDDEN_MODULES |= {"unitgen.systemd", "unitgen.cli", "argparse", "watchdog", "rich"}
FORBIDDEN_MODULES |= {"dataclasses", "json", "logging", "pathlib", "tempfile"}

RUN = """
import sys
sys.path.insert(0, {checkout!r})
from unitgen.generator import main
sys.exit(main(sys.argv[1:], {root!r}))
"""

# Bare Python, without site: what remains is what unitgen brought.
LOAD = """
import os  # what a generator cannot do without
import sys
before = set(sys.modules)
sys.path.insert(0, {checkout!r})
from unitgen.generator import main
status = main(sys.argv[1:], {root!r})
print([status, sorted(set(sys.modules) - before)])
"""

# Everything that CPython tells an audit hook of; what is written is told with its path.
AUDIT = """
import os, sys
FORBIDDEN = ("subprocess.", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.system", "pty.",
             "socket.", "ctypes.", "os.setxattr", "os.chown", "os.kill", "signal.pthread_kill")
CHANGES = ("os.chmod", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink", "os.link",
           "os.truncate", "os.utime", "shutil.")
# Where in the arguments the names stand that are changed.
PLACES = {{"os.symlink": slice(1, 2), "os.rename": slice(2), "os.link": slice(2)}}
events = []
def hook(event, arguments):
    if event.startswith(FORBIDDEN):
        events.append([event, repr(arguments)])
    elif event.startswith(CHANGES):
        paths = arguments[PLACES.get(event, slice(1))]
        events.extend([event, os.fspath(path)] for path in paths if isinstance(path, (str, bytes)))
    elif event == "open" and isinstance(arguments[0], str):
        if arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND):
            events.append([event, arguments[0]])
sys.path.insert(0, {checkout!r})
sys.addaudithook(hook)
from unitgen.generator import main
status = main(sys.argv[1:], {root!r})
print([status, events, sorted(sys.modules)])
"""


def run_script(
    script: str, root: Path, *arguments: object, options: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """Run it as systemd would: in `/`, with nothing but what a generator gets."""
    code = script.format(checkout=str(CHECKOUT), root=str(root))
    # HOME as the kernel gives it to PID 1: without it Python's own start looks up the user (site.py).
    environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "HOME": "/"}
    return subprocess.run(
        [sys.executable, "-I", "-B", *options, "-c", code, *map(str, arguments)],
        env=environment | {"SYSTEMD_EXEC_PID": "1"},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
    )


def make_nothing(root: Path) -> None:
    root.mkdir()


def make_empty_folders(root: Path) -> None:
    for place in ("etc", "run", "usr/local/lib", "usr/lib"):
        (root / place / "unitgen/containers").mkdir(parents=True)


def make_folders_without_specs(root: Path) -> None:
    make_empty_folders(root)
    (root / FOLDER / "README").touch()
    (root / FOLDER / "container.ini.d").mkdir()
    (root / FOLDER / "container.ini.d/10-all.ini").write_text("[Exec]\nBoot=ture\n")
    (root / "etc/unitgen/unitgen.conf").write_text("stray\n")


@pytest.mark.parametrize(
    ("case", "count", "status"),
    [
        (CASE, 1, 0),
        (CASE, 3, 0),
        (CASE, 0, 2),
        (CASE, 2, 2),
        (CASE, 4, 2),
        (BROKEN_CASE, 1, BROKEN),
        (BROKEN_CASE, 3, BROKEN),
        (BROKEN_CASE, 2, 2),
    ],
)
def test_status(case: str, count: int, status: int, tmp_path: Path) -> None:
    """systemd gives three directories, a person may give one."""
    root = copy_root(case, tmp_path)
    folders = [tmp_path / name for name in ("normal", "early", "late", "fourth")[:count]]
    result = run_script(RUN, root, "unitgen-generator", *folders)
    assert result.returncode == status
    assert result.stdout == ""
    if status == 2:
        assert "usage: " in result.stderr
        assert list(tmp_path.iterdir()) == [root]
    else:
        assert read_tree(tmp_path / "normal") == read_tree(CHECKOUT / "tests/golden" / case / "expected")
        assert sorted(tmp_path.iterdir()) == sorted([root, tmp_path / "normal"]), "nothing goes elsewhere"


@pytest.mark.parametrize("make", [make_nothing, make_empty_folders, make_folders_without_specs])
@pytest.mark.parametrize("count", [1, 3])
def test_without_specs_nothing_is_loaded(make: Callable[[Path], None], count: int, tmp_path: Path) -> None:
    """Every boot of every host waits for this, whether or not it has a container."""
    root = tmp_path / "root"
    make(root)
    folders = [tmp_path / name for name in ("normal", "early", "late")[:count]]
    result = run_script(LOAD, root, "unitgen-generator", *folders, options=("-S",))
    assert result.stderr == ""
    status, modules = ast.literal_eval(result.stdout)
    assert status == 0
    assert modules == ["unitgen", "unitgen.generator", "unitgen.places"]
    assert list(tmp_path.iterdir()) == [root]


@pytest.mark.parametrize("case", GOLDEN_CASES)
def test_does_nothing_but_write(case: str, tmp_path: Path) -> None:
    """No process, no socket, no user looked up, no byte outside of the directory and what is kept of it."""
    root, out = copy_root(case, tmp_path), tmp_path / "out"
    result = run_script(AUDIT, root, "unitgen-generator", out, tmp_path / "early", tmp_path / "late")
    status, events, modules = ast.literal_eval(result.stdout)
    assert status in (0, BROKEN)
    places = (str(out), f"{root}/run/unitgen")
    missing = {f"{root}/run"}  # on a real host it is there
    elsewhere = [
        (event, path) for event, path in events if path not in missing and not path.startswith(places)
    ]
    assert elsewhere == []
    written = [path for event, path in events if event == "open" and path.startswith(f"{out}/")]
    assert len(written) == sum(path.is_file() and not path.is_symlink() for path in out.rglob("*")) > 0
    assert FORBIDDEN_MODULES & set(modules) == set()


def test_audit_would_notice(tmp_path: Path) -> None:
    """The hook of the test above, on code that does what is forbidden."""
    bad = """
import os, pwd, socket, subprocess
socket.socket().close()
subprocess.run(["true"])
os.system("true")
open({path!r}, "w").close()
os.symlink("x", {path!r} + ".link")
""".format(path=str(tmp_path / "elsewhere"))
    script = AUDIT.replace("from unitgen.generator import main\n", bad).replace(
        "main(sys.argv[1:], {root!r})", "0"
    )
    _, events, modules = ast.literal_eval(run_script(script, tmp_path).stdout)
    kinds = {event for event, _ in events}
    assert {"socket.__new__", "subprocess.Popen", "os.system", "open", "os.symlink"} <= kinds
    assert ["os.symlink", str(tmp_path / "elsewhere.link")] in events
    assert "pwd" in modules


def test_problems_go_to_stderr_when_run_by_hand(tmp_path: Path) -> None:
    """SYSTEMD_EXEC_PID of an ancestor is not one's own: the kernel's log is for systemd's own run."""
    root = copy_root(BROKEN_CASE, tmp_path)
    result = run_script(RUN, root, "unitgen-generator", tmp_path / "out")
    report = (CHECKOUT / "tests/golden" / BROKEN_CASE / "report").read_text()
    assert result.stderr == "".join(f"unitgen: {line}\n" for line in report.splitlines())


def test_second_run_writes_the_same(tmp_path: Path) -> None:
    """Into another directory, and over what is there."""
    for case in GOLDEN_CASES:
        root = copy_root(case, tmp_path / case)
        first, second = tmp_path / case / "first", tmp_path / case / "second"
        results = [run_script(RUN, root, "unitgen-generator", out) for out in (first, second, first)]
        assert len({(result.returncode, result.stderr) for result in results}) == 1
        assert (
            read_tree(first) == read_tree(second) == read_tree(CHECKOUT / "tests/golden" / case / "expected")
        )


def test_existing_output_of_a_broken_spec_stays(tmp_path: Path) -> None:
    root, out = copy_root(CASE, tmp_path), tmp_path / "out"
    spec = sorted((root / FOLDER).glob("*.ini"))[0]
    good = spec.read_bytes()
    assert run_script(RUN, root, "unitgen-generator", out).returncode == 0
    spec.write_bytes(good.replace(b"[", b"[[", 1))
    assert run_script(RUN, root, "unitgen-generator", out).returncode == BROKEN
    notice = (out / f"systemd-nspawn@{spec.stem}.service.d/11-unitgen-broken.conf").read_text()
    assert "no section header" in notice


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_directory_that_cannot_be_written(tmp_path: Path) -> None:
    root, out = copy_root(CASE, tmp_path), tmp_path / "out"
    out.mkdir(mode=0o555)
    result = run_script(RUN, root, "unitgen-generator", out)
    assert result.returncode == BROKEN
    assert "[unwritable]" in result.stderr
    assert "Traceback" not in result.stderr


def test_file_in_place_of_the_directory(tmp_path: Path) -> None:
    root, out = copy_root(CASE, tmp_path), tmp_path / "out"
    out.touch()
    result = run_script(RUN, root, "unitgen-generator", out)
    assert result.returncode == BROKEN
    assert "[unwritable]" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("name", ["unitgen", "generator"])
def test_installed_scripts_are_isolated(name: str) -> None:
    """-I: neither the current folder nor the environment of whoever runs it may bring modules along."""
    first = (CHECKOUT / "packaging" / name).read_text().splitlines()[0]
    assert first.startswith("#!/usr/bin/python3 -I")
