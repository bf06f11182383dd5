"""Reads files below a root, and only such as nobody but root could have changed.

A spec decides what runs as root, so a file, a folder or a link on the way to it that somebody else may
change is refused. Links are followed inside the root, as systemd's chase() does.
"""

import os
import stat
from collections.abc import Iterable
from typing import NamedTuple

from unitgen.errors import Problem

MAX_FILE = 4 * 1024 * 1024
_MAX_LINKS = 40  # the kernel's own limit (path_resolution(7))
_NO_FOLLOW_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK | os.O_NOFOLLOW


class Refused(Exception):
    """A file that is not read; `problem` says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


class Masked(Exception):
    """A link to /dev/null or an empty file: the administrator wants nothing here."""


class _Resolved(NamedTuple):
    path: str
    status: os.stat_result


class Inputs(NamedTuple):
    """What was seen of a tree: files and folders that were read, by path, and names that were not there.

    The content of a mask is empty.
    """

    contents: dict[str, bytes]
    folders: dict[str, list[str]]
    absent: set[str]

    def has_missed(self, paths: Iterable[str]) -> bool:
        """Whether any of these was not there at the moment when it was looked for."""
        listed = {f"{folder}/{name}" for folder, names in self.folders.items() for name in names}
        return any(
            path in self.absent or (path.rpartition("/")[0] in self.folders and path not in listed)
            for path in paths
        )


class Tree:
    """The file system below `root`; paths given to it and reported by it are as seen from inside.

    Each file and each folder is read once: it is the same for all that is made of it.
    """

    def __init__(self, root: str = "/") -> None:
        self.root = root.rstrip("/")
        self.inputs = Inputs({}, {}, set())
        self._folders: dict[str, str] = {}
        # Anything else cannot be owned by root when tests or `unitgen check` run as somebody else.
        self._owners = {0, os.geteuid()}

    def list_folder(self, path: str) -> list[str]:
        """Names in a folder, sorted; empty if there is no such folder. Raises Refused, or Masked."""
        if path not in self.inputs.folders:
            self.inputs.folders[path] = self._list_folder(path)
        return self.inputs.folders[path]

    def _list_folder(self, path: str) -> list[str]:
        try:
            return sorted(os.listdir(self.root + self._resolve_folder(path, path)))
        except FileNotFoundError as error:
            if self.has_name(path):
                raise Refused(_dangling(path)) from error
            return []
        except OSError as error:
            raise Refused(_unreadable(path, error)) from error

    def has_name(self, path: str) -> bool:
        """True if there is something of that name, be it a link that leads nowhere."""
        folder, _, name = path.rpartition("/")
        try:
            resolved = self._resolve(folder or "/", path, trust=False)
            os.lstat(f"{self.root}{resolved.path.rstrip('/')}/{name}")
        except (OSError, Refused, Masked):
            self.inputs.absent.add(path)
            return False
        return True

    def exists(self, path: str) -> bool:
        """True if the path leads to something, links followed inside the root."""
        try:
            self._resolve(path, path, trust=False)
        except (OSError, Refused, Masked):
            return False
        return True

    def read_file(self, path: str) -> bytes:
        """The content of a regular file of at most MAX_FILE bytes.

        Raises Refused with the reason, or Masked.
        """
        if self.inputs.contents.get(path):
            return self.inputs.contents[path]
        self.inputs.contents[path] = b""
        try:
            resolved = self._resolve(path, path, trust=True)
            self._check_file(path, resolved.status)
            fd = os.open(self.root + resolved.path, _NO_FOLLOW_READ)
            with open(fd, "rb") as file:
                self._check_file(path, os.fstat(fd))
                data = file.read(MAX_FILE + 1)
        except FileNotFoundError as error:
            raise Refused(_dangling(path)) from error
        except OSError as error:
            raise Refused(_unreadable(path, error)) from error
        if not data:
            raise Masked
        if len(data) > MAX_FILE:
            message = f"the file is longer than {MAX_FILE >> 20} MiB"
            raise Refused(Problem("too-long", path, message, "split it into drop-ins"))
        self.inputs.contents[path] = data
        return data

    def _check_file(self, path: str, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            kind = "a directory" if stat.S_ISDIR(status.st_mode) else "a device, pipe or socket"
            raise Refused(Problem("not-a-file", path, f"is {kind}, not a file", "move it away"))
        self._check_trust(path, path, status)

    def _check_trust(self, path: str, what: str, status: os.stat_result) -> None:
        if status.st_uid not in self._owners:
            message = f"{_name(what, path)}belongs to user {status.st_uid}, who could change it"
            raise Refused(Problem("untrusted", path, message, f"chown -h root {what}"))
        # In a sticky folder nobody can replace what is root's; but where specs are, nobody may add any.
        sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX and what != path
        if status.st_mode & 0o022 and not stat.S_ISLNK(status.st_mode) and not sticky:
            message = (
                f"{_name(what, path)}may be changed by others (mode {stat.S_IMODE(status.st_mode):04o})"
            )
            raise Refused(Problem("untrusted", path, message, f"chmod go-w {what}"))

    def _resolve_folder(self, path: str, asked: str) -> str:
        if path not in self._folders:
            resolved = self._resolve(path, asked, trust=True)
            if not stat.S_ISDIR(resolved.status.st_mode):
                raise Refused(Problem("not-a-file", asked, "is not a directory", "move it away"))
            self._check_trust(path, path, resolved.status)
            self._folders[path] = resolved.path
        return self._folders[path]

    def _resolve(self, path: str, asked: str, *, trust: bool) -> _Resolved:
        """Follow links inside the root; with `trust`, check every folder and link on the way."""
        folder, _, last = path.rstrip("/").rpartition("/")
        current = self._resolve_folder(folder, asked) if folder and trust else ""
        pending = [last] if folder and trust else path.split("/")[::-1]
        status = os.stat(self.root + (current or "/"))
        links = 0
        while pending:
            part = pending.pop()
            if part in ("", ".", ".."):
                current = os.path.dirname(current).rstrip("/") if part == ".." else current
                continue
            if trust and stat.S_ISDIR(status.st_mode):
                self._check_trust(asked, current or "/", status)
            status = os.lstat(f"{self.root}{current}/{part}")
            if not stat.S_ISLNK(status.st_mode):
                current += f"/{part}"
                continue
            links += 1
            current, pending, status = self._follow(f"{current}/{part}", asked, pending, links, trust=trust)
        return _Resolved(current or "/", status)

    def _follow(
        self, link: str, asked: str, pending: list[str], links: int, *, trust: bool
    ) -> tuple[str, list[str], os.stat_result]:
        target = os.readlink(self.root + link)
        if _leads_to_null(os.path.dirname(link), target):
            raise Masked
        if links > _MAX_LINKS:
            raise Refused(
                Problem("not-a-file", asked, "is a chain of links without end", "correct the link")
            )
        if trust:
            self._check_trust(asked, link, os.lstat(self.root + link))
        current = "" if target.startswith("/") else os.path.dirname(link).rstrip("/")
        return current, [*pending, *target.split("/")[::-1]], os.stat(self.root + (current or "/"))


def _leads_to_null(folder: str, target: str) -> bool:
    """True for a link to /dev/null, whether or not there is a /dev in this root; `folder` has no links."""
    parts = {part for part in target.split("/") if part not in ("", ".", "..")}
    # Over other folders .. could lead elsewhere, as they may be links.
    return parts == {"dev", "null"} and os.path.normpath(os.path.join(folder or "/", target)) == "/dev/null"


def _name(what: str, path: str) -> str:
    return "" if what == path else f"{what} "


def _dangling(path: str) -> Problem:
    message, hint = "is a link that leads nowhere", "correct or remove the link"
    return Problem("not-a-file", path, message, hint)


def _unreadable(path: str, error: OSError) -> Problem:
    return Problem(
        "unreadable", path, f"cannot be read: {os.strerror(error.errno or 0)}", "make it readable"
    )
