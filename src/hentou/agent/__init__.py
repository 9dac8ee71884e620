"""The resident side of a machine: what it holds, how it changes, how it comes back."""
