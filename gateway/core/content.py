"""The text of one exchange, if the operator wants it logged.

The rule here: never hold more than will be written; most exchanges hold none at all.
"""

import msgspec


class Content(msgspec.Struct):
    """The beginning of a prompt, and of its answer."""

    prompt: str
    max_chars: int  # the limit for the answer
    answer: list[str] = []
    answer_chars: int = 0

    def hear(self, text: str) -> None:
        """Add text to the answer."""
        left = self.max_chars - self.answer_chars
        if left > 0 and text:
            self.answer.append(text[:left])
            self.answer_chars += min(len(text), left)

    def begin_answer(self) -> None:
        """Start over for another attempt: nothing of the last one was relayed."""
        self.answer = []
        self.answer_chars = 0
