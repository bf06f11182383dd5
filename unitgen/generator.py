"""The entry point at boot: systemd.generator(7).

Boot waits for it. It imports stage by stage, and nothing at all where there is no spec; it starts no
process, opens no socket and looks up no user.
"""

import sys

from unitgen.places import any_spec


def main(argv: list[str], root: str = "/") -> int:
    """Emit units into argv[1]; argv is one directory or normal, early and late. The exit status.

    0 if all is well, 1 if a spec has errors (all others are emitted nevertheless), 2 for wrong usage.
    """
    if len(argv) not in (2, 4):
        print("usage: unitgen-generator NORMAL-DIR [EARLY-DIR LATE-DIR]", file=sys.stderr)  # noqa: T201
        return 2
    if not any_spec(root):
        return 0
    from unitgen.kmsg import report

    try:
        from unitgen.errors import has_errors
        from unitgen.pipeline import run_pipeline, write_result

        result = run_pipeline(root)
        problems = [*result.problems, *write_result(result, argv[1])]
    except Exception as error:  # systemd gives it /dev/null: a traceback would be seen by nobody
        report([(f"no container has been set up: {type(error).__name__}: {error}", True)])
        return 1
    if problems:
        report([(problem.format(), problem.is_error) for problem in problems])
    return int(has_errors(problems))
