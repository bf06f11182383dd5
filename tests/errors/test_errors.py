"""Bad specs, each with its whole report, and what they do to other containers: nothing."""

import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import GOLDEN, GOLDEN_CASES, copy_root, read_tree
from tests.errors.made import BYTES, FLOODS, FOLDER, GOOD, MIB, NEED_ROOT, NEED_USER, TREES
from unitgen.cli import main
from unitgen.directives import LISTS, SINGLE
from unitgen.errors import CODES, MAX_PROBLEMS
from unitgen.host import detect_host
from unitgen.keys import KEYS
from unitgen.model import Host
from unitgen.native import DIRECTIVES, REFUSED, RENAMED
from unitgen.pipeline import Outcome, Result, run_pipeline, write_result
from unitgen.rules import _EXCLUSIVE, _NEEDS
from unitgen.schema import NEWEST_SYSTEMD
from unitgen.values import TEXT

HERE = Path(__file__).parent
FILE_CASES = sorted(path.stem for path in HERE.glob("*.ini"))
TREE_CASES = sorted(path.parent.name for path in HERE.glob("*/usr"))
MADE_CASES = [*BYTES, *TREES]
LONGEST = 20  # seconds; the generator has 90 for all specs

Check = Callable[[str, str], None]


@pytest.fixture(name="check")
def fixture_check(request: pytest.FixtureRequest) -> Check:
    """Compare a report with the one of a case, or rewrite that with --update-golden."""

    def check(case: str, report: str) -> None:
        expected = HERE / f"{case}.report"
        if request.config.getoption("--update-golden"):
            expected.unlink(missing_ok=True)
            if report:
                expected.write_text(report)
        assert report == (expected.read_text() if expected.exists() else "")

    return check


def judge(place: Path, host: Host | None = None) -> tuple[Result, str]:
    """The result for the root in a place, written beside it, and the report with both taken out."""
    result = run_pipeline(str(place / "root"), host)
    problems = (*result.problems, *write_result(result, str(place / "out")))
    report = "".join(f"{problem.format()}\n" for problem in problems)
    return result, report.replace(f"{place}/", "")


def assert_fails_closed(outcome: Outcome) -> None:
    """A container with an error has a stub that says where, never the vendor's unit; others have theirs."""
    unit = f"systemd-nspawn@{outcome.source.name}.service"
    files = {file.path: file.text for file in outcome.files}
    if outcome.state != "broken":
        assert outcome.state == "masked" or f"{unit}.d/10-unitgen-override.conf" in files
    elif outcome.source.name != "container" and any(
        problem.code == "bad-name" and problem.path == outcome.source.path for problem in outcome.problems
    ):
        assert files == {}
    else:
        errors = [problem for problem in outcome.problems if problem.is_error]
        assert f"{unit}.d/10-unitgen-override.conf" not in files
        assert all(error.format().partition(": ")[0] in files[unit] for error in errors[:20])
        assert "exit 78" in files[unit]
        assert len(files[unit].encode()) < MIB


@pytest.mark.parametrize("case", FILE_CASES)
def test_file(case: str, tmp_path: Path, check: Check) -> None:
    folder = tmp_path / "root" / FOLDER
    folder.mkdir(parents=True)
    shutil.copyfile(HERE / f"{case}.ini", folder / f"{case}.ini")
    result, report = judge(tmp_path, Host(NEWEST_SYSTEMD))
    check(case, report)
    assert [outcome.source.name for outcome in result.outcomes] == [case]
    assert_fails_closed(result.outcomes[0])


@pytest.mark.parametrize("case", TREE_CASES)
def test_tree(case: str, tmp_path: Path, check: Check, capsys: pytest.CaptureFixture[str]) -> None:
    """A whole root; cases called check-... are what only the command `check` looks at."""
    shutil.copytree(HERE / case, tmp_path / "root", symlinks=True)
    for path in (tmp_path / "root").rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() else 0o644)
    result, report = judge(tmp_path)
    if case.startswith("check-"):
        assert main(["check", f"--root={tmp_path / 'root'}"]) == 1
        report = capsys.readouterr().out
    check(case, report)
    for outcome in result.outcomes:
        assert_fails_closed(outcome)


@pytest.mark.parametrize("case", [case for case in TREE_CASES if case.startswith("fleet-")])
def test_refused_one_hurts_no_other(case: str, tmp_path: Path) -> None:
    """Those that have what several want are as they would be without those that were refused."""
    shutil.copytree(HERE / case, tmp_path / "root")
    before = {outcome.source.name: outcome for outcome in judge(tmp_path)[0].outcomes}
    refused = [name for name, outcome in before.items() if outcome.state == "broken"]
    assert refused
    for name in refused:
        (tmp_path / "root" / FOLDER / f"{name}.ini").unlink()
    after = {outcome.source.name: outcome for outcome in judge(tmp_path)[0].outcomes}
    assert after == {name: outcome for name, outcome in before.items() if name not in refused}


