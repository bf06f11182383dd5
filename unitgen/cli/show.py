"""unitgen show: one spec as it takes effect, with the origin of every value, and the files made of it."""

import argparse

from unitgen.cli.selection import select_outcomes
from unitgen.host import detect_host
from unitgen.model import File, Spec
from unitgen.pipeline import run_pipeline


def run(arguments: argparse.Namespace) -> int:
    """Print the spec, then the files."""
    host = detect_host(arguments.root)
    everything = run_pipeline(arguments.root, host)
    (outcome,) = select_outcomes(arguments.root, [arguments.name], host, everything)
    print(f"# {outcome.source.name}: {outcome.state}, from {outcome.source.path}")
    for problem in outcome.problems:
        print(f"# {problem.format()}")
    _print_spec(outcome.spec)
    for file in outcome.files:
        _print_file(file)
    return int(outcome.state == "broken")


def _print_spec(spec: Spec) -> None:
    for section in dict.fromkeys(section for section, _ in spec.settings):
        print(f"\n[{section}]")
        rows = [
            (f"{setting.key}={raw}", f"# {path}:{line}")
            for setting in spec.settings.values()
            if setting.section == section
            for raw, (path, line) in zip(setting.raw, setting.places, strict=True)
        ]
        width = min(60, max(len(row[0]) for row in rows))
        for text, origin in rows:
            print(f"{text:<{width}}  {origin}")


def _print_file(file: File) -> None:
    if file.target:
        print(f"\n# {file.path} -> {file.target}")
    else:
        print(f"\n# {file.path}\n{file.text}", end="")
