"""Templates to text. The only importer of jinja2."""

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from types import ModuleType

from unitgen.errors import TemplateError
from unitgen.escape import FORBIDDEN, Text, plain
from unitgen.model import File
from unitgen.places import TEMPLATES
from unitgen.plan import Rendering
from unitgen.tree import Masked, Refused, Tree

# jinja2 imports them for what hardly any template does, which takes a tenth of its time; and boot waits.
_SELDOM = ("json", "tempfile")


def _stand_in(name: str) -> ModuleType:
    """A module that is loaded when something of it is used (PEP 562)."""

    def load(attribute: str) -> object:
        if sys.modules.get(name) is stand_in:
            del sys.modules[name]
        return getattr(import_module(name), attribute)

    stand_in = ModuleType(name)
    vars(stand_in)["__getattr__"] = load
    return stand_in


_stand_ins = {name: _stand_in(name) for name in _SELDOM if name not in sys.modules}
sys.modules.update(_stand_ins)
try:
    from jinja2 import Environment, FunctionLoader, StrictUndefined, TemplateNotFound, TemplateSyntaxError
finally:
    for _name, _module in _stand_ins.items():
        if sys.modules.get(_name) is _module:
            del sys.modules[_name]

_PACKAGED = os.path.join(os.path.dirname(__file__), "templates")
_SUFFIX = ".j2"


class Renderer:
    """Renders the packaged templates, or those of the same name in /etc/unitgen/templates/ of `tree`."""

    def __init__(self, tree: Tree | None) -> None:
        self._tree = tree
        self._environment = Environment(
            loader=FunctionLoader(self._load),
            undefined=StrictUndefined,
            finalize=_accept_text,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            autoescape=False,
        )
        self._environment.filters["name"] = plain

    def render_files(self, renderings: Iterable[Rendering]) -> tuple[File, ...]:
        """The files of a plan. Raises TemplateError, or Refused for a template that others may change."""
        return tuple(File(item.path, self._render(item.template, item.holes)) for item in renderings)

    def _render(self, template: str, holes: Mapping[str, object]) -> str:
        try:
            text = self._environment.get_template(template).render(holes)
        except (Refused, TemplateError):
            raise
        except TemplateSyntaxError as error:
            raise TemplateError(error.filename or template, error.lineno, error.message or "") from error
        except TemplateNotFound as error:
            path, line = _locate(template)
            raise TemplateError(path, line, f"there is no template {error.name!r}") from error
        except Exception as error:  # whatever a template computes, or compiles to
            path, line = _locate(template)
            raise TemplateError(path, line, str(error) or type(error).__name__) from error
        self._check_text(template, text)
        return text

    def _check_text(self, template: str, text: str) -> None:
        """Holes are escaped, but a template has characters of its own, and systemd drops a unit for some."""
        for number, line in enumerate(text.split("\n"), 1):
            found = None if line.isprintable() else FORBIDDEN.search(line)
            if found:
                path = self._environment.get_template(template).filename or template
                message = f"U+{ord(found[0]):04X} stands in line {number} of what it makes"
                raise TemplateError(path, 0, message)

    def _load(self, template: str) -> tuple[str, str, Callable[[], bool]] | None:
        site = f"{TEMPLATES}/{template}{_SUFFIX}"
        if self._tree and self._tree.has_name(site):
            try:
                return self._tree.read_file(site).decode(), site, lambda: True
            except Masked:
                pass  # an empty file, or a link to /dev/null: the packaged one is wanted
            except UnicodeDecodeError as error:
                raise TemplateError(site, 0, f"byte {error.start} is not UTF-8") from error
        path = os.path.join(_PACKAGED, template + _SUFFIX)
        if not os.path.isfile(path):
            return None
        with open(path, encoding="utf-8") as file:
            return file.read(), path, lambda: True


def _accept_text(value: object) -> object:
    """Let only escaped text into a unit: a bare string in a hole is an error in the template."""
    if not isinstance(value, Text):
        raise TypeError(f"{value!r} is not escaped for a unit: use the name filter, or a hole as it is")
    return value


def _locate(template: str) -> tuple[str, int]:
    """Path and line of the innermost template in the traceback that is being handled."""
    path, line = template, 0
    traceback = sys.exc_info()[2]
    while traceback:
        filename = traceback.tb_frame.f_code.co_filename
        if filename.endswith(_SUFFIX):
            path, line = filename, traceback.tb_lineno
        traceback = traceback.tb_next
    return path, line
