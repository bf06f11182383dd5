"""unitgen list: the specs, their state, and which file of a name counts."""

import argparse
import json

from unitgen.escape import make_printable
from unitgen.kept import recall_broken
from unitgen.pipeline import Outcome, run_pipeline


def run(arguments: argparse.Namespace) -> int:
    """Print a table, in which a broken spec is followed by what is wrong with it, or JSON."""
    result = recall_broken(run_pipeline(arguments.root), arguments.root)
    rows = [_describe(outcome) for outcome in result.outcomes]
    if arguments.json:
        print(json.dumps({"containers": rows}, indent=2))
        return 0
    cells = [("NAME", "STATE", "AUTOSTART", "SOURCE")]
    cells += [
        (make_printable(str(row["name"])), str(row["state"]), _autostart(row), make_printable(_source(row)))
        for row in rows
    ]
    widths = [max(len(line[column]) for line in cells) for column in range(3)]
    for line, outcome in zip(cells, [None, *result.outcomes], strict=True):
        print("  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[3]]))
        for problem in outcome.problems if outcome else ():
            if problem.is_error:
                print(f"  {problem.format()}")
    return 0


def _describe(outcome: Outcome) -> dict[str, object]:
    source = outcome.source
    return {
        "name": source.name,
        "state": "kept" if outcome.recalled else outcome.state,
        "autostart": not source.masked and outcome.spec.flag("Container", "Autostart", True),
        "source": source.path,
        "shadowed": list(source.shadowed),
        "problems": [problem.format() for problem in outcome.problems],
    }


def _autostart(row: dict[str, object]) -> str:
    return "yes" if row["autostart"] else "no"


def _source(row: dict[str, object]) -> str:
    shadowed = row["shadowed"]
    hides = f" (hides {', '.join(shadowed)})" if isinstance(shadowed, list) and shadowed else ""
    return f"{row['source']}{hides}"
