"""Writing: each file at once or not at all, links last, nothing outside of the directory."""

import os
from pathlib import Path

import pytest

from tests.conftest import read_tree
from unitgen.model import File
from unitgen.output import write_files

UNIT = "systemd-nspawn@web.service"
DROPIN = File(f"{UNIT}.d/10-unitgen-override.conf", "[Service]\n")
LINK = File(f"machines.target.wants/{UNIT}", target=f"../{UNIT}")


def list_files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def test_files_and_links(tmp_path: Path) -> None:
    write_files([LINK, DROPIN], str(tmp_path / "out"))
    assert read_tree(tmp_path / "out") == {DROPIN.path: DROPIN.text, LINK.path: f"-> {LINK.target}"}


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_modes_do_not_depend_on_the_umask(mask: int, tmp_path: Path) -> None:
    """PID 1 reads them anyway, `systemctl cat` of a user should too; nobody else may write."""
    before = os.umask(mask)
    try:
        write_files([DROPIN], str(tmp_path))
    finally:
        os.umask(before)
    assert (tmp_path / DROPIN.path).stat().st_mode & 0o777 == 0o644
    assert (tmp_path / DROPIN.path).parent.stat().st_mode & 0o022 == 0


def test_text_is_written_as_it_is(tmp_path: Path) -> None:
    write_files([File("a", "ä\r\n\u2028\n")], str(tmp_path))
    assert (tmp_path / "a").read_bytes() == "ä\r\n\u2028\n".encode()


def test_second_run_replaces(tmp_path: Path) -> None:
    write_files([DROPIN, LINK], str(tmp_path))
    before = (tmp_path / DROPIN.path).stat().st_ino
    write_files([DROPIN._replace(text="new"), LINK._replace(target="other")], str(tmp_path))
    assert read_tree(tmp_path) == {DROPIN.path: "new", LINK.path: "-> other"}
    assert (tmp_path / DROPIN.path).stat().st_ino != before, "a new file, not the old one overwritten"


def test_open_file_keeps_its_content(tmp_path: Path) -> None:
    """PID 1 may be reading it."""
    write_files([DROPIN], str(tmp_path))
    with (tmp_path / DROPIN.path).open() as reader:
        write_files([DROPIN._replace(text="new")], str(tmp_path))
        assert reader.read() == DROPIN.text


def test_link_in_the_place_of_a_file_is_replaced(tmp_path: Path) -> None:
    """Not followed: it may lead anywhere."""
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    (tmp_path / "out" / f"{UNIT}.d").mkdir(parents=True)
    (tmp_path / "out" / DROPIN.path).symlink_to(victim)
    write_files([DROPIN], str(tmp_path / "out"))
    assert victim.read_text() == "untouched"
    assert not (tmp_path / "out" / DROPIN.path).is_symlink()


def test_links_come_last(tmp_path: Path) -> None:
    """systemd never finds a wanted unit whose drop-in is still missing: if that fails, no link is made."""
    (tmp_path / f"{UNIT}.d").write_text("in the way")
    with pytest.raises(OSError):
        write_files([LINK, DROPIN], str(tmp_path))
    assert list_files(tmp_path) == [f"{UNIT}.d"]
    assert not (tmp_path / "machines.target.wants").exists()


@pytest.mark.parametrize("obstacle", ["folder", "full-folder"])
def test_all_or_nothing(obstacle: str, tmp_path: Path) -> None:
    """A container with half of its files would be the vendor's with some of ours."""
    (tmp_path / LINK.path).mkdir(parents=True)
    if obstacle == "full-folder":
        (tmp_path / LINK.path / "file").touch()
    before = list_files(tmp_path)
    with pytest.raises(OSError):
        write_files([File(UNIT, "[Unit]\n"), DROPIN, LINK], str(tmp_path))
    assert list_files(tmp_path) == before, "no file and no temporary one is left"


@pytest.mark.parametrize(
    "last",
    [File("../outside", "x"), File("a//b", "x"), File("last", "\ud800")],
    ids=["leaving", "empty-part", "surrogate"],
)
def test_all_or_nothing_after_a_fault_of_ours(last: File, tmp_path: Path) -> None:
    """What cannot be written is known before, or taken back."""
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(ValueError):
        write_files([DROPIN, last], str(out))
    assert list_files(tmp_path) == []


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "../x", "a/../../x", "a/..", "..", ".", "", "a//x", "a/./x", "a/", "./x"],
)
@pytest.mark.parametrize("target", ["", "/dev/null"])
def test_path_that_leaves_is_refused(path: str, target: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(ValueError, match="leads out"):
        write_files([File(path, "x", target)], str(out))
    assert list_files(tmp_path) == []


def test_missing_directory_is_made(tmp_path: Path) -> None:
    write_files([DROPIN], str(tmp_path / "a/b"))
    assert list_files(tmp_path) == [f"a/b/{DROPIN.path}"]


def test_temporary_file_of_another_run_is_not_overwritten(tmp_path: Path) -> None:
    """O_EXCL: a name that is taken, even by a link somebody planted, is an error and stays as it is."""
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    planted = tmp_path / "out" / f".{UNIT}.{os.getpid()}.tmp"
    planted.parent.mkdir()
    planted.symlink_to(victim)
    with pytest.raises(FileExistsError):
        write_files([File(UNIT, "x")], str(tmp_path / "out"))
    assert victim.read_text() == "untouched"
    assert not (tmp_path / "out" / UNIT).exists()
