"""The unitgen command: unitgen(1). Each verb is a module, imported when it is chosen."""

import argparse
import importlib
import io
import os
import sys

from unitgen import __version__
from unitgen.errors import UnitgenError, UsageError

_VERBS = {
    "generate": "write the units of all specs to a directory",
    "check": "report everything that is wrong with the specs",
    "show": "show one spec as it takes effect, and the files made of it",
    "list": "list the specs and their state",
}


def main(argv: list[str] | None = None) -> int:
    """Run a verb. The exit status: 0 fine, 1 problems found, 2 wrong usage."""
    _prepare_output()
    arguments = build_parser().parse_args(argv)
    try:
        if not os.path.isdir(arguments.root):
            raise UsageError(f"--root {arguments.root} is not a directory")
        status: int = importlib.import_module(f"unitgen.cli.{arguments.verb}").run(arguments)
        sys.stdout.flush()
    except UnitgenError as error:
        print(f"unitgen: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    except BrokenPipeError:
        # The reader, as head(1), has had enough.
        sys.stderr.close()
        return 1
    return status


def _prepare_output() -> None:
    """Let nothing that a spec holds keep a report from being printed, whatever the locale."""
    if sys.stdout is None:  # closed by the caller, as by >&-
        sys.stdout = open(os.devnull, "w")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(prog="unitgen", description="systemd-nspawn containers from INI specs")
    parser.add_argument("--version", action="version", version=f"unitgen {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--root", default="/", metavar="DIR", help="look for files below DIR")
    parsers = {verb: verbs.add_parser(verb, help=text, parents=[common]) for verb, text in _VERBS.items()}
    parsers["generate"].add_argument("outdir", metavar="OUTDIR", help="where to write; made if missing")
    parsers["check"].add_argument("what", nargs="*", metavar="FILE|NAME", help="what to check; default all")
    parsers["check"].add_argument("--json", action="store_true", help="print JSON")
    parsers["list"].add_argument("--json", action="store_true", help="print JSON")
    parsers["show"].add_argument("name", metavar="NAME", help="the container")
    return parser
