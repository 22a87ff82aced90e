"""Alembic's directory: how tables came to be as they are."""
