"""unitgen generate: what the generator does at boot, into a directory of one's own."""

import argparse
import os
import sys

from unitgen.errors import UnitgenError, has_errors
from unitgen.pipeline import run_pipeline, write_result


def run(arguments: argparse.Namespace) -> int:
    """Write all units; problems go to standard error."""
    try:
        os.makedirs(arguments.outdir, exist_ok=True)
    except OSError as error:
        raise UnitgenError(f"cannot make {arguments.outdir}: {error.strerror}") from error
    result = run_pipeline(arguments.root)
    problems = [*result.problems, *write_result(result, arguments.outdir)]
    for problem in problems:
        print(problem.format(), file=sys.stderr)
    return int(has_errors(problems))
