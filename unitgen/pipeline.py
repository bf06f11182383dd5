"""A root to the files of its containers: the one way that boot and every command take."""

from collections.abc import Iterable
from typing import NamedTuple

from unitgen.errors import BadValue, Problem, TemplateError, has_errors
from unitgen.fleet import Member, Place, place_members
from unitgen.host import detect_host
from unitgen.ini import MAX_LINE, Document
from unitgen.model import File, Host, Spec
from unitgen.network import Lease
from unitgen.output import write_files
from unitgen.parse import parse_source
from unitgen.plan import name_unit, plan_container, plan_mask, plan_release, plan_shared, plan_stub
from unitgen.render import Renderer
from unitgen.rules import check_rules
from unitgen.sources import Source, find_sources, read_candidate
from unitgen.tree import Inputs, Refused, Tree
from unitgen.values import parse_machine
from unitgen.versions import check_versions


class Outcome(NamedTuple):
    """What became of one spec, and the addresses that it has from unitgen.

    Its files are a service, or a stub if `problems` has errors (at worst a link to /dev/null). `notice`
    says what is wrong beside `recalled`, files from before that, which may take the place of a stub.
    """

    source: Source
    spec: Spec
    files: tuple[File, ...]
    problems: tuple[Problem, ...]
    leases: tuple[Lease, ...] = ()
    notice: tuple[File, ...] = ()
    recalled: tuple[File, ...] = ()

    @property
    def state(self) -> str:
        """ok, warning, broken or masked."""
        if self.source.masked:
            return "masked"
        if has_errors(self.problems):
            return "broken"
        return "warning" if self.problems else "ok"


class Result(NamedTuple):
    """The outcome of every spec, by name, problems that belong to none, and all that was read."""

    outcomes: tuple[Outcome, ...]
    general: tuple[Problem, ...]
    inputs: Inputs

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All problems there are."""
        return (*self.general, *(problem for outcome in self.outcomes for problem in outcome.problems))

    @property
    def shared(self) -> tuple[File, ...]:
        """What containers have in common."""
        return plan_shared(file for outcome in self.outcomes for file in outcome.files)

    @property
    def files(self) -> tuple[File, ...]:
        """All files there are."""
        return (*(file for outcome in self.outcomes for file in outcome.files), *self.shared)


def run_pipeline(root: str = "/", host: Host | None = None) -> Result:
    """Process every spec below `root`. Raises nothing for what is in the specs."""
    tree = Tree(root)
    workshop = Workshop(tree, host or detect_host(root))
    finds = find_sources(tree)
    return Result(workshop.process(finds.sources), finds.problems, tree.inputs)


def process_candidate(root: str, host: Host, path: str, data: bytes) -> Outcome:
    """A file that is not in place yet, beside all specs but the one that it would replace."""
    tree = Tree(root)
    candidate = read_candidate(tree, path, data)
    others = [source for source in find_sources(tree).sources if source.name != candidate.name]
    outcomes = Workshop(tree, host).process((candidate, *others))
    return outcomes[0]


class Draft(NamedTuple):
    """A spec as its own files describe it, before the others have had their say."""

    source: Source
    spec: Spec
    problems: tuple[Problem, ...]


class Workshop:
    """Takes sources through the stages; keeps what containers share."""

    def __init__(self, tree: Tree, host: Host) -> None:
        self._host = host
        self._renderer = Renderer(tree)
        self._stub_renderer = Renderer(None)
        self._documents: dict[str, Document] = {}

    def process(self, sources: Iterable[Source]) -> tuple[Outcome, ...]:
        """All containers, each all or nothing. An error in unitgen itself is a problem of one of them."""
        drafts = [self._draft(source) for source in sources]
        try:
            places = place_members(map(_enlist, filter(_has_unit, drafts)), self._host.machine_id)
        except Exception as error:  # as below, but there is no telling whose
            places = {
                draft.spec.name: Place(problems=(_describe_fault(error, draft.source.path),))
                for draft in drafts
            }
        return tuple(self._finish(draft, places.get(draft.spec.name, Place())) for draft in drafts)

    def _draft(self, source: Source) -> Draft:
        spec = Spec(source.name, source.path, (), {})
        if source.masked:
            return Draft(source, spec, ())
        try:
            spec, problems = parse_source(source, self._documents)
            problems = (*problems, *check_rules(spec, self._host.backend), *check_versions(spec, self._host))
        except Exception as error:  # a guard between a fault of unitgen's and the other containers
            problems = (*source.problems, _describe_fault(error, source.path))
        return Draft(source, spec, problems)

    def _finish(self, draft: Draft, place: Place) -> Outcome:
        source, spec, problems = draft
        if source.masked:
            return Outcome(source, spec, self._make_release(spec.name), ())
        files: tuple[File, ...] = ()
        try:
            problems = (*problems, *place.problems)
            if not has_errors(problems):
                files, problems = self._make_service(spec, place, problems)
        except Exception as error:  # a guard between a fault of unitgen's and the other containers
            problems = (*problems, _describe_fault(error, source.path))
        # A folder that is not trusted is met at each look-up.
        problems = tuple(sorted(dict.fromkeys(problems), key=lambda problem: (problem.path, problem.line)))
        notice: tuple[File, ...] = ()
        if has_errors(problems) and _is_machine(spec.name):  # else there is no unit of such a name
            files, notice = self._make_stub(spec, problems)
        return Outcome(source, spec, files, problems, place.leases, notice)

    def _make_service(
        self, spec: Spec, place: Place, problems: tuple[Problem, ...]
    ) -> tuple[tuple[File, ...], tuple[Problem, ...]]:
        plan = plan_container(spec, self._host, place)
        try:
            files = self._renderer.render_files(plan.renderings)
        except Refused as refused:
            return (), (*problems, refused.problem)
        except TemplateError as error:
            hint = "correct or remove the template"
            return (), (*problems, Problem("template", error.path, str(error), hint, error.line))
        return (*files, *plan.links), (*problems, *_check_files(spec, files))

    def _make_release(self, machine: str) -> tuple[File, ...]:
        return (
            self._stub_renderer.render_files(plan_release(machine).renderings)
            if _is_machine(machine)
            else ()
        )

    def _make_stub(
        self, spec: Spec, problems: tuple[Problem, ...]
    ) -> tuple[tuple[File, ...], tuple[File, ...]]:
        """What takes the place of a service, and what stands beside one from before."""
        try:
            stub, notice = plan_stub(spec, self._host, problems)
            files = (*self._stub_renderer.render_files(stub.renderings), *stub.links)
            return files, self._stub_renderer.render_files(notice.renderings)
        except Exception:  # whatever it is, the vendor's defaults must not take the container's place
            return plan_mask(spec.name), ()


def _has_unit(draft: Draft) -> bool:
    """False for a masked container, and for a file whose name is no machine's."""
    return not draft.source.masked and _is_machine(draft.spec.name)


