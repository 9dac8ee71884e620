"""How much chance tests have: none by default, so that a red run is red again; plenty in `make campaign`."""

from __future__ import annotations

import os

from hypothesis import settings

# No deadline: how fast a machine is decides nothing here.
settings.register_profile("quick", deadline=None, derandomize=True)
settings.register_profile("campaign", deadline=None, max_examples=3000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
