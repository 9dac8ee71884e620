"""Quantities as people write them in YAML: `800k`, `50G`, `200 W`, `30s`.

Decimal prefixes throughout (1k = 1000), as on the label of a line, a disk or a power supply.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

_PREFIXES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_SCALED = re.compile(r"(\d+(?:\.\d+)?)\s?([kMGT]?)")
_POWER = re.compile(r"(\d+(?:\.\d+)?)\s?W")
_DURATION = re.compile(r"(\d+)\s?(s|min|h|d)")
_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400}


def _scaled(meaning: str, example: str) -> Any:
    def parse(value: object) -> object:
        if isinstance(value, str) and (match := _SCALED.fullmatch(value.strip())):
            return int(float(match[1]) * _PREFIXES[match[2]])
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        raise ValueError(f"not {meaning}: write a number with k, M, G or T, such as {example}")

    return parse


def _power(value: object) -> object:
    if isinstance(value, str) and (match := _POWER.fullmatch(value.strip())):
        return float(match[1])
    if isinstance(value, float):
        return value
    raise ValueError("not a power: write watts with their unit, such as 15 W")


def _duration(value: object) -> object:
    if isinstance(value, str) and (match := _DURATION.fullmatch(value.strip())):
        return int(match[1]) * _SECONDS[match[2]]
    raise ValueError("not a duration: write a number with s, min, h or d, such as 30s")


def _schema(quantity: str, pattern: str, example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "format": quantity, "pattern": f"^{pattern}$", "examples": [example]})


Rate = Annotated[
    int,
    BeforeValidator(_scaled("a rate in bits per second", "800k")),
    _schema("rate", _SCALED.pattern, "800k"),
]
"""Bits per second."""

Size = Annotated[int, BeforeValidator(_scaled("a size in bytes", "50G")), _schema("size", _SCALED.pattern, "50G")]
"""Bytes."""

Power = Annotated[float, BeforeValidator(_power), _schema("power", _POWER.pattern, "15 W")]
"""Watts."""

Duration = Annotated[int, BeforeValidator(_duration), _schema("duration", _DURATION.pattern, "30s")]
"""Seconds."""
