"""Statements and journals as they are kept in Git: between what trust says and where it lies."""
