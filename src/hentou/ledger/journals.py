"""Journals in Git: appended to by the machine that signs, read by anyone (`entries`), taken in from others (`ingest`).

append(store, machine, key, *, kind, text, at, standing=…, about=…, person=…, data=…) -> commit
tips(store) -> {Journal: commit}
newest(store, machine, key="") -> Kept | None
newest_of(store, {machine: key}) -> {machine: Kept}
entries(store, ref, limit, since="", about="") -> Kept, newest first
ingest(target, source, ref, key) -> Ingested
ingest_all(target, source, {Journal: tip}, {machine: key}) -> Ingested
"""

from __future__ import annotations

from hentou.ledger.entries import Journal, Kept, append, entries, frozen, frozen_text, newest, newest_of, tips
from hentou.ledger.ingest import Alarm, Fault, Ingested, ingest, ingest_all

__all__ = [
    "Alarm", "Fault", "Ingested", "Journal", "Kept", "append", "entries", "frozen", "frozen_text", "ingest",
    "ingest_all", "newest", "newest_of", "tips",
]  # fmt: skip
