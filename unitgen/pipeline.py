"""A root to the files of its containers: the one way that boot and every command take."""

from collections.abc import Iterable
from typing import NamedTuple

from unitgen.errors import Problem, TemplateError, has_errors
from unitgen.host import detect_host
from unitgen.ini import Document
from unitgen.model import File, Host, Spec
from unitgen.output import write_files
from unitgen.parse import parse_source
from unitgen.plan import plan_container, plan_stub
from unitgen.render import Renderer
from unitgen.rules import check_rules
from unitgen.sources import Source, find_sources
from unitgen.tree import Tree


class Outcome(NamedTuple):
    """What became of one spec: its files are a service, a stub (if `problems` has errors), or nothing."""

    source: Source
    spec: Spec
    files: tuple[File, ...]
    problems: tuple[Problem, ...]

    @property
    def state(self) -> str:
        """ok, warning, broken or masked."""
        if self.source.masked:
            return "masked"
        if has_errors(self.problems):
            return "broken"
        return "warning" if self.problems else "ok"


def run_pipeline(root: str = "/", host: Host | None = None) -> tuple[Outcome, ...]:
    """The outcome of every spec below `root`, by name. Raises nothing for what is in the specs."""
    tree = Tree(root)
    workshop = Workshop(tree, host or detect_host(root))
    return tuple(map(workshop.process, find_sources(tree)))


class Workshop:
    """Takes sources through the stages; keeps what containers share."""

    def __init__(self, tree: Tree, host: Host) -> None:
        self._host = host
        self._renderer = Renderer(tree)
        self._stub_renderer = Renderer(None)
        self._documents: dict[str, Document] = {}

    def process(self, source: Source) -> Outcome:
        """One container, all or nothing. An error in unitgen itself is a problem of that container only."""
        spec = Spec(source.name, source.path, (), {})
        if source.masked:
            return Outcome(source, spec, (), ())
        try:
            spec, problems = parse_source(source, self._documents)
            problems = (*problems, *check_rules(spec))
            if not has_errors(problems):
                plan = plan_container(spec, self._host)
                problems = (*problems, *plan.problems)
                if not has_errors(problems):
                    files = (*self._renderer.render_files(plan.renderings), *plan.links)
                    return Outcome(source, spec, files, _sort(problems))
        except TemplateError as error:
            hint = "correct or remove the template"
            problems = (*problems, Problem("template", error.path, str(error), hint, error.line))
        except Exception as error:
            message = f"{type(error).__name__}: {error}"
            problems = (*source.problems, Problem("internal", source.path, message, "please report this"))
        problems = _sort(problems)
        return Outcome(source, spec, self._make_stub(spec, problems), problems)

    def _make_stub(self, spec: Spec, problems: tuple[Problem, ...]) -> tuple[File, ...]:
        if any(problem.code == "bad-name" for problem in problems):
            return ()  # there is no unit of such a name
        plan = plan_stub(spec, self._host, problems)
        return (*self._stub_renderer.render_files(plan.renderings), *plan.links)


def _sort(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """In the order in which one reads and mends: file by file, line by line."""
    return tuple(sorted(problems, key=lambda problem: (problem.path, problem.line)))


def write_outcomes(outcomes: Iterable[Outcome], out: str) -> tuple[Problem, ...]:
    """Write the files of all containers; what cannot be written is reported, the others are not affected."""
    problems = []
    for outcome in outcomes:
        try:
            write_files(outcome.files, out)
        except OSError as error:
            message = f"cannot write {error.filename or out}: {error.strerror}"
            problems.append(
                Problem("unwritable", outcome.source.path, message, "free space or correct the mode")
            )
    return tuple(problems)
