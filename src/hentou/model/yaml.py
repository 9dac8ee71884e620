"""Read one YAML file: plain data, and the line and column of every key and value.

Only what a person needs to describe a collective is read: mappings, lists, text, numbers, true, false and
null. Anchors, aliases and tags are refused, so that a file means what it shows and cannot explode.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Never

import yaml

from hentou.errors import Problem

LARGEST = 1_000_000
"""Bytes of one YAML file: a thousand times what a site needs."""

DEEPEST = 20
"""Levels of nesting; the model itself has seven."""

MOST = 5_000
"""Values in one file: fifty times what a site needs."""

Path = tuple[str, ...]
Position = tuple[int, int]

_INT: Final = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT: Final = re.compile(r"[-+]?[0-9]{1,18}\.[0-9]{1,18}(e[-+]?[0-9]{1,2})?", re.IGNORECASE)
_NAMED: Final = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_LINE_BREAK: Final = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
# Control characters, which YAML refuses, and the marks that make text run backwards, which hide what a
# reviewer should see.
_FORBIDDEN: Final = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\u2029\u202f-\u2065\u206a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_TAB: Final = re.compile(r" *\t")
_WIDEST = 150
_ENOUGH = 100
"""Problems of one file's YAML after which nobody reads on."""


@dataclass(frozen=True)
class Document:
    """One YAML file: its data, and where each key and value stands, by the path of keys to it.

    Lines and columns count from 1; an item of a list has its index, as text, for a key.
    """

    file: str
    data: Any
    keys: Mapping[Path, Position]
    values: Mapping[Path, Position]
    lines: tuple[str, ...] = field(repr=False)

    def mapping(self, *path: str) -> Mapping[str, Any]:
        """The mapping at a path; an empty one when there is none."""
        found = self.data
        for key in path:
            found = found.get(key) if isinstance(found, dict) else None
        return found if isinstance(found, dict) else {}

    def key(self, path: Path, message: str, hint: str = "") -> Problem:
        """A problem of a key that is written, or of the nearest enclosing one."""
        return self._problem(self._nearest(path, self.keys), message, hint)

    def value(self, path: Path, message: str, hint: str = "") -> Problem:
        """A problem of a value that is written, or of the nearest enclosing key."""
        position = self.values.get(path) or self._nearest(path, self.keys)
        return self._problem(position, message, hint)

    def _nearest(self, path: Path, positions: Mapping[Path, Position]) -> Position:
        while path and path not in positions:
            path = path[:-1]
        return positions.get(path, (1, 1))

    def _problem(self, position: Position, message: str, hint: str) -> Problem:
        return problem_at(self.file, position, message, hint, self.lines)


def problem_at(file: str, position: Position, message: str, hint: str, lines: tuple[str, ...]) -> Problem:
    """A problem with its source line, if that can be shown with a caret under it."""
    line, column = position
    whole = lines[line - 1] if line <= len(lines) else ""
    # A terminal would obey control characters, and a tab would move the caret.
    source = "".join(char if char.isprintable() else " " for char in whole[:_WIDEST])
    if len(whole) > _WIDEST:
        source += "…"
    if column > _WIDEST or not source.strip():
        source = ""
    return Problem(file, line, column, message, hint, source.rstrip())


class _Stop(Exception):  # noqa: N818 - it ends the reading, it is not an error of the program
    """Nothing after this problem can be read."""


@dataclass
class _Frame:
    """A mapping or list that is being filled."""

    node: dict[str, Any] | list[Any]
    path: Path
    key: str | None = None


def parse(file: str, raw: bytes, problems: list[Problem]) -> Document | None:
    """The content of a file; None when it cannot be read. What is wrong is added to `problems`."""
    if len(raw) > LARGEST:
        hint = "shorten it, or divide it; sources of web sites belong into content/"
        problems.append(Problem(file, 0, 0, f"larger than {LARGEST:,} bytes", hint))
        return None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - (raw.rfind(b"\n", 0, error.start) + 1) + 1
        hint = "save the file in UTF-8; the column counts bytes"
        problems.append(Problem(file, line, column, "not UTF-8 text", hint))
        return None
    reader = _Reader(file, text, problems)
    try:
        reader.read(text)
    except _Stop:
        return None
    return Document(file, reader.root, reader.keys, reader.values, reader.lines)


