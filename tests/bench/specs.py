"""Containers of like content, as specs of unitgen and as those of Quadlet."""

import shutil
from pathlib import Path

UNITGEN_FOLDER = "etc/unitgen/containers"
QUADLET_FOLDER = "etc/containers/systemd"

_UNITGEN = """\
[Container]
Description=Container {number}
Directory=/srv/containers/c{number}

[Exec]
ProcessTwo=yes
Parameters=/usr/bin/sleep infinity
Environment=GREETING=hello

[Files]
BindReadOnly=/srv/data/c{number}:/data

[Network]
Port={port}:80

[Service]
MemoryMax=200M
Restart=on-failure
"""
_QUADLET = """\
[Unit]
Description=Container {number}

[Container]
Image=localhost/c{number}:1
ContainerName=c{number}
RunInit=yes
Exec=/usr/bin/sleep infinity
Environment=GREETING=hello
Volume=/srv/data/c{number}:/data:ro
PublishPort={port}:80

[Service]
MemoryMax=200M
Restart=on-failure

[Install]
WantedBy=machines.target
"""


def write_specs(root: Path, count: int) -> None:
    """Have exactly that many specs of both kinds below this root."""
    for folder, template, suffix in (
        (root / UNITGEN_FOLDER, _UNITGEN, "ini"),
        (root / QUADLET_FOLDER, _QUADLET, "container"),
    ):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for number in range(count):
            text = template.format(number=number, port=20000 + number)
            (folder / f"c{number}.{suffix}").write_text(text)
