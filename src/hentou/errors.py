"""What went wrong, told to the person who can mend it: where, what, and one next action."""

from __future__ import annotations

from dataclasses import dataclass


class HentouError(Exception):
    """A failure with a message for people and, apart from it, a hint: the one next action."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong in a collective's repository, on the user's own line.

    `line` and `column` count from 1, as editors do; 0 means the file as a whole.
    """

    path: str
    line: int
    column: int
    message: str
    hint: str = ""
    source: str = ""

    def __str__(self) -> str:
        """The problem as compilers print one: position, message, source line, caret, next action."""
        where = self.path if not self.line else f"{self.path}:{self.line}:{self.column}"
        lines = [f"{where}: {self.message}"]
        if self.source:
            lines += [f"    {self.source}", "    " + " " * (self.column - 1) + "^"]
        if self.hint:
            lines.append(f"  → {self.hint}")
        return "\n".join(lines)


class InvalidCollectiveError(HentouError):
    """A repository that cannot be compiled: every problem that was found, in file order."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        count = len(problems)
        super().__init__(
            "\n".join(str(problem) for problem in problems),
            f"{count} problem{'s' if count > 1 else ''}; correct and run `hentou check` again",
        )
        self.problems = problems
