"""hello: the smallest complete feature, to copy when you write your own.

A feature is a folder with three things in its `__init__.py`: a model of its settings, what it offers, and
what it wants on a machine. This one writes a line of greeting to /etc/hentou/hello.txt on every machine.
"""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from hentou.generation.contract import View
from hentou.generation.fragment import File, Fragment
from hentou.generation.offer import Offer
from hentou.generation.template import fill
from hentou.model.types import Spec


class Settings(Spec):
    """What people may write under `features: hello:`, in collective.yaml for all or in a site's file for one.

    `Spec` freezes the model and refuses unknown keys. The descriptions become the reference documentation.
    """

    greeting: str = Field("Welcome", description="The first words of the line.")


def offer(view: View[Settings]) -> Iterable[Offer]:  # noqa: ARG001 — a greeting looks at nothing
    """What this machine tells the others: a port that is open, a name that is answered, data to keep.

    A greeting has nothing to tell. `features/access` offers a port, `recipes/website` a name.
    """
    return ()


def render(view: View[Settings]) -> Fragment | None:
    """What this feature wants on the machine of the view, as data: nothing is written here.

    The compiler calls this for each machine and merges the fragments; the agent on the machine does the rest.
    The same view must give the same bytes: no clock, no chance, no environment.
    """
    text = fill(
        __package__,  # templates/ beside this file
        "hello.txt",
        greeting=view.settings.greeting,
        machine=view.machine.name,
        collective=view.collective.spec.title or view.collective.spec.name,
    )
    # `because` says where in the repository this file comes from; `hentou explain` answers from it.
    return Fragment(by="hello", files=(File("/etc/hentou/hello.txt", text, because=(view.here,)),))
