"""What can go wrong on purpose: one class for each fault, a registry of them, and who set which.

It is separate from the parts, which have the hooks and know nothing of faults, and from whoever
sets them: the control API, the command line and the console are made from the registry.
"""