@pytest.mark.parametrize("case", MADE_CASES)
def test_made(case: str, tmp_path: Path, check: Check) -> None:
    """Also where everything is done to make it slow."""
    if case in NEED_ROOT and os.geteuid() != 0:
        pytest.skip("only root can give files to others")
    if case in NEED_USER and os.geteuid() == 0:
        pytest.skip("root can read everything")
    root = tmp_path / "root"
    (root / FOLDER).mkdir(parents=True)
    if case in BYTES:
        (root / FOLDER / f"{case}.ini").write_bytes(BYTES[case])
    else:
        TREES[case](root)
    start = time.monotonic()
    result, report = judge(tmp_path, Host(NEWEST_SYSTEMD))
    assert time.monotonic() - start < LONGEST
    check(case, report)
    assert len(report) < MIB // 8
    for outcome in result.outcomes:
        assert_fails_closed(outcome)


@pytest.mark.parametrize("case", FLOODS)
def test_flood(case: str, tmp_path: Path) -> None:
    """The first hundred problems are enough, and a file of more settings than any container has is one."""
    (tmp_path / "root" / FOLDER).mkdir(parents=True)
    (tmp_path / "root" / FOLDER / "web.ini").write_bytes(FLOODS[case])
    start = time.monotonic()
    result, report = judge(tmp_path, Host(NEWEST_SYSTEMD))
    assert time.monotonic() - start < LONGEST
    lines = report.splitlines()
    if "settings; shorten it" in report:
        assert len(lines) == 1
    else:
        assert len(lines) == MAX_PROBLEMS + 1
        assert f"more than {MAX_PROBLEMS} problems, the others are not shown" in report
    assert_fails_closed(result.outcomes[0])


def test_template_without_end(tmp_path: Path) -> None:
    """Python and jinja2 word it differently from version to version."""
    templates = tmp_path / "root/etc/unitgen/templates"
    templates.mkdir(parents=True)
    (templates / "override.conf.j2").write_text("{% include 'override.conf' %}\n")
    (tmp_path / "root" / FOLDER).mkdir()
    (tmp_path / "root" / FOLDER / "web.ini").write_bytes(GOOD)
    result, report = judge(tmp_path)
    assert re.fullmatch(r"/etc/unitgen/templates/override\.conf\.j2:1: error: .+ \[template\]\n", report)
    assert_fails_closed(result.outcomes[0])


def read_reports() -> str:
    return "".join(path.read_text() for path in sorted(HERE.glob("*.report")))


def test_every_report_belongs_to_a_case_and_every_case_has_one() -> None:
    reports = {path.stem for path in HERE.glob("*.report")}
    assert reports == {*FILE_CASES, *TREE_CASES, *MADE_CASES}
    assert len(reports) == len(FILE_CASES) + len(TREE_CASES) + len(MADE_CASES)


def test_every_code_has_a_case() -> None:
    """All but the one for what unitgen's authors did not think of."""
    codes = re.findall(r"\[([a-z-]+)\]$", read_reports(), re.MULTILINE)
    assert set(codes) == set(CODES) - {"internal"}


def test_every_line_names_file_and_remedy() -> None:
    """One line each; the last line of `unitgen check` is a summary."""
    line = re.compile(r"/[^\n]*: (error|warning): [^\n]+; [^\n]+ \[[a-z-]+\]|[0-9]+ specs?: .*")
    assert [text for text in read_reports().splitlines() if not line.fullmatch(text)] == []


def test_every_key_has_a_wrong_value() -> None:
    """A type that refuses nothing would let a weaker setting through; free text is all that may."""
    found = set(re.findall(r"error: \[(\w+)\] (\w+)=: [^\n]* \[bad-value\]$", read_reports(), re.MULTILINE))
    assert [key for key, row in KEYS.items() if row.type is not TEXT and key not in found] == []


def test_every_checked_directive_has_a_wrong_value() -> None:
    found = set(re.findall(r"error: \[(\w+)\] (\w+)=: [^\n]* \[bad-value\]$", read_reports(), re.MULTILINE))
    checked = [
        (section, name)
        for section in ("Unit", "Service")
        for name in DIRECTIVES[section]
        if (name in SINGLE or name in LISTS) and (section, name) not in REFUSED
    ]
    assert [key for key in checked if key not in found] == []


@pytest.mark.parametrize(("code", "table"), [("refused-key", REFUSED), ("renamed-key", RENAMED)])
def test_every_row_of_native_has_a_case(code: str, table: dict[tuple[str, str], object]) -> None:
    found = set(re.findall(rf"\[(\w+)\] (\w+)=: [^\n]* \[{code}\]$", read_reports(), re.MULTILINE))
    assert found == set(table)


