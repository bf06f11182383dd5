"""Reading below a root: links stay inside, masks are seen, others may not write; the host's version."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from unitgen.host import detect_host
from unitgen.places import any_spec
from unitgen.schema import OLDEST_SYSTEMD
from unitgen.systemd import ask_version
from unitgen.tree import MAX_FILE, Masked, Refused, Tree

SPEC = "/etc/specs/web.ini"


@pytest.fixture(name="root")
def fixture_root(tmp_path: Path) -> Path:
    """A root with a file, and a secret beside it that no path may reach."""
    (tmp_path / "secret").write_text("outside")
    root = tmp_path / "root"
    for folder in ("etc/specs", "srv/real"):
        (root / folder).mkdir(parents=True)
    (root / "srv/real/file").write_text("inside")
    return root


@pytest.mark.parametrize(
    "target",
    [
        "/srv/real/file",
        "../../srv/real/file",
        "../../../../../../srv/real/file",
        "/../srv/./real//file",
        "/srv/link/file",
        "/srv/real/../real/file",
        "/srv/link/../real/file",
        "/srv/up/../../srv/real/file",
        "chain",
    ],
)
def test_links_stay_inside(target: str, root: Path) -> None:
    """`/` and any number of `..` lead to the root that was given, not to the one of the running host."""
    (root / "srv/link").symlink_to("/srv/real")
    (root / "srv/up").symlink_to("real")
    (root / "etc/specs/chain").symlink_to("/srv/link/file")
    (root / SPEC[1:]).symlink_to(target)
    assert Tree(str(root)).read_file(SPEC) == b"inside"
    assert Tree(f"{root}/").exists(SPEC)


@pytest.mark.parametrize(
    "target", ["/secret", "../../../secret", "../../../../secret", "/srv/out/secret", "{secret}"]
)
def test_nothing_outside_is_read(target: str, root: Path) -> None:
    (root / "srv/out").symlink_to("../..")
    (root / SPEC[1:]).symlink_to(target.format(secret=root.parent / "secret"))
    assert (root.parent / "secret").exists()
    with pytest.raises(Refused) as caught:
        Tree(str(root)).read_file(SPEC)
    assert caught.value.problem.code == "not-a-file"
    assert not Tree(str(root)).exists(SPEC)
    assert Tree(str(root)).has_name(SPEC)


@pytest.mark.parametrize(
    "target",
    ["/dev/null", "../../dev/null", "/dev/../dev/null", "/../dev//null", "null", "../../../../dev/null"],
)
@pytest.mark.parametrize("has_dev", [True, False])
def test_link_to_dev_null_masks(target: str, has_dev: bool, root: Path) -> None:
    """Also below a root that has no /dev."""
    if has_dev:
        (root / "dev").mkdir()
        (root / "dev/null").write_text("not the device")
    (root / "etc/specs/null").symlink_to("/dev/null")
    (root / SPEC[1:]).symlink_to(target)
    with pytest.raises(Masked):
        Tree(str(root)).read_file(SPEC)


def test_link_over_a_linked_folder_is_no_mask(root: Path) -> None:
    """As the kernel has it, x/.. is the parent of what x leads to."""
    (root / "srv/real/dev").mkdir()
    (root / "srv/real/dev/null").write_text("a spec")
    (root / "srv/real/deep").mkdir()
    (root / "x").symlink_to("/srv/real/deep")
    (root / SPEC[1:]).symlink_to("/x/../dev/null")
    assert Tree(str(root)).read_file(SPEC) == b"a spec"


@pytest.mark.parametrize("target", ["/dev/nullx", "/dev/null/x", "dev/null", "/srv/dev/null"])
def test_other_links_mask_nothing(target: str, root: Path) -> None:
    (root / SPEC[1:]).symlink_to(target)
    with pytest.raises(Refused):
        Tree(str(root)).read_file(SPEC)


def test_empty_file_masks(root: Path) -> None:
    (root / SPEC[1:]).touch()
    with pytest.raises(Masked):
        Tree(str(root)).read_file(SPEC)


def test_large_file_is_refused(root: Path) -> None:
    path = root / "etc/large"
    path.write_bytes(b"#" * (MAX_FILE + 1))
    with pytest.raises(Refused) as refused:
        Tree(str(root)).read_file("/etc/large")
    assert refused.value.problem.code == "too-long"
    path.write_bytes(b"#" * MAX_FILE)
    assert len(Tree(str(root)).read_file("/etc/large")) == MAX_FILE


def test_listing_is_sorted_and_missing_folder_empty(root: Path) -> None:
    for name in ("b", "a", "C"):
        (root / "etc/specs" / name).touch()
    assert Tree(str(root)).list_folder("/etc/specs") == ["C", "a", "b"]
    assert Tree(str(root)).list_folder("/etc/missing") == []
    assert Tree(str(root)).list_folder("/missing/specs") == []


def make_loop(root: Path) -> None:
    (root / SPEC[1:]).symlink_to("web.ini")


def make_directory(root: Path) -> None:
    (root / SPEC[1:]).mkdir()


def make_pipe(root: Path) -> None:
    os.mkfifo(root / SPEC[1:])


def make_path_through_a_file(root: Path) -> None:
    (root / SPEC[1:]).symlink_to("/srv/real/file/x")


def make_writable(root: Path) -> None:
    (root / SPEC[1:]).write_text("x")
    (root / SPEC[1:]).chmod(0o646)


def make_writable_folder(root: Path) -> None:
    (root / SPEC[1:]).write_text("x")
    (root / "etc").chmod(0o775)


def make_writable_target_folder(root: Path) -> None:
    (root / SPEC[1:]).symlink_to("/srv/real/file")
    (root / "srv").chmod(0o777)


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (make_loop, "not-a-file"),
        (make_directory, "not-a-file"),
        (make_pipe, "not-a-file"),
        (make_path_through_a_file, "unreadable"),
        (make_writable, "untrusted"),
        (make_writable_folder, "untrusted"),
        (make_writable_target_folder, "untrusted"),
    ],
)
def test_refused(make: Callable[[Path], None], code: str, root: Path) -> None:
    make(root)
    with pytest.raises(Refused) as caught:
        Tree(str(root)).read_file(SPEC)
    assert caught.value.problem.code == code
    assert caught.value.problem.hint


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give links to others")
def test_what_a_link_of_others_leads_to_is_there(root: Path) -> None:
    """It is not read, but whether it is there has nothing to do with whose the link is."""
    (root / "etc/x").write_text("[Exec]\n")
    (root / "etc/link").symlink_to("x")
    os.lchown(root / "etc/link", 1000, 1000)
    assert Tree(str(root)).exists("/etc/link")
    with pytest.raises(Refused) as caught:
        Tree(str(root)).read_file("/etc/link")
    assert caught.value.problem.code == "untrusted"


@pytest.mark.parametrize(
    ("name", "found"),
    [("web.ini", True), (".ini", True), ("web.ini.d", False), ("web.conf", False), ("README", False)],
)
def test_any_spec(name: str, found: bool, tmp_path: Path) -> None:
    folder = tmp_path / "run/unitgen/containers"
    folder.mkdir(parents=True)
    assert not any_spec(str(tmp_path))
    (folder / name).touch()
    assert any_spec(str(tmp_path)) is found


def test_folder_that_cannot_be_listed_is_work(tmp_path: Path) -> None:
    """It has to be reported."""
    (tmp_path / "etc/unitgen").mkdir(parents=True)
    (tmp_path / "etc/unitgen/containers").touch()
    assert any_spec(str(tmp_path))
    (tmp_path / "etc/unitgen/containers").unlink()
    (tmp_path / "etc/unitgen/containers").symlink_to("nowhere")
    assert any_spec(str(tmp_path))


@pytest.mark.parametrize(
    ("libraries", "version"),
    [
        ([], OLDEST_SYSTEMD),
        (["usr/lib/x86_64-linux-gnu/systemd/libsystemd-shared-252.so"], 252),
        (["usr/lib/aarch64-linux-gnu/systemd/libsystemd-shared-257.so"], 257),
        (["usr/lib/arm-linux-gnueabihf/systemd/libsystemd-shared-262.so"], 262),
        (["usr/lib64/systemd/libsystemd-shared-256.6-1.fc41.so"], 256),
        (["usr/lib/systemd/libsystemd-shared-258.so"], 258),
        (["usr/lib/systemd/libsystemd-shared-257-13.so"], 257),
        (["usr/lib/systemd/libsystemd-shared-258~rc2.so"], 258),
        (["usr/lib/systemd/libsystemd-shared-262.1-1.so"], 262),
        (["lib/systemd/libsystemd-shared-252.so"], 252),
        (["usr/lib/systemd/libsystemd-core-262.so", "usr/lib/systemd/systemd"], OLDEST_SYSTEMD),
        (["usr/lib/systemd/libsystemd-shared-.so"], OLDEST_SYSTEMD),
        # An update that is not yet complete.
        (["usr/lib/systemd/libsystemd-shared-254.so", "usr/lib64/systemd/libsystemd-shared-257.so"], 257),
    ],
)
def test_version_of_systemd(libraries: list[str], version: int, tmp_path: Path) -> None:
    """By a file name, so that no process has to be started; of another root nobody can be asked."""
    for library in libraries:
        (tmp_path / library).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / library).touch()
    assert detect_host(str(tmp_path)).systemd == version
    assert detect_host(f"{tmp_path}/").systemd == version


@pytest.mark.skipif(ask_version() == 0, reason="systemd-nspawn is not installed")
def test_version_of_this_machine() -> None:
    assert detect_host("/").systemd == ask_version()
