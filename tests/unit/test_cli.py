"""The commands: exit status, JSON, and that every value says where it came from."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import GOLDEN, GOLDEN_CASES, copy_root, read_tree
from unitgen import __version__
from unitgen.cli import main
from unitgen.errors import CODES, Problem
from unitgen.pipeline import run_pipeline
from unitgen.places import FOLDERS

CHECKOUT = Path(__file__).parents[2]
FOLDER = "etc/unitgen/containers"
PROBLEM_FIELDS = set(Problem._fields)


@pytest.fixture(name="root")
def fixture_root(tmp_path: Path) -> Path:
    """A host with one container in each state, and their trees."""
    root = tmp_path / "root"
    (root / FOLDER).mkdir(parents=True)
    (root / "usr/lib/systemd").mkdir(parents=True)
    (root / "usr/lib/systemd/libsystemd-shared-252.so").touch()
    specs = {
        "bad": "[Exec]\nBoot=ture\n",
        "good": "[Container]\nAutostart=no\n",
        "hidden": "",
        "warned": "[Exec]\nBoot=no\n",
    }
    for name, text in specs.items():
        (root / FOLDER / f"{name}.ini").write_text(text)
        (root / "var/lib/machines" / name).mkdir(parents=True)
    weaker = root / "usr/lib/unitgen/containers"
    weaker.mkdir(parents=True)
    (weaker / "good.ini").write_text("stray\n")
    return root


def run(*arguments: object) -> int:
    """The status, also where argparse ends by itself."""
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as end:
        assert isinstance(end.code, int)
        return end.code


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["check"], 1),
        (["check", "good"], 0),
        (["check", "warned"], 0),
        (["check", "hidden"], 0),
        (["check", "bad"], 1),
        (["check", "good", "warned"], 0),
        (["check", "good", "bad"], 1),
        (["check", f"/{FOLDER}/good.ini"], 0),
        (["check", f"/{FOLDER}/bad.ini"], 1),
        (["check", "nobody"], 2),
        (["check", "good", "nobody"], 2),
        (["check", "/nowhere/web.ini"], 1),
        (["check", "--json"], 1),
        (["check", "--json", "good"], 0),
        (["check", "--xml"], 2),
        (["list"], 0),
        (["list", "--json"], 0),
        (["list", "good"], 2),
        (["show", "good"], 0),
        (["show", "warned"], 0),
        (["show", "hidden"], 0),
        (["show", "bad"], 1),
        (["show", "nobody"], 2),
        (["show"], 2),
        (["show", "good", "bad"], 2),
        (["generate"], 2),
        (["generate", "{out}"], 1),
        (["generate", "{out}/a/b"], 1),
        (["generate", "/dev/null/x"], 1),
        ([], 2),
        (["start"], 2),
        (["--help"], 0),
        (["check", "--help"], 0),
        (["--version"], 0),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_status(arguments: list[str], status: int, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0 fine, 1 problems found, 2 wrong usage; what is wrong is said, and never with a traceback."""
    verb, *others = [argument.format(out=root.parent / "out") for argument in arguments] or [""]
    words = [verb, f"--root={root}", *others] if verb and not verb.startswith("-") else [verb]
    assert run(*words) == status
    output = capsys.readouterr()
    assert output.out or output.err or status == 0
    assert "Traceback" not in output.err
    if status == 2:
        assert output.out == ""


