"""The control API of a running twin: its status, its events, its faults, its mail.

It is separate from the twin's AWS API, which knows nothing of a twin: this one is for people who
watch, for the console, and for drills. It listens on this machine only.
"""
