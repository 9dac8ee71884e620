"""The template of a feature does what its page says."""

from __future__ import annotations

from feature_world import FILES, generation, text


def test_greets_every_machine() -> None:
    assert text(generation("gorse"), "/etc/hentou/hello.txt") == "Welcome to gorse, a machine of coast.\n"


def test_a_sites_word_goes_over_the_collectives() -> None:
    changes = {
        "collective.yaml": FILES["collective.yaml"] + "features: {hello: {greeting: Demat}}\n",
        "sites/quay.yaml": FILES["sites/quay.yaml"] + "features: {hello: {greeting: Ahoy}}\n",
    }
    assert text(generation("gorse", changes), "/etc/hentou/hello.txt").startswith("Demat ")
    assert text(generation("anchor", changes), "/etc/hentou/hello.txt").startswith("Ahoy ")
