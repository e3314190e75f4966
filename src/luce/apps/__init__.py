"""The faces that people use luce through: thin, with no mathematics of their own."""

__all__: list[str] = []
