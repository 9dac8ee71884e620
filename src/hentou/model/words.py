"""What a value that does not fit its type is told to the person who wrote it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Any, Final, NamedTuple

from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from hentou.errors import Problem
from hentou.model import shape, types
from hentou.model.yaml import Document, Path, shown


class _Fault(NamedTuple):
    """An error of validation with what the types say about its place."""

    error: ErrorDetails
    annotation: Any
    info: FieldInfo | None

    @property
    def written(self) -> Any:
        return self.error["input"]

    @property
    def context(self) -> dict[str, Any]:
        return self.error.get("ctx") or {}

    @property
    def example(self) -> str:
        return shape.example(self.info) if self.info else ""


Said = tuple[str, str]


def tell(error: ErrorDetails, model: shape.Model, document: Document, prefix: Path = ()) -> Problem:
    """A validation error as a problem on the line where its cause is written.

    `prefix` is the path of keys from the document to what `model` was given.
    """
    place = tuple(str(part) for part in error["loc"] if part != "[key]")
    path = (*prefix, *place)
    if error["type"] == "missing":
        return document.key(path[:-1], *_missing(model, place))
    if error["type"] == "extra_forbidden":
        return document.key(path, *_unknown(model, place))
    annotation, info = shape.at(model, place)
    message, hint = _say(_Fault(error, annotation, info))
    if error["loc"][-1:] == ("[key]",):
        return document.key(path, message, hint)
    name = next((part for part in reversed(place) if not part.isdecimal()), "")
    if error["input"] is None:
        return document.value(path, f"{name or 'this'} has no value", "write one, or remove the line")
    return document.value(path, f"{name}: {message}" if name else message, hint)


def _missing(model: shape.Model, place: Path) -> Said:
    _, info = shape.at(model, place)
    example = shape.example(info) if info else ""
    action = f"add `{place[-1]}: {example or '…'}`"
    meaning = info.description if info else None
    return f"{place[-1]} is missing", f"{action} ({meaning.rstrip('.')})" if meaning else action


def _unknown(model: shape.Model, place: Path) -> Said:
    annotation, _ = shape.at(model, place[:-1])
    key = place[-1]
    if not shape.is_model(annotation):
        return f"unknown key {shown(key)}", "remove it"
    known = shape.written_fields(annotation)
    if key in annotation.model_fields and key not in known:
        hint = f"remove it: the {key} follows from the file's name or the key above"
        return f"{key} is not written here", hint
    # A name is easily written where one of the keys it should be under was meant.
    return f"unknown key {shown(key)}", shape.did_you_mean(
        key, list(known), f"known here: {', '.join(known)}" if known else "remove it: nothing is set here"
    )


def _say(fault: _Fault) -> Said:
    kind = fault.error["type"]
    if fault.annotation in _ADDRESSES and kind != "is_instance_of":
        return _address(fault)
    if kind == "value_error":
        message, _, hint = str(fault.context["error"]).partition(": ")
        return f"{shown(fault.written)} is {message}", hint or "correct it"
    for kinds, words in _SAYINGS:
        if kind in kinds:
            return words(fault)
    return f"{shown(fault.written)} does not fit", str(fault.error["msg"])


_ADDRESSES: Final = {
    IPv4Address: ("an IPv4 address", "192.168.1.240"),
    IPv6Address: ("an IPv6 address", "2001:db8::1"),
    IPv4Network: ("an IPv4 network", "192.168.1.0/24"),
    IPv6Network: ("an IPv6 network", "2001:db8::/48"),
}


def _address(fault: _Fault) -> Said:
    what, such = _ADDRESSES[fault.annotation]
    if isinstance(fault.written, str) and fault.annotation in (IPv4Network, IPv6Network):
        try:
            network = ip_network(fault.written, strict=False)
        except ValueError:
            pass
        else:
            return f"{shown(fault.written)} is one address, not {what}", f"write {network}"
    return f"{shown(fault.written)} is not {what}", f"write one such as {such}"


def _text(fault: _Fault) -> Said:
    if isinstance(fault.written, dict | list):
        return f"text is expected, not {shown(fault.written)}", "write the text after the colon"
    written = shown(fault.written)
    return f"text is expected, and {written} is none", f'put it in quotes: "{written}"'


def _whole_number(fault: _Fault) -> Said:
    return f"a whole number is expected, not {shown(fault.written)}", "write digits alone, without quotes"


def _number(fault: _Fault) -> Said:
    return f"a number is expected, not {shown(fault.written)}", "write digits, without quotes"


def _truth(fault: _Fault) -> Said:
    return f"true or false is expected, not {shown(fault.written)}", "write true or false, without quotes"


def _mapping(fault: _Fault) -> Said:
    return (
        f"a mapping is expected, not {shown(fault.written)}",
        "write `key: value` lines under it, indented",
    )


def _list(fault: _Fault) -> Said:
    hint = "write it in brackets, [one, two], or one a line after a hyphen"
    return f"a list is expected, not {shown(fault.written)}", hint


def _choice(fault: _Fault) -> Said:
    options = shape.choices(fault.annotation)
    every = ", ".join(options) or str(fault.context.get("expected", ""))
    near = shape.nearest(fault.written, options) if isinstance(fault.written, str) else None
    hint = f"did you mean {near}? ({every})" if near else f"write one of {every}"
    return f"{shown(fault.written)} is not one of what is possible", hint


def _pattern(fault: _Fault) -> Said:
    if "PRIVATE KEY" in str(fault.written):
        return "this is a private key", "remove it, make a new pair, and write the public half (.pub) here"
    pattern = str(fault.context["pattern"])
    what, hint = _FORMS.get(pattern, ("of the form that is needed", f"it must match {pattern}"))
    return f"{shown(fault.written)} is not {what}", hint


def _bound(words: str, key: str) -> Callable[[_Fault], Said]:
    def say(fault: _Fault) -> Said:
        return f"{shown(fault.written)} is not {words} {fault.context[key]}", "correct the number"

    return say


def _length(fault: _Fault) -> Said:
    context = fault.context
    if "min_length" in context:
        return f"at least {context['min_length']} are needed", "write more"
    return f"{shown(fault.written)} is longer than {context['max_length']} characters", "shorten it"


def _form(annotation: Any) -> str:
    (constraints,) = annotation.__metadata__
    return str(constraints.pattern)


_NAME = "use lower-case letters, digits and single hyphens, a letter first; at most 30"
_FORMS: Final = {
    _form(types.Name): ("a name", _NAME),
    _form(types.HostName): ("a domain name", "write one such as collective.example, in lower case"),
    _form(types.SshKey): (
        "an SSH public key",
        "copy the line of ~/.ssh/id_ed25519.pub, whole (ssh-ed25519 AAAA…)",
    ),
    _form(types.WireGuardKey): (
        "a WireGuard public key",
        "copy what `hentou identity` prints: 44 characters, = last",
    ),
    "^(fr|en)$": ("a language of hentou", "write fr or en"),
    r"^(@|[a-z0-9]+(-[a-z0-9]+)*)$": (
        "a name under the site's domain",
        "use lower-case letters, digits and single hyphens, or @ for the site's domain itself",
    ),
    r"^[0-9a-f]{1,4}(:[0-9a-f]{1,4}){3}$": (
        "the lower half of an address",
        'write four groups of hexadecimal digits, in quotes: "12:34:56:78"',
    ),
}


def forms() -> Mapping[str, str]:
    """What each pattern of the model stands for, such as `a domain name`."""
    return {pattern: what for pattern, (what, _) in _FORMS.items()}


_SAYINGS: Final[tuple[tuple[tuple[str, ...], Callable[[_Fault], Said]], ...]] = (
    (("string_type", "string_sub_type"), _text),
    (("int_type", "int_parsing", "int_from_float", "int_parsing_size"), _whole_number),
    (("float_type", "float_parsing", "finite_number"), _number),
    (("bool_type", "bool_parsing"), _truth),
    (("model_type", "dict_type", "mapping_type", "model_attributes_type", "dataclass_type"), _mapping),
    (("tuple_type", "list_type", "set_type", "frozen_set_type"), _list),
    (("enum", "literal_error"), _choice),
    (("string_pattern_mismatch",), _pattern),
    (("greater_than_equal",), _bound("at least", "ge")),
    (("greater_than",), _bound("greater than", "gt")),
    (("less_than_equal",), _bound("at most", "le")),
    (("less_than",), _bound("less than", "lt")),
    (("string_too_long", "string_too_short", "too_short", "too_long"), _length),
)
