"""The steps of a change of the writer, one module each, in the order of `plan.STEPS`.

Each looks at the world before it changes it, so that it may be carried out again after a kill at
any point, and waits for what it changed by asking, never by the clock.
"""
