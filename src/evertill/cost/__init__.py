"""What a deployment costs a month, estimated from its synthesized templates.

The room is separate from the infrastructure because it reads what was synthesized, as an
`evertill.assembly`, and nothing else, so an estimate is of what would be deployed. Prices are list
prices from a dated table; nobody has held an estimate against a bill.
"""
