"""The console: one page that shows the twin, as files that the control server hands out.

It is a folder of the package so that the files are found wherever the package is; there is no code
here. `docs/reference/console.md` says what the page promises to scripts and tests.
"""
