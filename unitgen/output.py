"""Writes files below a directory. The only writer."""

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
            os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
            _write_file(file, path)
            written.append(path)
    except Exception:
        for path in written:
            os.unlink(path)
        raise


def _locate(path: str, out: str) -> str:
    if path.startswith("/") or any(part in ("", ".", "..") for part in path.split("/")):
        raise ValueError(f"{path!r} leads out of the output directory")
    return os.path.join(out, path)


def _write_file(file: File, path: str) -> None:
    # systemd ignores names that end in no unit suffix, so a half-written file is never loaded.
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.{os.getpid()}.tmp")
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