class _Reader:
    """Builds plain data from the parser's events, without recursion: depth costs nothing."""

    def __init__(self, file: str, text: str, problems: list[Problem]) -> None:
        self.file = file
        self.lines = tuple(_LINE_BREAK.split(text))
        self.problems = problems
        self.root: Any = None
        self.keys: dict[Path, Position] = {}
        self.values: dict[Path, Position] = {}
        self._stack: list[_Frame] = []
        self._documents = 0
        self._noted = 0

    def read(self, text: str) -> None:
        """Read the whole text; _Stop where nothing more can be understood."""
        if bad := _FORBIDDEN.search(text):
            line = len(_LINE_BREAK.findall(text, 0, bad.start())) + 1
            column = bad.start() - max((m.end() for m in _LINE_BREAK.finditer(text, 0, bad.start())), default=0)
            self._stop(
                (line, column + 1),
                f"character U+{ord(bad[0]):04X} cannot be seen, and is not allowed",
                "remove it",
            )
        try:
            for event in yaml.parse(text, Loader=yaml.CSafeLoader):
                self._take(event)
        except yaml.MarkedYAMLError as error:
            self._syntax(error)
        except yaml.YAMLError:
            self._stop((1, 1), "cannot be read as YAML", "compare with an example in docs/reference")

    def _take(self, event: yaml.Event) -> None:
        match event:
            case yaml.ScalarEvent():
                self._scalar(event)
            case yaml.MappingStartEvent():
                self._open(event, {})
            case yaml.SequenceStartEvent():
                self._open(event, [])
            case yaml.CollectionEndEvent():
                self._stack.pop()
            case yaml.AliasEvent():
                self._note(event, f"*{event.anchor} repeats another place by an alias", "write the value out")
                self._put(event, None)
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    hint = "write one document a file, without a line of three hyphens between"
                    self._stop(_position(event), "a second document in one file", hint)

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        self._refuse_marks(event)
        value = event.value if event.style else _resolve(event.value)
        if bad := _FORBIDDEN.search(event.value):
            self._note(event, f"character U+{ord(bad[0]):04X} cannot be seen, and is not allowed", "remove it")
            value = ""
        frame = self._stack[-1] if self._stack else None
        if frame is None or isinstance(frame.node, list) or frame.key is not None:
            self._put(event, value)
            return
        if not isinstance(value, str):
            written = event.value or "an empty key"
            self._note(event, f"a key must be text, and {written} is none", f'put it in quotes: "{event.value}"')
        self._key(event, frame)

    def _key(self, event: yaml.ScalarEvent, frame: _Frame) -> None:
        name: str = event.value
        path = (*frame.path, name)
        if path in self.keys:
            first = self.keys[path][0]
            message = f"{shown(name)} is written twice, first on line {first}"
            self._note(event, message, "keep one of the two")
        else:
            self.keys[path] = _position(event)
        frame.key = name

    def _open(self, event: yaml.CollectionStartEvent, node: dict[str, Any] | list[Any]) -> None:
        self._refuse_marks(event)
        if self._stack and isinstance(self._stack[-1].node, dict) and self._stack[-1].key is None:
            self._stop(_position(event), "a key must be text, not a list or mapping", "write a name before the colon")
        if len(self._stack) >= DEEPEST:
            self._stop(_position(event), f"nested deeper than {DEEPEST} levels", "write it flatter")
        path = self._put(event, node)
        self._stack.append(_Frame(node, path))

    def _put(self, event: yaml.NodeEvent, value: Any) -> Path:
        """Put a value where it belongs; its path."""
        if len(self.values) >= MOST:
            self._stop(_position(event), f"more than {MOST:,} values in one file", "divide the file")
        if not self._stack:
            self.root = value
            self.values[()] = _position(event)
            return ()
        frame = self._stack[-1]
        if isinstance(frame.node, list):
            path = (*frame.path, str(len(frame.node)))
            frame.node.append(value)
        else:
            if frame.key is None:
                self._stop(_position(event), "a key must be text", "write a name before the colon")
            path = (*frame.path, frame.key)
            frame.node[frame.key] = value
            frame.key = None
        self.values[path] = _position(event)
        return path

    def _refuse_marks(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
        if event.anchor is not None:
            hint = "remove it, and write the value out where it is repeated"
            self._note(event, f"&{event.anchor} names a place for aliases", hint)
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            self._note(event, f"the tag {shown(tag)} is not allowed", "remove it; quotes make text of a number")

    def _note(self, event: yaml.Event, message: str, hint: str) -> None:
        self.problems.append(problem_at(self.file, _position(event), message, hint, self.lines))
        self._noted += 1
        if self._noted >= _ENOUGH:
            self._stop(_position(event), "too many problems to read on", "correct those above first")

    def _stop(self, position: Position, message: str, hint: str) -> Never:
        self.problems.append(problem_at(self.file, position, message, hint, self.lines))
        raise _Stop

    def _syntax(self, error: yaml.MarkedYAMLError) -> Never:
        message, hint = _WORDS.get(error.problem or "", (f"not YAML: {error.problem}", _LOOK))
        # What does not end is found at the end of the file, but mended where it starts.
        opened = "does not end" in message or "do not end" in message
        line, column = _at(error.context_mark if opened else error.problem_mark)
        line = min(line, len(self.lines))
        tab = _TAB.match(self.lines[line - 1])
        if tab:
            self._stop((line, tab.end()), "a tab in the indentation", "indent with spaces")
        self._stop((line, column), message, hint)


def _position(event: yaml.Event) -> Position:
    return _at(event.start_mark)


def _at(mark: Any) -> Position:
    return (1, 1) if mark is None else (mark.line + 1, mark.column + 1)


def _resolve(written: str) -> Any:
    """What an unquoted word means: as in YAML 1.2, so `no`, `on`, `1:30` and dates stay text."""
    if written in _NAMED:
        return _NAMED[written]
    if _INT.fullmatch(written):
        return int(written)
    if _FLOAT.fullmatch(written):
        return float(written)
    return written


def shown(value: object) -> str:
    """A value as a message shows it: short, in quotes when it is text, without control characters."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = str(value)
    text = text if len(text) <= 50 else text[:49] + "…"
    text = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return f"'{text}'" if isinstance(value, str) else text


_LOOK = "look at this line and the one above"
_COLON = "put a value that holds a colon in quotes, and check that the line above has its own colon"
_WORDS: Final = {
    "mapping values are not allowed in this context": ("a colon where no key can be", _COLON),
    "could not find expected ':'": (
        "a key without its colon",
        "write `key: value`, and check the line above and its quotes",
    ),
    "did not find expected key": (
        "no key where one was expected",
        "align this line with its neighbours, and check the quotes above",
    ),
    "did not find expected '-' indicator": (
        "no list item where one was expected",
        "align this line with the `-` above it",
    ),
    "did not find expected ',' or ']'": ("a list in brackets that does not end", "close it with ]"),
    "did not find expected ',' or '}'": ("a mapping in braces that does not end", "close it with }"),
    "did not find expected node content": ("a value is missing here", "write a value, or remove the comma"),
    "did not find expected <document start>": (
        "text after the end of the data",
        "indent it under a key, or remove it",
    ),
    "found character that cannot start any token": (
        "a value cannot start with this character",
        "put the value in quotes",
    ),
    "found unexpected end of stream": ("quotes that do not end", "close the quotes"),
    "found unknown escape character": (
        "an unknown escape",
        "write \\\\ for a backslash, or use single quotes",
    ),
    "block sequence entries are not allowed in this context": (
        "a list item cannot stand here",
        "start the list on the line below its key",
    ),
}