def _is_machine(name: str) -> bool:
    try:
        parse_machine(name)
    except BadValue:
        return False
    return True


def _enlist(draft: Draft) -> Member:
    return Member(draft.spec, not has_errors(draft.problems))


def _describe_fault(error: Exception, path: str) -> Problem:
    message = f"{type(error).__name__}: {error}"
    return Problem("internal", path, message, "please report this")


def _check_files(spec: Spec, files: tuple[File, ...]) -> tuple[Problem, ...]:
    override = next(file for file in files if file.path.startswith(f"{name_unit(spec.name)}.d/"))
    if "\nExecStart=\nExecStart=" not in override.text:
        message = "override.conf.j2 does not reset and set ExecStart=, the vendor's command would run"
        return (Problem("template", spec.path, message, "correct the template"),)
    if "\nAssertPathExists=\n" not in override.text:
        message = "override.conf.j2 does not reset AssertPathExists=, the container could never start"
        return (Problem("template", spec.path, message, "correct the template"),)
    # systemd stops reading a drop-in at a line over 1 MiB, and would then run the vendor's command.
    if all(len(file.text.encode()) < MAX_LINE for file in files):
        return ()
    return (Problem("too-long", spec.path, "the unit made of it would be longer than 1 MiB", "shorten it"),)


def write_result(result: Result, out: str) -> tuple[Problem, ...]:
    """Write the files of all containers; what cannot be written is reported, the others are not affected."""
    problems: list[Problem] = []
    for outcome in result.outcomes:
        fault = _write(outcome.files, out, outcome.source.path)
        if fault and outcome.files:
            problems.append(fault)
            _write(plan_mask(outcome.source.name), out, outcome.source.path)
    shared = _write(result.shared, out, out)
    return (*problems, *([shared] if shared else []))


def _write(files: Iterable[File], out: str, path: str) -> Problem | None:
    try:
        write_files(files, out)
    except OSError as error:
        message = f"cannot write {error.filename or out}: {error.strerror}"
        return Problem("unwritable", path, message, "free space or correct the mode")
    except ValueError as error:
        return _describe_fault(error, path)
    return None
