"""What a daemon-reload costs, with unitgen's generator and without."""

import json
import statistics
from pathlib import Path

from tests.bench import clock, fleet
from tests.bench.table import milliseconds, ratio
from tests.testbed.host import Host, NspawnHost

# The same units, from a folder of the administrator's in place of the generator's.
_STATIC = "/root/units"
_MASK = "/run/systemd/system-generators/unitgen-generator"
_BY_HAND = f"""
mkdir -p {Path(_MASK).parent} && ln -sfn /dev/null {_MASK}
cp -a {_STATIC}/. /run/systemd/system && systemctl daemon-reload
"""
_BY_UNITGEN = f"""
rm -rf {_MASK} && cd {_STATIC}
find . ! -type d -exec sh -c 'cd /run/systemd/system && rm -f "$@"' rm {{}} +
systemctl daemon-reload
"""
_RELOAD = "systemctl daemon-reload"
WITHOUT, WARM, CHANGED = "units by hand", "unitgen, nothing changed", "unitgen, one spec changed"


def measure(counts: tuple[int, ...], rounds: int) -> dict[int, dict[str, list[dict[str, float]]]]:
    """Reload with each number of specs; nothing is started."""
    with NspawnHost("trixie", kind="podman") as host:
        fleet.furnish(host)
        host.boot()
        return {count: measure_count(host, count, rounds) for count in counts}


def measure_count(host: Host, count: int, rounds: int) -> dict[str, list[dict[str, float]]]:
    """Reload with that many specs, with units of theirs by hand and by unitgen in turn."""
    script = (
        'i=0; while [ $i -lt "$1" ]; do cp /root/spec /etc/unitgen/containers/c$i.ini; i=$((i + 1)); done'
    )
    host.write("/root/spec", fleet.spec("own"))
    host.run(["/bin/sh", "-e", "-c", script, "specs", str(count)])
    host.run("systemctl daemon-reload", timeout=120)
    host.run(f"rm -rf {_STATIC} && cp -a /run/systemd/generator {_STATIC}")
    # What other generators made is made by them again.
    ours = " ".join(f"! -path '*/{name}'" for name in ("*nspawn@*", "unitgen-*", "machines.target"))
    host.run(f"cd {_STATIC} && find . ! -type d {ours} -delete")
    steps = {
        WITHOUT: {"before": _BY_HAND, "command": _RELOAD},
        WARM: {"before": _BY_UNITGEN, "command": _RELOAD},
    }
    if count:
        edit = "echo '# changed' >>/etc/unitgen/containers/c0.ini"
        steps[CHANGED] = {"before": f"{_BY_UNITGEN}\n{edit}", "command": _RELOAD}
    request = json.dumps({"rounds": rounds, "steps": steps})
    program = Path(clock.__file__).read_text()
    answer = host.run(["python3", "-I", "-c", program], stdin=request, timeout=600).stdout
    found: dict[str, list[dict[str, float]]] = json.loads(answer)
    return found


def rows(found: dict[int, dict[str, list[dict[str, float]]]]) -> list[list[str]]:
    """A row for each number of specs and maker of units, the headings first."""
    table = [["specs", "", "wall ms", "times by hand", "CPU ms", "times by hand"]]
    for count, steps in found.items():
        for name, results in steps.items():
            cells = [f"{count:,}", name]
            for key in ("wall", "cpu"):
                pairs = zip(results, steps[WITHOUT], strict=True)
                times = statistics.median(one[key] / other[key] for one, other in pairs)
                cells += [milliseconds(statistics.median(one[key] for one in results)), ratio(times)]
            table.append(cells)
    return table
