"""Other people's linters over the synthesized templates, counted in one table.

The room is separate because these tools read what `make synth` writes and know nothing of
Evertill; our own rules are another room. Most of them live in an environment of their own
(`.venv-lint`), so they are run as programs and not imported.
"""
