"""The subcommands of `evertill`, a module for each kind, loaded when one of them is called."""
