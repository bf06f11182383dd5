"""The specs that the arguments of a command mean."""

import os

from unitgen.errors import UnitgenError, UsageError
from unitgen.escape import FORBIDDEN, make_printable
from unitgen.model import Host
from unitgen.pipeline import Outcome, Result, process_candidate
from unitgen.suggestion import suggest
from unitgen.tree import MAX_FILE


def select_outcomes(root: str, what: list[str], host: Host, everything: Result) -> tuple[Outcome, ...]:
    """The chosen outcomes; all, if nothing is named."""
    if not what:
        return everything.outcomes
    return tuple(_select(root, item, host, everything.outcomes) for item in what)


def _select(root: str, item: str, host: Host, outcomes: tuple[Outcome, ...]) -> Outcome:
    for outcome in outcomes:
        if item in (outcome.source.name, outcome.source.path):
            return outcome
    if "/" in item or os.path.lexists(item):
        return _process_file(root, item, host)
    near = suggest(item, [outcome.source.name for outcome in outcomes])
    hint = f", did you mean {near}?" if near else ""
    raise UsageError(f"there is no spec of a container {item}{hint}")


def _process_file(root: str, path: str, host: Host) -> Outcome:
    if FORBIDDEN.search(path):
        raise UsageError(f"{make_printable(path)} is a file name that no unit can name")
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            raise UsageError(f"{path} is not a file")
        with open(path, "rb") as file:
            data = file.read(MAX_FILE + 1)
        if len(data) > MAX_FILE:
            raise UnitgenError(f"{path} is longer than {MAX_FILE >> 20} MiB")
    except OSError as error:
        raise UnitgenError(f"cannot read {path}: {error.strerror}") from error
    return process_candidate(root, host, path, data)
