"""Specs that were once judged wrongly."""

import pytest

from tests.property.roots import run_specs

_BLANK = "\u00a0"
_SPLIT = "blanks of Unicode separate words; for systemd they do not, and are no part of any name"
_NICE = "nice levels count backwards: 20 less the level is what is compared"
_LONG = "more than 128 KiB in one variable: the unit of the network cannot start its program"

# Spec, whether it is sound, and why.
CASES = {
    "after": (f"[Container]\nAfter=a{_BLANK}b\n", False, _SPLIT),
    "dns": (f"[Network]\nDNS=192.0.2.1{_BLANK}192.0.2.2\n", False, _SPLIT),
    "address": (f"[Network]\nAddress=auto{_BLANK}10.77.3.4\n", False, _SPLIT),
    "allow-from": (f"[Firewall]\nAllowFrom=192.0.2.0/24{_BLANK}198.51.100.0/24\n", False, _SPLIT),
    "cpus": (f"[Exec]\nCPUAffinity=0{_BLANK}1\n", False, _SPLIT),
    "system-calls": (f"[Exec]\nSystemCallFilter=@mount{_BLANK}@clock\n", False, _SPLIT),
    "wanted-by": (f"[Install]\nWantedBy=a.target{_BLANK}b.target\n", False, _SPLIT),
    "nice-levels-in-order": ("[Exec]\nLimitNICE=+5:-5\n", True, _NICE),
    "nice-levels-swapped": ("[Exec]\nLimitNICE=-5:+5\n", False, _NICE),
    "times-swapped": ("[Exec]\nLimitCPU=2min:1min\n", False, "times of a limit are not compared"),
    "servers": ("[Network]\n" + f"DNS={'192.0.2.1 ' * 9000}\n" * 2, False, _LONG),
}


@pytest.mark.parametrize(
    ("spec", "sound"),
    [pytest.param(spec, sound, id=name) for name, (spec, sound, _) in CASES.items()],
)
def test_judgement(spec: str, sound: bool) -> None:
    outcome = run_specs({"web": spec.encode()})["web"]
    assert (outcome.state == "ok") == sound
