"""The parent of every block of a configuration file.

Rule: unknown keys are refused, values never change, and an error never quotes a value.
"""

from pydantic import BaseModel, ConfigDict


class Spec(BaseModel):
    """A block of a configuration file: closed and frozen."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,  # a value may be a credential
        allow_inf_nan=False,
        validate_default=False,
        # A block is checked as a part of its file; its own check is seldom made, and takes time.
        defer_build=True,
    )
