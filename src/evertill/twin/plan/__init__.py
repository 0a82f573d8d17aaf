"""From the model to what will be run: one module per concern, each `Model -> specifications`.

A plan is data. It can be printed without starting anything, and it is complete: addresses, ports
and the text of every environment variable are decided here, so that parts only do as they are told.
"""
