"""The entry at boot: systemd.generator(7).

Boot waits for it. It imports stage by stage, and nothing at all where there is no spec; it starts no
process, opens no socket and looks up no user.
"""

import sys

from unitgen.places import any_spec

BROKEN, FAILED = 65, 70
"""Exit statuses (sysexits.h): a spec has errors, all others were emitted; unitgen itself does not work."""


def main(argv: list[str], root: str = "/") -> int:
    """Emit units into argv[1]; argv has one directory, or normal, early and late. 2 for wrong usage."""
    if len(argv) not in (2, 4):
        print("usage: unitgen-generator NORMAL-DIR [EARLY-DIR LATE-DIR]", file=sys.stderr)  # noqa: T201
        return 2
    if not any_spec(root):
        return 0
    from unitgen.kmsg import report

    try:
        from unitgen.errors import has_errors
        from unitgen.kept import keep_result, note_surroundings, recall_broken
        from unitgen.pipeline import run_pipeline, write_result

        before = note_surroundings(root)
        result = recall_broken(run_pipeline(root), root)
        problems = (*result.problems, *write_result(result, argv[1]))
        keep_result(result, before, root, argv[1], sound=not has_errors(problems))
    except Exception as error:  # systemd gives it /dev/null: a traceback would be seen by nobody
        report([(f"unitgen does not work: {type(error).__name__}: {error}", True)])
        return FAILED
    if problems:
        report([(problem.format(), problem.is_error) for problem in problems])
    return BROKEN if has_errors(problems) else 0
