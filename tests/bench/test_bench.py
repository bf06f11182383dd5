"""The benchmark's own arithmetic and writing; how fast anything is, is no matter for a test."""

import itertools
import xml.etree.ElementTree
from pathlib import Path

import pytest

from tests.bench import __main__ as bench
from tests.bench import firewall, fleet, plot, podman, report, runs, specs, table
from tests.bench.generators import CHANGED, COLD, QUADLET, WARM, Figures, figures

TRACE = """\
10 execve("/usr/lib/unitgen/network", ["network"], 0x0 /* 20 vars */) = 0
10 clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|SIGCHLD, child_tidptr=0x0) = 11
11 execve("/usr/local/bin/ip", ["ip"], 0x0 /* 20 vars */) = -1 ENOENT (No such file or directory)
11 execve("/usr/bin/ip", ["ip"], 0x0 /* 20 vars */ <unfinished ...>
10 clone(child_stack=0x0, flags=CLONE_VM|CLONE_THREAD <unfinished ...>
11 <... execve resumed>) = 0
10 vfork( <unfinished ...>
11 +++ exited with 0 +++
""".splitlines()


def made_up(count: int, factor: float) -> dict[str, Figures]:
    """Figures as of some generator runs."""
    names = [one.name for one in (QUADLET, COLD, WARM, CHANGED)]
    return {name: Figures(count * factor, count * factor, factor, factor, count, "") for name in names}


def test_page_has_a_place_for_each_part() -> None:
    page = report.PAGE.read_text()
    for part in bench.PARTS:
        assert f"\n\nnew text of {part}\n\n" in report.put(page, part, f"new text of {part}\n")


def test_put_replaces_one_part_only() -> None:
    page = "a\n<!-- bench: x -->\n\nold\n\n<!-- end: x -->\nb\n<!-- bench: y -->\n<!-- end: y -->\n"
    assert report.put(page, "x", "new") == page.replace("old", "new")
    assert report.put(report.put(page, "x", "new"), "x", "old") == page


@pytest.mark.parametrize("page", ["", "<!-- bench: x -->\n", "<!-- end: x -->\n<!-- bench: x -->\n"])
def test_put_needs_both_marks(page: str) -> None:
    with pytest.raises(report.ReportError):
        report.put(page, "x", "new")


def test_table() -> None:
    text = table.markdown([["name", "ms"], ["a", "1,200"], ["long name", "3.5"]])
    assert text == (
        "| name      | ms    |\n| --------- | ----: |\n| a         | 1,200 |\n| long name |   3.5 |\n"
    )


def test_growth_compares_what_one_more_spec_costs() -> None:
    found = {count: made_up(count, 0.001) for count in (100, 1000, 10000)}
    assert table.growth(found)[1] == [QUADLET.name, "1,000", "1,000", "1.00"]


def test_figures_are_medians_of_ratios_in_a_round() -> None:
    common = {"files": 3, "digest": "x"}
    runs_ = [{"cpu": cpu, "wall": 2 * cpu, **common} for cpu in (9.0, 1.0, 2.0, 30.0)]
    base = [{"cpu": cpu, "wall": cpu, **common} for cpu in (1.0, 1.0, 1.0, 10.0)]
    assert figures(runs_, base) == Figures(2.0, 4.0, 2.0, 4.0, 3, "x")


def test_plot_is_sound_and_needs_nothing_else() -> None:
    text = bench.draw({count: made_up(count, 0.001) for count in (0, 1, 10, 100)})
    root = xml.etree.ElementTree.fromstring(text)
    circles = root.findall("{http://www.w3.org/2000/svg}circle")
    assert len(circles) == 4 * 3, "no point where there are no specs"
    assert "prefers-color-scheme: dark" in text
    assert not any(word in text for word in ("href", "@import", "url("))


def test_names_in_the_plot_do_not_cover_each_other() -> None:
    places = sorted(plot.spread([100, 101, 300, 99]))
    assert all(b - a >= plot.LINE_HEIGHT for a, b in itertools.pairwise(places))
    assert places[-1] == 300


def test_trace_is_counted() -> None:
    assert runs.count_processes(TRACE) == (3, 2)
    assert firewall.programs(TRACE) == {"network": 1, "ip": 1}


def test_specs_are_as_many_and_alike(tmp_path: Path) -> None:
    specs.write_specs(tmp_path, 3)
    specs.write_specs(tmp_path, 2)
    ours = sorted((tmp_path / specs.UNITGEN_FOLDER).iterdir())
    theirs = sorted((tmp_path / specs.QUADLET_FOLDER).iterdir())
    assert [path.stem for path in ours] == [path.stem for path in theirs] == ["c0", "c1"]
    for one, other in zip(ours, theirs, strict=True):
        shared = {"Description", "Environment", "MemoryMax", "Restart"}
        assert shared <= keys(one.read_text()) & keys(other.read_text())


def keys(text: str) -> set[str]:
    """The keys of a spec."""
    return {line.split("=", 1)[0] for line in text.splitlines() if "=" in line}


@pytest.mark.parametrize("network", ["host", "own"])
def test_fleets_run_the_same(network: fleet.Network, tmp_path: Path) -> None:
    command = " ".join(fleet.COMMAND)
    units = fleet.populate(tmp_path, "unitgen", network, 2)
    assert fleet.populate(tmp_path, "by hand", network, 2) == units
    for text in (fleet.spec(network), fleet.override("c0", network), podman.quadlet(network)):
        assert command in text and fleet.GUEST in text
    fleet.clear(tmp_path)
    assert not [path for path in tmp_path.rglob("*") if "c0" in path.name]
