"""`hentou lab`: boot a whole collective on this computer, break it without harm, take it down."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table
from rich.text import Text

from hentou import compose
from hentou.cli import output
from hentou.effects.git import resolve
from hentou.effects.tree import open_tree
from hentou.lab import cleanup, host
from hentou.lab.browse import PORT, open_proxy
from hentou.lab.bundle import build_bundle, source_root
from hentou.lab.deploy import Admin, deploy
from hentou.lab.lab import CACHE, Lab, free
from hentou.lab.survey import Health, Sight, health, start_page, survey
from hentou.model.types import Collective

app = typer.Typer(
    help="Boot a whole collective on this computer, and break it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Name = Annotated[str, typer.Option("--name", help="Which lab, where several run at once.")]
MachineName = Annotated[str, typer.Argument(metavar="MACHINE", help="A machine of the collective.")]
NodeName = Annotated[
    str, typer.Argument(metavar="NODE", help="A machine, SITE/laptop, SITE/UPLINK (a box) or visitor.")
]
CableName = Annotated[
    str,
    typer.Argument(metavar="CABLE", help="SITE/UPLINK, SITE (all its uplinks), SITE/laptop or a machine."),
]

LOOK_PATIENCE = 30.0
"""Seconds that a URL has to open after the machines are active."""

GLANCE = 8.0
"""Seconds that a URL has to open when somebody looks later: a page that takes longer is not there."""


@app.command()
def up(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A collective's repository.")],
    name: Name = "lab",
    plain: Annotated[bool, typer.Option("--plain", help="Boot plain machines; install nothing.")] = False,
    mirror: Annotated[str | None, typer.Option(help="Debian archive to build the image from.")] = None,
    cache: Annotated[Path, typer.Option(help="Where images are kept between labs.")] = CACHE,
) -> None:
    """Boot a collective, and open every URL from everywhere.

    Every machine, box, laptop and line is simulated. Needs root. The first time builds an image of Debian,
    which takes a minute or more.

    Example: hentou lab up examples/pilot
    """
    host.check()
    free(name)
    collective = compose.load(open_tree(directory))
    bundle = None if plain else build_bundle(source_root() / "build" / "bundle", progress=output.note)
    lab = Lab.up(
        collective,
        deploy=None if plain else lambda booted: deploy(booted, output.note),
        bundle=bundle,
        name=name,
        cache=cache,
        mirror=mirror,
        progress=output.note,
    )
    sights = () if plain else _look(lab, LOOK_PATIENCE)
    states = health(lab)
    _print(lab, states, sights)
    _next(collective, name)
    if not plain and not (all(state.good for state in states) and all(sight.good for sight in sights)):
        raise typer.Exit(1)


def _look(lab: Lab, patience: float) -> tuple[Sight, ...]:
    output.note("opening every URL from every place")
    authority = lab.repository / "keys" / "authority.pem"
    return survey(lab, lab.collective, authority, patience)


def _print(lab: Lab, states: tuple[Health, ...], sights: tuple[Sight, ...] = ()) -> None:
    status = lab.status()
    said = {found.machine: _verdict(found) for found in states}
    table = Table("machine", "site", "state", "address", "", title=f"lab {status.name}", title_justify="left")
    for machine in status.machines:
        notes = [f"{machine.simulated} in life, simulated on amd64"] if machine.simulated else []
        notes += ["cable cut"] if machine.cut else []
        table.add_row(machine.name, machine.site, said[machine.name], machine.address, ", ".join(notes))
    output.out.print(table)
    _print_sights(sights)
    if status.cut:
        output.say(f"cut: {', '.join(status.cut)}")
    output.say(f"repository: {lab.repository}")


def _verdict(found: Health | Sight) -> Text:
    return Text(found.said, "green" if found.good else "red")


def _print_sights(sights: tuple[Sight, ...]) -> None:
    if not sights:
        return
    table = Table(Column("url", no_wrap=True), "from", "")
    for sight in sights:
        table.add_row(sight.look.url, sight.look.place, _verdict(sight))
    output.out.print(table)


def _next(collective: Collective, name: str) -> None:
    site = next((site.name for site in collective.sites.values() if site.lan), "SITE")
    chosen = "" if name == "lab" else f" --name {name}"
    output.say("Now try:")
    hentou = f"{output.program()} lab"
    for verb in (f"browse{chosen}", f"cut{chosen} {site}", f"look{chosen}"):
        output.say(f"  {hentou} {verb}")
    output.say(f"and, to leave nothing behind:\n  {hentou} down{chosen}")


@app.command()
def status(
    name: Name = "lab", json: Annotated[bool, typer.Option("--json", help="Print it for scripts.")] = False
) -> None:
    """Show how each machine is, and which cables are cut.

    Example: hentou lab status --json
    """
    host.require_root()
    lab = Lab.attach(name)
    states = health(lab)
    if json:
        found = lab.status()
        said = {state.machine: {"well": state.good, "said": state.said} for state in states}
        machines = [{**machine._asdict(), **said[machine.name]} for machine in found.machines]
        record = {"name": found.name, "machines": machines, "cut": found.cut, "repository": lab.repository}
        output.as_json(record)
    else:
        _print(lab, states)


@app.command()
def look(name: Name = "lab") -> None:
    """Open every URL from everywhere: what people see now.

    A table shows each URL with each place where it should open. The exit status is 0 when all of them open.

    Example: hentou lab look
    """
    host.require_root()
    sights = _look(Lab.attach(name), GLANCE)
    _print_sights(sights)
    if not all(sight.good for sight in sights):
        raise typer.Exit(1)


@app.command()
def shell(node: NodeName, name: Name = "lab") -> None:
    """Open a root shell on a machine.

    On a laptop, a box or the visitor it is this computer's shell with that node's network and names.

    Example: hentou lab shell kerminy-1
    """
    host.require_root()
    raise typer.Exit(Lab.attach(name).node(node).shell())


@app.command(context_settings={"ignore_unknown_options": True})
def run(
    node: NodeName,
    command: Annotated[list[str], typer.Argument(metavar="-- CMD", help="The command and its arguments.")],
    name: Name = "lab",
) -> None:
    """Run one command on a node; its exit status is the command's.

    Example: hentou lab run kerminy-1 -- systemctl --failed
    """
    host.require_root()
    text = command[0] if len(command) == 1 else shlex.join(command)
    raise typer.Exit(Lab.attach(name).node(node).shell(text))


@app.command()
def cut(cable: CableName, name: Name = "lab") -> None:
    """Cut a cable: one line, all lines of a site, or a plug.

    Example: hentou lab cut kerminy/adsl
    """
    host.require_root()
    Lab.attach(name).cut(cable)
    output.note(f"{cable} is cut")


@app.command()
def heal(cable: CableName, name: Name = "lab") -> None:
    """Mend a cable that was cut.

    Example: hentou lab heal kerminy/adsl
    """
    host.require_root()
    Lab.attach(name).heal(cable)
    output.note(f"{cable} is whole")


@app.command()
def crash(machine: MachineName, name: Name = "lab") -> None:
    """Cut a machine's power.

    Example: hentou lab crash kerminy-1
    """
    host.require_root()
    Lab.attach(name).machine(machine).crash()
    output.note(f"{machine} is off")


@app.command()
def start(machine: MachineName, name: Name = "lab") -> None:
    """Switch a machine on and wait until it has booted.

    Example: hentou lab start kerminy-1
    """
    host.require_root()
    Lab.attach(name).machine(machine).start()
    output.note(f"{machine} is on")


@app.command()
def replace(
    machine: MachineName,
    plain: Annotated[bool, typer.Option("--plain", help="With Debian alone, as a provider delivers it.")] = False,
    name: Name = "lab",
) -> None:
    """Put another computer in a machine's place.

    Its disk is empty but for Debian and hentou. It is switched on, and neither pinned nor enrolled.

    Example: hentou lab replace kerminy-1
    """
    host.require_root()
    found = Lab.attach(name).machine(machine)
    found.replace(plain=plain)
    found.start()
    output.note(f"{machine} is another computer now, and on; next: hentou enrol, or hentou adopt ssh://…")


@app.command(context_settings={"ignore_unknown_options": True})
def clock(
    machine: MachineName,
    offset: Annotated[
        str, typer.Argument(metavar="OFFSET", help="Apart from the host's: +30d, -2h, or +0 for the same.")
    ],
    name: Name = "lab",
) -> None:
    """Set a machine's clock ahead or back. The first time, the machine reboots.

    Services and commands see the other time. The kernel, systemd itself (so its timers) and programs that
    are linked statically do not.

    Example: hentou lab clock kerminy-1 +30d
    """
    host.require_root()
    Lab.attach(name).clock(machine, offset)


@app.command()
def browse(
    place: Annotated[
        str, typer.Argument(metavar="PLACE", help="SITE/laptop or visitor; the first site's laptop by default.")
    ] = "",
    name: Name = "lab",
    port: Annotated[int, typer.Option(help="The proxy's port on this computer's loopback.")] = PORT,
) -> None:
    """Let your browser stand at a laptop, or on the Internet.

    Opens a SOCKS proxy, which lasts until the lab is taken down, and writes scripts that start a browser with it.

    Example: hentou lab browse konkarlab/laptop
    """
    host.require_root()
    lab = Lab.attach(name)
    laptops = [found.laptop.cable.name for found in lab.topology.places]
    proxy = open_proxy(lab, place or (laptops[0] if laptops else "visitor"), port)
    url = start_page(lab.collective, proxy.place)
    output.say(f"What you open now leaves from {proxy.place}. Start one of these, not as root:")
    for script in proxy.write(lab.work / "browse", url):
        output.say(f"  sh {script}")
    output.say(f"  {proxy.curl(url)}")


@app.command()
def push(
    message: Annotated[str, typer.Option("--message", "-m", help="What changed, for the commit.")] = "A change",
    machine: Annotated[list[str] | None, typer.Option(help="Only these machines; all by default.")] = None,
    name: Name = "lab",
) -> None:
    """Commit, sign, push to the machines, and have them converge.

    The lab keeps a copy of the collective, whose place `hentou lab status` prints: edit there, then push. It signs
    with keys of its own, and puts the change onto the machines' disks, cut off or not. What goes over the lab's
    network is `hentou publish`, run on a laptop or the visitor.

    Example: hentou lab push -m "Kerminy: the oven is repaired"
    """
    host.require_root()
    admin = Admin(Lab.attach(name))
    wanted = [admin.lab.machine(found) for found in machine] if machine else admin.managed()
    admin.load()  # problems are told before anything is committed
    before = resolve(admin.repository, "HEAD")
    commit = admin.commit(message)
    output.note(f"commit {commit[:12]}" if commit != before else f"nothing new to commit after {commit[:12]}")
    admin.push(wanted)
    admin.converge(wanted, output.note)


@app.command()
def down(name: Name = "lab") -> None:
    """Take a lab down; nothing of it stays.

    No process, mount, namespace, control group or file. It works also after `lab up` was killed, and when
    there is no such lab.

    Example: hentou lab down
    """
    host.require_root()
    was_up = name in cleanup.labs()
    cleanup.remove(name)
    if was_up:
        output.note(f"lab {name} is down")
    else:
        others = ", ".join(cleanup.labs())
        output.note(f"no lab called {name} was up" + (f"; there is {others}" if others else ""))