@pytest.mark.parametrize(
    "verb", [["check"], ["list"], ["show", "good"], ["generate", "{out}"]], ids=" ".join
)
@pytest.mark.parametrize("place", ["missing", "file"])
def test_root_that_is_no_folder(
    verb: list[str], place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else a misspelt --root would look like a host without containers."""
    (tmp_path / "file").touch()
    words = [word.format(out=tmp_path / "out") for word in verb]
    assert run(*words, f"--root={tmp_path / place}") == 2
    assert capsys.readouterr().err == f"unitgen: --root {tmp_path / place} is not a directory\n"
    assert not (tmp_path / "out").exists()


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out == f"unitgen {__version__}\n"
    assert re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", __version__)


def test_check_prints_every_problem_and_a_summary(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", "--root", root) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[:-1] == [problem.format() for problem in run_pipeline(str(root)).problems]
    assert lines[-1] == "4 specs: 1 broken, 1 masked, 1 ok, 1 warning"


def test_check_looks_for_what_a_spec_needs(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The generator cannot: /var may not be mounted yet."""
    (root / "var/lib/machines/good").rmdir()
    assert run("check", "--root", root, "good") == 1
    assert "[missing-image]" in capsys.readouterr().out
    assert run_pipeline(str(root)).outcomes[1].state == "ok"


def test_check_without_specs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", "--root", tmp_path) == 0
    assert capsys.readouterr().out == f"0 specs\nno spec in {', '.join(FOLDERS)}\n"


def test_check_json(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Scripts rely on the names."""
    (root / FOLDER / "misplaced.nspawn").touch()
    assert run("check", "--json", "--root", root) == 1
    report = json.loads(capsys.readouterr().out)
    assert set(report) == {"systemd", "containers", "problems"}
    assert report["systemd"] == 252
    assert [problem["code"] for problem in report["problems"]] == ["bad-name"]
    states = {container["name"]: container["state"] for container in report["containers"]}
    assert states == {"bad": "broken", "good": "ok", "hidden": "masked", "warned": "warning"}
    for container in report["containers"]:
        assert set(container) == {"name", "path", "state", "problems"}
        assert container["path"] == f"/{FOLDER}/{container['name']}.ini"
    problems = [problem for container in report["containers"] for problem in container["problems"]]
    assert problems
    for problem in [*problems, *report["problems"]]:
        assert set(problem) == PROBLEM_FIELDS
        assert problem["code"] in CODES
        assert problem["severity"] in ("error", "warning")
        assert isinstance(problem["line"], int)
    assert [problem for problem in problems if problem["severity"] == "error"] == [
        {
            "code": "bad-value",
            "path": f"/{FOLDER}/bad.ini",
            "message": "'ture' is not a boolean",
            "hint": "write yes or no",
            "line": 2,
            "section": "Exec",
            "key": "Boot",
            "severity": "error",
        }
    ]


def test_check_json_of_one_leaves_the_others_out(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / FOLDER / "misplaced.nspawn").touch()
    assert run("check", "--json", "--root", root, "good") == 0
    report = json.loads(capsys.readouterr().out)
    assert [container["name"] for container in report["containers"]] == ["good"]
    assert report["problems"] == []


def test_list(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of several specs of a name, which one counts."""
    assert run("list", "--root", root) == 0
    assert capsys.readouterr().out.splitlines() == [
        "NAME    STATE    AUTOSTART  SOURCE",
        f"bad     broken   yes        /{FOLDER}/bad.ini",
        *(f"  {problem.format()}" for problem in run_pipeline(str(root)).outcomes[0].problems),
        f"good    ok       no         /{FOLDER}/good.ini (hides /usr/lib/unitgen/containers/good.ini)",
        f"hidden  masked   no         /{FOLDER}/hidden.ini",
        f"warned  warning  yes        /{FOLDER}/warned.ini",
    ]


def test_list_json(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list", "--json", "--root", root) == 0
    report = json.loads(capsys.readouterr().out)
    assert set(report) == {"containers"}
    assert report["containers"][1] == {
        "name": "good",
        "state": "ok",
        "autostart": False,
        "source": f"/{FOLDER}/good.ini",
        "shadowed": ["/usr/lib/unitgen/containers/good.ini"],
        "problems": [],
    }
    fields = {"name", "state", "autostart", "source", "shadowed", "problems"}
    assert all(set(container) == fields for container in report["containers"])


@pytest.mark.parametrize("case", GOLDEN_CASES)
def test_show_has_every_origin_and_every_file(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With these a spec can be read as it takes effect."""
    root = copy_root(case, tmp_path)
    for outcome in run_pipeline(str(root)).outcomes:
        name = outcome.source.name
        assert run("show", "--root", root, name) == int(outcome.state == "broken")
        output = capsys.readouterr().out
        assert output.startswith(f"# {name}: {outcome.state}, from {outcome.source.path}\n")
        for setting in outcome.spec.settings.values():
            for raw, (path, line) in zip(setting.raw, setting.places, strict=True):
                shown = re.escape(f"{setting.key}={raw}") + r" +# " + re.escape(f"{path}:{line}")
                assert re.search(f"^{shown}$", output, re.MULTILINE)
        for file in outcome.files:
            assert (
                f"\n# {file.path} -> {file.target}\n" in output
                if file.target
                else f"\n# {file.path}\n{file.text}" in output
            )
        for problem in outcome.problems:
            assert f"\n# {problem.format()}\n" in output


def test_show_says_which_file_decided(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dropins = root / FOLDER / "good.ini.d"
    dropins.mkdir()
    (dropins / "10-site.ini").write_text("\n[Service]\nMemoryMax=1G\n[Exec]\nEnvironment=A=1\n")
    (dropins / "20-more.ini").write_text("[Service]\nMemoryMax=2G\n[Exec]\nEnvironment=B=2\n")
    assert run("show", "--root", root, "good") == 0
    shown = capsys.readouterr().out
    assert re.search(
        r"^MemoryMax=2G +# /etc/unitgen/containers/good.ini.d/20-more.ini:2$", shown, re.MULTILINE
    )
    assert "MemoryMax=1G" not in shown.partition("\n# ")[0]
    assert re.search(
        r"^Environment=A=1 +# /etc/unitgen/containers/good.ini.d/10-site.ini:5$", shown, re.MULTILINE
    )
    assert re.search(
        r"^Environment=B=2 +# /etc/unitgen/containers/good.ini.d/20-more.ini:4$", shown, re.MULTILINE
    )


@pytest.mark.parametrize(
    ("word", "suggestion"),
    [("god", "good"), ("goood", "good"), ("Warned", "warned"), ("zebra", "")],
)
@pytest.mark.parametrize("verb", ["check", "show"])
def test_unknown_name(
    verb: str, word: str, suggestion: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(verb, "--root", root, word) == 2
    hint = f", did you mean {suggestion}?" if suggestion else ""
    assert capsys.readouterr().err == f"unitgen: there is no spec of a container {word}{hint}\n"


def test_check_file_that_is_not_in_place(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the drop-ins and defaults that it would meet there, and the names of the others."""
    (root / FOLDER / "container.ini.d").mkdir()
    (root / FOLDER / "container.ini.d/10-all.ini").write_text("[Service]\nTasksMax=many\n")
    new = tmp_path / "new.ini"
    new.write_text("[Container]\nDirectory=/var/lib/machines/good\nAfter=good nobody\nBoot=no\n")
    assert run("check", "--root", root, new) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"/{FOLDER}/container.ini.d/10-all.ini:2: error: [Service] TasksMax=: 'many' is not a number of"
        " tasks; write a number, a percentage, or infinity [bad-value]",
        f"{new}:4: error: [Container] Boot=: there is no such key; it belongs in [Exec] [unknown-key]",
        f"{new}:3: warning: [Container] After=: there is no spec of a container nobody; correct the name"
        " [unknown-container]",
        "1 spec: 1 broken",
    ]


@pytest.mark.parametrize(
    ("name", "status"), [("we_b.ini", 1), ("container.ini", 1), ("web.ini", 0), ("web", 0)]
)
def test_check_file_has_a_machine_name(
    name: str, status: int, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text("[Container]\nDirectory=/var/lib/machines/good\n")
    assert run("check", "--root", root, tmp_path / name) == status
    assert ("[bad-name]" in capsys.readouterr().out) is bool(status)


def test_file_of_the_current_folder(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "web.ini").write_text("[Exec]\nBoot=ture\n")
    assert run("check", "--root", root, "web.ini") == 1
    assert "web.ini:2: error: [Exec] Boot=: " in capsys.readouterr().out


@pytest.mark.parametrize("case", GOLDEN_CASES)
def test_generate_does_what_the_generator_does(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, report = copy_root(case, tmp_path), GOLDEN / case / "report"
    status = run("generate", "--root", root, tmp_path / "out")
    assert read_tree(tmp_path / "out") == read_tree(GOLDEN / case / "expected")
    output = capsys.readouterr()
    assert output.err == (report.read_text() if report.exists() else "")
    assert status == int(": error: " in output.err)


@pytest.mark.parametrize(
    "arguments", [["list"], ["check"], ["check", "--json"], ["show", "many"]], ids=" ".join
)
def test_reader_that_has_had_enough(arguments: list[str], tmp_path: Path) -> None:
    """`unitgen show web | head -1` ends without a word."""
    folder = tmp_path / FOLDER
    folder.mkdir(parents=True)
    # More than a pipe holds (64 KiB), or it may all be written before the reader has gone.
    for number in range(2_000):
        (folder / f"spec-{number}.ini").write_text("stray\n")
    settings = "".join(f"Environment=A{number}={'x' * 100}\n" for number in range(1_900))
    (folder / "many.ini").write_text(f"[Exec]\n{settings}")
    command = [sys.executable, "-m", "unitgen", *arguments, f"--root={tmp_path}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=CHECKOUT) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()
        assert process.wait(timeout=60) == 1
    assert errors == b""


def test_output_that_is_closed_from_the_start(root: Path) -> None:
    """`unitgen list >&-`: nobody reads, which is no reason for a traceback."""
    command = f"{sys.executable} -m unitgen list --root={root} >&-"
    result = subprocess.run(["sh", "-c", command], cwd=CHECKOUT, capture_output=True, text=True, timeout=60)
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("encoding", "arguments"),
    [
        ("ascii", ["check"]),
        ("ascii", ["show", "web"]),
        ("ascii", ["list"]),
        ("latin-1", ["show", "web"]),
        ("latin-1", ["check"]),
        ("utf-8", ["check"]),
        ("utf-8", ["show", "web"]),
        ("utf-8", ["list"]),
    ],
)
def test_output_in_any_locale(encoding: str, arguments: list[str], tmp_path: Path) -> None:
    """A serial console has no UTF-8; what it cannot show is no reason to fail."""
    folder = tmp_path / FOLDER
    folder.mkdir(parents=True)
    (folder / "web.ini").write_text("[Container]\nDescription=Käse € \U0001f600\nAutostart=jä\n")
    (folder / "wéb.ini").write_text("")
    command = [sys.executable, "-m", "unitgen", *arguments, f"--root={tmp_path}"]
    environment = {"PYTHONIOENCODING": encoding, "PATH": "/usr/bin:/bin"}
    result = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, timeout=60)
    assert b"Traceback" not in result.stderr
    assert result.returncode == (0 if arguments == ["list"] else 1)


@pytest.mark.parametrize("name", [b"a\xffb.ini", b"a\nb.ini", b"a\x1b[2Jb.ini"], ids=ascii)
def test_list_of_hostile_file_names(name: bytes, root: Path) -> None:
    """One line each, and nothing that a terminal obeys."""
    Path(os.fsdecode(bytes(root / FOLDER) + b"/" + name)).touch()
    command = [sys.executable, "-m", "unitgen", "list", f"--root={root}"]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONIOENCODING": "utf-8"}
    result = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, b"")
    lines = [line for line in result.stdout.splitlines() if not line.startswith(b"  ")]
    assert len(lines) == 6
    assert b"\x1b" not in result.stdout


def test_module_and_script_are_one(root: Path) -> None:
    command = [sys.executable, "-m", "unitgen", "list", f"--root={root}"]
    result = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")
    assert "good" in result.stdout
