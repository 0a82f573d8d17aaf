"""The client room: what talks to a running service over HTTP, and the commands built on it."""
