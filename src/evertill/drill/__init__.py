"""The drill room: load from outside, faults, and a judgement of what became of every payment."""
