"""The parts that run: one module for each kind of thing that the templates name."""
