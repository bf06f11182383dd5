"""What happens to a run in the middle of its work: it is killed, nothing can be written, files change.

CPython tells an audit hook of each file that is opened, listed, made or moved, before that is done. So a run
is disturbed there, at the first of these events, at the second, and so on until it ends undisturbed.
"""

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import read_tree
from unitgen.generator import BROKEN, main
from unitgen.kept import FOLDERS, find_kept, list_inputs

LAUNCHER = Path(__file__).parents[2] / "packaging/unitgen-generator"
WRITES = ("os.chmod", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink")
READS = ("open", "os.listdir", "os.scandir")
FOLDER = "etc/unitgen/containers"
KEPT = FOLDERS[0][1:]
GOOD = "[Exec]\nBoot=no\nParameters=sleep infinity\n[Service]\nMemoryMax=64M\n"
BAD = GOOD.replace("64M", "much")
FILES = {
    f"{FOLDER}/app.ini": GOOD,
    f"{FOLDER}/web.ini": "[Container]\nUnit=full\n" + GOOD,
    f"{FOLDER}/container.ini.d/10-all.ini": "[Service]\nTasksMax=50\n",
    "usr/lib/unitgen/version": "1\n",
    "usr/lib/systemd/libsystemd-shared-252.so": "",
    "usr/sbin/iptables": "",
    "usr/sbin/nft": "",
}


@pytest.fixture(name="root")
def fixture_root(tmp_path: Path) -> Path:
    """A root with nothing wrong, and nothing kept."""
    return make_root(tmp_path / "root")


def make_root(root: Path) -> Path:
    for path, text in FILES.items():
        write(root / path, text)
    return root


def write(path: Path, text: str) -> None:
    """Write a file as most editors do: nobody sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.write_text(text)
    new.rename(path)


def run(root: Path) -> tuple[int, dict[str, str]]:
    """The status of a run, and what it wrote."""
    out = root.parent / "out"
    shutil.rmtree(out, ignore_errors=True)
    return main(["unitgen-generator", str(out)], str(root)), read_tree(out)


def run_afresh(root: Path) -> dict[str, str]:
    """What a run writes that knows of none before."""
    copy = root.parent / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(root, copy, symlinks=True, ignore=lambda path, names: {"run"} & {*names})
    return run(copy)[1]


def is_write(event: str, arguments: tuple[object, ...]) -> bool:
    flags = arguments[2] if event == "open" else 0
    return event in WRITES or (isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR)))


def is_any(event: str, arguments: tuple[object, ...]) -> bool:
    return event in (*READS, *WRITES)


def disturb(
    root: Path,
    number: int,
    action: Callable[[], None],
    *,
    which: Callable[[str, tuple[object, ...]], bool] = is_write,
    again: bool = False,
) -> int | None:
    """Have an action done at the n-th event of a run (`again`: from then on); how the run ended, or None if
    there are fewer events. In a process of its own, since a hook stays.
    """
    out = root.parent / "disturbed"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    process = os.fork()
    if not process:
        _be_disturbed(root, number, action, which, again)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    return None if status == UNDISTURBED else status


UNDISTURBED = 99


def _be_disturbed(
    root: Path,
    number: int,
    action: Callable[[], None],
    which: Callable[[str, tuple[object, ...]], bool],
    again: bool,
) -> None:
    count, busy = 0, False

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal count, busy
        if busy or not which(event, arguments):
            return
        count += 1
        if count == number or (again and count > number):
            busy = True
            try:
                action()
            finally:
                busy = False

    status = 98
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        sys.addaudithook(hook)
        status = main(["unitgen-generator", str(root.parent / "disturbed")], str(root))
    finally:
        os._exit(status if count >= number else UNDISTURBED)


def count_up(step: int = 1) -> Iterator[int]:
    """Numbers of events, until the caller has had enough."""
    yield from range(1, 400, step)
    raise AssertionError("this run never ends")


def assert_whole(out: dict[str, str], good: dict[str, str]) -> None:
    """A unit that is there has all of its text, and none is started that has not all that belongs to it."""
    for name, text in out.items():
        if not name.rpartition("/")[2].startswith("."):
            assert text in (good.get(name), "-> /dev/null"), name
        if ".wants/systemd-nspawn@" in name:
            unit = name.rpartition("/")[2]
            network = unit.replace("systemd-nspawn", "unitgen-network")
            needed = {path for path in good if path.startswith((unit, network))}
            assert out.get(unit) == "-> /dev/null" or needed <= {*out}, name


def assert_right(root: Path, good: dict[str, str], status: int = 0) -> None:
    """The next run is right, and takes away whatever the last one has left."""
    assert run(root) == (status, good)
    assert not list((root / KEPT).parent.glob("kept.*"))
    assert find_kept(str(root))


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_killed_at_any_write(root: Path) -> None:
    """The first run that there is."""
    good = run_afresh(root)
    for number in count_up():
        shutil.rmtree(root / "run", ignore_errors=True)
        if disturb(root, number, die) is None:
            break
        assert_whole(read_tree(root.parent / "disturbed"), good)
        assert_right(root, good)
    assert number > 20


def test_killed_at_any_write_after_another(root: Path) -> None:
    """What is kept is that of before, or that of this run, and no mixture."""
    before = run(root)
    shutil.copytree(root / "run", root / "before", symlinks=True)
    write(root / f"{FOLDER}/web.ini", FILES[f"{FOLDER}/web.ini"].replace("64M", "65M"))
    after = run_afresh(root)
    for number in count_up():
        restore(root)
        if disturb(root, number, die) is None:
            break
        assert_whole(read_tree(root.parent / "disturbed"), after)
        if (root / KEPT).exists():
            assert find_kept(str(root)), "it is whole"
            assert read_tree(root / KEPT / "tree") in (before[1], after)
        assert_right(root, after)


def restore(root: Path) -> None:
    """Have kept what was kept before."""
    shutil.rmtree(root / "run")
    shutil.copytree(root / "before", root / "run", symlinks=True)


def test_killed_while_a_spec_is_broken(root: Path) -> None:
    """The container has what it had, at whatever moment the run before was killed."""
    assert run(root)[0] == 0
    shutil.copytree(root / "run", root / "before", symlinks=True)
    write(root / f"{FOLDER}/web.ini", BAD)
    status, wanted = run(root)
    assert status == BROKEN and "exit 78" not in str(wanted)
    for number in count_up():
        restore(root)
        if disturb(root, number, die) is None:
            break
        assert_right(root, wanted, BROKEN)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EPERM])
@pytest.mark.parametrize("again", [False, True])
def test_no_file_can_be_written(again: bool, code: int, root: Path) -> None:
    """Each in turn, or all from one on: it is said, unless it is only not kept, and over with it."""

    def fail() -> None:
        raise OSError(code, os.strerror(code))

    good = run_afresh(root)
    for number in count_up():
        shutil.rmtree(root / "run", ignore_errors=True)
        status = disturb(root, number, fail, again=again)
        if status is None:
            break
        out = read_tree(root.parent / "disturbed")
        assert status == (0 if out == good else BROKEN)
        if status or not again:
            assert_whole(out, good)
        kept = root / KEPT
        assert not (kept / "seal").exists() or read_tree(kept / "tree") == good
        assert_right(root, good)


RUN = """
import sys
sys.path.insert(0, {checkout!r})
from unitgen.generator import main
sys.exit(main(["unitgen-generator", {out!r}], {root!r}))
"""


def test_nobody_can_be_told(root: Path) -> None:
    """The status says that a spec is broken, and not that unitgen does not work."""
    write(root / f"{FOLDER}/web.ini", BAD)
    code = RUN.format(checkout=str(LAUNCHER.parents[1]), out=str(root.parent / "out"), root=str(root))
    with open("/dev/full", "w") as full:
        assert subprocess.run([sys.executable, "-I", "-c", code], stderr=full).returncode == BROKEN


def is_up_to_date(root: Path) -> bool:
    """Whether the launcher would put back what is kept in this root: its own commands, with other paths."""
    kept = root / KEPT
    if not (kept / "seal").exists():
        return False
    patterns = re.search(r'set -- "\$@" (tree/.*)', LAUNCHER.read_text())
    assert patterns
    names = subprocess.run(
        ["sh", "-c", f"printf '%s\\n' {patterns[1]}"], cwd=kept, check=True, capture_output=True
    )
    listed = "".join(f"{name}\n" for name in list_inputs(str(root))).encode() + names.stdout
    inputs = kept.with_name("inputs")
    inputs.write_text((kept / "inputs").read_text().replace("  /", f"  {root}/"))
    check = ["b2sum", "--check", "--strict", "--status", "seal", "outputs", str(inputs)]
    result = subprocess.run(check, cwd=kept, env={"PATH": os.environ["PATH"], "LC_ALL": "C"}, input=listed)
    inputs.unlink()
    return result.returncode == 0


def edit(path: str, text: str) -> Callable[[Path], None]:
    return lambda root: write(root / path, text)


def remove(path: str) -> Callable[[Path], None]:
    return lambda root: (root / path).unlink(missing_ok=True)


EDITS: dict[str, Callable[[Path], None]] = {
    "a spec is edited": edit(f"{FOLDER}/web.ini", GOOD.replace("64M", "65M")),
    "a spec is new": edit(f"{FOLDER}/new.ini", GOOD),
    "a spec is gone": remove(f"{FOLDER}/app.ini"),
    "a spec is hidden": edit("run/unitgen/containers/web.ini", GOOD),
    "what is for all is edited": edit(f"{FOLDER}/container.ini.d/10-all.ini", "[Service]\nTasksMax=51\n"),
    "something more is for all": edit(f"{FOLDER}/container.ini.d/20-all.ini", "[Service]\nTasksMax=51\n"),
    "something is for one": edit(f"{FOLDER}/app.ini.d/1.ini", "[Service]\nTasksMax=51\n"),
    "there are defaults": edit("etc/unitgen/unitgen.conf", "[Service]\nCPUWeight=50\n"),
    "there are more defaults": edit("etc/unitgen/unitgen.conf.d/1.conf", "[Service]\nCPUWeight=50\n"),
    "unitgen is another": edit("usr/lib/unitgen/version", "2\n"),
    "systemd is another": edit("usr/lib/systemd/libsystemd-shared-258.so", ""),
    "the firewall is another": remove("usr/sbin/iptables"),
}


@pytest.mark.parametrize("change", EDITS)
def test_what_changes_during_a_run_is_noticed_by_the_next(change: str, root: Path) -> None:
    """Nothing is put back that is not what a run would write now."""
    for number in count_up(step=3):
        shutil.rmtree(root)
        make_root(root)
        status = disturb(root, number, lambda: EDITS[change](root), which=is_any)
        if status is None:
            break
        if is_up_to_date(root):
            assert read_tree(root / KEPT / "tree") == run_afresh(root), f"changed at event {number}"


AWAY = {
    f"{FOLDER}/web.ini": GOOD,
    f"{FOLDER}/container.ini.d/10-all.ini": "[Service]\nTasksMax=50\n",
    "etc/unitgen/unitgen.conf": "[Service]\nCPUWeight=50\n",
}


@pytest.mark.parametrize("path", AWAY)
def test_what_is_away_for_a_moment_is_not_forgotten(path: str, root: Path) -> None:
    """As while an editor saves it: there before a run looks, not when it does, and there again later."""
    for number in count_up(step=2):
        shutil.rmtree(root)
        make_root(root)
        write(root / path, AWAY[path])
        if disturb(root, number, go_and_come(root / path), which=is_any, again=True) is None:
            break
        if is_up_to_date(root):
            assert read_tree(root / KEPT / "tree") == run_afresh(root), f"away at event {number}"


def go_and_come(path: Path) -> Callable[[], None]:
    """What moves a file aside when it is called, and when called for the fourth time back."""
    aside = path.with_name(f"{path.name}~")
    steps: list[Callable[[], object]] = [lambda: aside.rename(path), int, int, lambda: path.rename(aside)]

    def step() -> None:
        if steps:
            steps.pop()()

    return step
