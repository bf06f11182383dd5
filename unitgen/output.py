"""Writes files below a directory. The only writer."""

import errno
import os
from collections.abc import Iterable

from unitgen.model import File


def write_files(files: Iterable[File], out: str) -> None:
    """Write the files of one container, links last, each complete from the moment it has its name.

    If one cannot be written, those already written are removed and the error is raised: a container has all
    of its files or none. Nothing is flushed to disk, the directory is on a tmpfs.
    """
    written: list[str] = []
    try:
        for file in sorted(files, key=lambda file: bool(file.target)):
            path = _locate(file.path, out)
            _make_folder(os.path.dirname(path))
            _write_file(file, path)
            written.append(path)
    except Exception:
        for path in written:
            os.unlink(path)
        raise


def copy_files(files: Iterable[File], out: str, target: str) -> None:
    """Have files that were written to `out` below `target`, too: as hard links where that can be."""
    for file in files:
        path = _locate(file.path, target)
        _make_folder(os.path.dirname(path))
        try:
            os.link(_locate(file.path, out), path, follow_symlinks=False)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK):
                raise
            _write_file(file, path)


def replace_folder(new: str, place: str, old: str) -> None:
    """Put a folder in the place of another, which is removed, and called `old` before it is."""
    if os.path.lexists(place):
        remove_folder(old)
        os.rename(place, old)
    os.rename(new, place)
    remove_folder(old)


def remove_folder(folder: str) -> None:
    """Remove a folder with all in it, or what is in its place. (shutil would load four compressors.)"""
    if os.path.islink(folder) or os.path.isfile(folder):
        os.unlink(folder)
    for path, folders, names in os.walk(folder, topdown=False):
        for name in names:
            os.unlink(os.path.join(path, name))
        for name in folders:
            sub = os.path.join(path, name)
            (os.unlink if os.path.islink(sub) else os.rmdir)(sub)
    if os.path.lexists(folder):
        os.rmdir(folder)


def _locate(path: str, out: str) -> str:
    if path.startswith("/") or any(part in ("", ".", "..") for part in path.split("/")):
        raise ValueError(f"{path!r} leads out of the output directory")
    return f"{out}/{path}"


def _make_folder(folder: str) -> None:
    # Most folders are for one file, and their parent is there.
    try:
        os.mkdir(folder, 0o755)
    except FileExistsError:
        if not os.path.isdir(folder):
            raise
    except FileNotFoundError:
        os.makedirs(folder, mode=0o755, exist_ok=True)


def _write_file(file: File, path: str) -> None:
    # systemd ignores names that end in no unit suffix, so a half-written file is never loaded.
    folder, name = os.path.split(path)
    temporary = f"{folder}/.{name}.{os.getpid()}.tmp"
    try:
        if file.target:
            os.symlink(file.target, temporary)
        else:
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            with open(fd, "w", encoding="utf-8", newline="\n") as stream:
                os.fchmod(fd, 0o644)
                stream.write(file.text)
        os.rename(temporary, path)
    except Exception:
        if os.path.lexists(temporary):
            os.unlink(temporary)
        raise
