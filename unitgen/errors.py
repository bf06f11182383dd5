"""What can be wrong with a spec, and how it is said."""

from collections.abc import Iterable
from typing import NamedTuple

from unitgen.escape import make_printable

MAX_PROBLEMS = 100
_LONGEST_PART = 240  # characters; a line of the kernel's log takes about 1000 bytes

# Stable names: scripts and `unitgen check --json` rely on them, docs/unitgen.ini.5.md lists them.
CODES = {
    "syntax": "a line that is neither a section, a key with a value, nor a comment",
    "encoding": "bytes that are not UTF-8, or a character that systemd refuses in a unit",
    "control-character": "a control character other than a tab in a line",
    "too-long": "a line, value, file or unit that is longer, or has more problems, than is read",
    "inline-comment": "an unquoted # after a value",
    "unknown-section": "a section that unitgen does not have",
    "unknown-key": "a key that the section does not have",
    "bad-value": "a value that does not parse as the type of its key",
    "refused-key": "a systemd directive that would break the container service",
    "renamed-key": "an old systemd directive, translated to its successor",
    "conflict": "settings that exclude, need or disable each other",
    "not-supported": "a setting that the installed systemd is too old for",
    "bad-name": "a file name that is no machine name, or that of no drop-in",
    "not-a-file": "something that is not the file or folder it should be, or a dangling link",
    "unreadable": "a file that cannot be read",
    "untrusted": "a file or folder that somebody other than root may change",
    "missing-image": "a directory or image that does not exist",
    "missing-source": "a file or directory to bind that does not exist",
    "unknown-container": "a container that is named and has no spec",
    "bad-address": "an address that its network, or the host's, does not allow",
    "taken": "a port, address or name that another container has",
    "circle": "containers that would each have to start after the other",
    "out-of-reach": "a published port that cannot be reached from everywhere",
    "missing-program": "a program of the host that is needed and not installed",
    "template": "a template that cannot be rendered",
    "unwritable": "an output file that cannot be written",
    "internal": "an error in unitgen itself",
}


class Problem(NamedTuple):
    """One thing that is wrong, where, and what would be right.

    `path` is as seen from inside the root, `line` counts from 1 and is 0 for the file as a whole.
    """

    code: str
    path: str
    message: str
    hint: str = ""
    line: int = 0
    section: str = ""
    key: str = ""
    severity: str = "error"

    @property
    def is_error(self) -> bool:
        """True if the container must not start with this problem."""
        return self.severity == "error"

    def format(self) -> str:
        """One line: `path:line: severity: [Section] Key=: message; hint [code]`.

        Whatever a spec or a file name holds, the line is printable, and the parts it quotes are cut.
        """
        place = f"{self.path}:{self.line}" if self.line else self.path
        names = [f"[{_cut(self.section)}]"] if self.section else []
        names += [f"{_cut(self.key)}="] if self.key else []
        subject = f"{' '.join(names)}: " if names else ""
        hint = f"; {_cut(self.hint)}" if self.hint else ""
        text = f"{place}: {self.severity}: {subject}{_cut(self.message)}{hint} [{self.code}]"
        return make_printable(text)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_PART else f"{text[:_LONGEST_PART]}..."


class BadValue(ValueError):
    """A value that its type refuses; `hint` says what would be accepted."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UnitgenError(Exception):
    """Something the user can mend; the command line prints it without a traceback."""


class UsageError(UnitgenError):
    """The command line was used wrongly: exit status 2."""


class TemplateError(UnitgenError):
    """A template that cannot be rendered; `path` and `line` say where it broke."""

    def __init__(self, path: str, line: int, message: str) -> None:
        super().__init__(message)
        self.path = path
        self.line = line


def has_errors(problems: "tuple[Problem, ...] | list[Problem]") -> bool:
    """True if any of the problems keeps a container from starting."""
    return any(problem.is_error for problem in problems)


def cap_problems(found: Iterable[Problem], path: str) -> list[Problem]:
    """The first problems of a file: beyond them nobody reads, and looking for suggestions takes time."""
    problems: list[Problem] = []
    for problem in found:
        if len(problems) == MAX_PROBLEMS:
            message = f"more than {MAX_PROBLEMS} problems, the others are not shown"
            return [*problems, Problem("too-long", path, message, "correct these first")]
        problems.append(problem)
    return problems
