"""Templates kept as files beside the code that fills them."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined


@cache
def _environment(package: str) -> Environment:
    # Text for servers' own parsers, not HTML: escaping would break it. Values are validated by the model.
    return Environment(
        loader=PackageLoader(package, "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701
    )


def fill(package: str, template: str, **values: object) -> bytes:
    """The bytes of `templates/TEMPLATE` of a package with its values; an undefined value is an error."""
    return _environment(package).get_template(template).render(values).encode()


def raw(package: str, template: str) -> bytes:
    """The bytes of `templates/TEMPLATE` of a package as they are: for another engine's templates."""
    return files(package).joinpath("templates", template).read_bytes()
