"""One gateway between chat applications and language-model providers."""

__version__ = "0.1.0"
