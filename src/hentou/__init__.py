"""Run a collective of small servers, in many places, from one signed Git repository."""

__version__ = "0.1.0"
