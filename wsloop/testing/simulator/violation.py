"""What a checker raises."""

from __future__ import annotations


class Violation(Exception):  # noqa: N818 (a broken promise is no error of the simulator's)
    """A promise was broken: `name` is short ("P4", "wire"), `text` says what was seen."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}")
        self.name = name
        self.text = text