def test_every_exclusion_has_a_case() -> None:
    reports = read_reports()
    missing = [
        (one, other)
        for one, other in _EXCLUSIVE
        if f"[{other[0]}] {other[1]}=: excludes [{one[0]}] {one[1]}= of /" not in reports
    ]
    assert missing == []


def test_every_need_has_a_case() -> None:
    reports = read_reports()
    missing = [
        (section, key)
        for section, key, needed in _NEEDS
        if f"[{section}] {key}=: has no effect without [{needed[0]}] {needed[1]}=" not in reports
    ]
    assert missing == []


def list_golden_specs() -> list[tuple[str, str]]:
    """Every spec of every golden case, with its path from the root."""
    return [
        (case, str(path.relative_to(GOLDEN / case / "root")))
        for case in GOLDEN_CASES
        for path in sorted((GOLDEN / case / "root").glob("**/unitgen/containers/*.ini"))
        if "_" not in path.stem  # no machine, so no unit that could be hurt
    ]


def emit(root: Path, out: Path, broken: str) -> tuple[dict[str, Outcome], dict[str, str]]:
    """The outcomes by name, and all that is written but for one container."""
    result = run_pipeline(str(root), detect_host(str(root)))
    assert write_result(result, str(out)) == ()
    own = re.compile(rf"@{re.escape(broken)}\.service|/10-unitgen-{re.escape(broken)}\.conf$")
    # What all share: a stub is in machines.target although the spec's [Install] may have named another, and
    # has no rules that would have to be put back.
    shared = re.compile(
        r"multi-user\.target\.wants/machines\.target|[^/]+/unitgen-firewall(@[^/]+|d)\.service"
    )
    tree = {
        path: text
        for path, text in read_tree(out).items()
        if not own.search(path) and not shared.fullmatch(path)
    }
    return {outcome.source.name: outcome for outcome in result.outcomes}, tree


def list_friends(outcomes: dict[str, Outcome], broken: str) -> list[str]:
    """Containers whose firewall names a container, or whose network it shares.

    Where a broken container is in the network is not known, so their network units may change.
    """
    names = [outcomes[broken].spec.text("Network", "Share")]
    names += [
        name for name, outcome in outcomes.items() if broken in outcome.spec.texts("Firewall", "AllowFrom")
    ]
    return [f"unitgen-network@{name}.service.d/10-unitgen.conf" for name in names if name]


def leave_out(outcome: Outcome, paths: list[str]) -> Outcome:
    return outcome._replace(files=tuple(file for file in outcome.files if file.path not in paths))


def break_with_stray_line(path: Path) -> str:
    data = b"" if path.is_symlink() else path.read_bytes().rstrip(b"\\\n")
    path.unlink()
    path.write_bytes(data + b"\nstray\n")
    line = data.count(b"\n") + 2
    return f":{line}: "


def break_with_nul(path: Path) -> str:
    path.unlink()
    path.write_bytes(b"[Exec]\n\0\n")
    return ":2: "


def break_with_directory(path: Path) -> str:
    path.unlink()
    path.mkdir()
    return ": "


def break_with_dangling_link(path: Path) -> str:
    path.unlink()
    path.symlink_to("nowhere")
    return ": "


@pytest.mark.parametrize(
    "damage", [break_with_stray_line, break_with_nul, break_with_directory, break_with_dangling_link]
)
@pytest.mark.parametrize(("case", "spec"), list_golden_specs())
def test_broken_spec_hurts_no_other(
    case: str, spec: str, damage: Callable[[Path], str], tmp_path: Path
) -> None:
    """One spec of a sound host is broken: it alone gets a stub with file and line."""
    root, broken = copy_root(case, tmp_path), Path(spec).stem
    before, tree_before = emit(root, tmp_path / "before", broken)
    place = damage(root / spec)
    after, tree_after = emit(root, tmp_path / "after", broken)
    friends = list_friends(before, broken)
    assert tree_after.keys() == tree_before.keys()
    assert [
        path for path in tree_after if tree_after[path] != tree_before[path] and path not in friends
    ] == []
    assert before.keys() == after.keys()
    changed = [name for name in after if leave_out(after[name], friends) != leave_out(before[name], friends)]
    assert [name for name in changed if name != broken] == []
    outcome = after[broken]
    if outcome.source.path != f"/{spec}":
        assert outcome._replace(source=before[broken].source) == before[broken], "hidden by a stronger one"
    else:
        assert outcome.state == "broken"
        assert f"/{spec}{place}error: " in "".join(problem.format() for problem in outcome.problems)
        assert_fails_closed(outcome)
