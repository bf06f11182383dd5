"""The specs that the arguments of a command mean."""

import os

from unitgen.errors import UnitgenError, UsageError
from unitgen.model import Host
from unitgen.pipeline import Outcome, Workshop, run_pipeline
from unitgen.sources import read_candidate
from unitgen.suggestion import suggest
from unitgen.tree import Tree


def select_outcomes(root: str, what: list[str], host: Host) -> tuple[list[Outcome], tuple[Outcome, ...]]:
    """The chosen outcomes (all, if nothing is named), and all there are."""
    everything = run_pipeline(root, host)
    if not what:
        return list(everything), everything
    return [_select(root, item, host, everything) for item in what], everything


def select_one(root: str, name: str, host: Host) -> Outcome:
    """The outcome of a container."""
    return _select(root, name, host, run_pipeline(root, host))


def _select(root: str, item: str, host: Host, everything: tuple[Outcome, ...]) -> Outcome:
    for outcome in everything:
        if item in (outcome.source.name, outcome.source.path):
            return outcome
    if "/" in item or os.path.lexists(item):
        return _process_file(root, item, host)
    near = suggest(item, [outcome.source.name for outcome in everything])
    hint = f", did you mean {near}?" if near else ""
    raise UsageError(f"there is no spec of a container {item}{hint}")


def _process_file(root: str, path: str, host: Host) -> Outcome:
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise UnitgenError(f"cannot read {path}: {error.strerror}") from error
    tree = Tree(root)
    return Workshop(tree, host).process(read_candidate(tree, path, data))
