"""Work that is the same for every machine, done once per compile: else 1,000 machines would cost 1,000²."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar
from weakref import WeakKeyDictionary

from hentou.generation.offer import Offers
from hentou.model.types import Collective

Result = TypeVar("Result")


def once(function: Callable[[Collective, Offers], Result]) -> Callable[[Collective, Offers], Result]:
    """Remember a pure function's result for as long as the compile's `Offers` live.

    `Offers` belong to one collective, so they are the key; a dictionary of weak references frees the result
    with them.
    """
    results: WeakKeyDictionary[Offers, Result] = WeakKeyDictionary()

    @wraps(function)
    def remembered(collective: Collective, offers: Offers) -> Result:
        if offers not in results:
            results[offers] = function(collective, offers)
        return results[offers]

    return remembered
