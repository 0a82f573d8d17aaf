"""The rules: one module each, whose docstring is its sentence and whose `check` holds it."""
