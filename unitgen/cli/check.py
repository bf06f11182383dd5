"""unitgen check: everything that is wrong, with file, line and remedy."""

import argparse
import json

from unitgen.cli.selection import select_outcomes
from unitgen.errors import Problem, has_errors
from unitgen.host import detect_host
from unitgen.model import Host
from unitgen.pipeline import Outcome, run_pipeline
from unitgen.places import FOLDERS
from unitgen.presence import check_presence
from unitgen.reach import check_reach
from unitgen.tree import Tree


def run(arguments: argparse.Namespace) -> int:
    """Check all specs, or the named ones; a file need not be in its place yet."""
    host = detect_host(arguments.root)
    everything = run_pipeline(arguments.root, host)
    chosen = select_outcomes(arguments.root, arguments.what, host, everything)
    tree = Tree(arguments.root)
    machines = {outcome.source.name for outcome in everything.outcomes if not outcome.source.masked}
    found = [(outcome, _collect(outcome, tree, host, machines)) for outcome in chosen]
    general = () if arguments.what else everything.general
    if arguments.json:
        containers = [_describe(outcome, problems) for outcome, problems in found]
        others = [problem._asdict() for problem in general]
        print(json.dumps({"systemd": host.systemd, "containers": containers, "problems": others}, indent=2))
    else:
        _print(found, general)
    return int(has_errors(general) or any(has_errors(problems) for _, problems in found))


def _collect(outcome: Outcome, tree: Tree, host: Host, machines: set[str]) -> tuple[Problem, ...]:
    if outcome.source.masked:
        return ()
    found = check_presence(outcome.spec, tree, machines)
    return (*outcome.problems, *found, *check_reach(outcome.spec, tree, host, outcome.leases))


def _describe(outcome: Outcome, problems: tuple[Problem, ...]) -> dict[str, object]:
    return {
        "name": outcome.source.name,
        "path": outcome.source.path,
        "state": _state(outcome, problems),
        "problems": [problem._asdict() for problem in problems],
    }


def _state(outcome: Outcome, problems: tuple[Problem, ...]) -> str:
    return outcome._replace(problems=problems).state


def _print(found: list[tuple[Outcome, tuple[Problem, ...]]], general: tuple[Problem, ...]) -> None:
    for problem in general:
        print(problem.format())
    for _, problems in found:
        for problem in problems:
            print(problem.format())
    states = [_state(outcome, problems) for outcome, problems in found]
    counts = [f"{states.count(state)} {state}" for state in dict.fromkeys(sorted(states))]
    noun = "spec" if len(states) == 1 else "specs"
    print(f"{len(states)} {noun}{': ' + ', '.join(counts) if counts else ''}")
    if not states:
        print(f"no spec in {', '.join(FOLDERS)}")
