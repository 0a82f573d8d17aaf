"""What several rules want to see in a model, in one form.

Services with their containers, balancers with their listeners, paths through security groups: they
are separate from the rules because they judge nothing.
"""
