"""The HTTP service: one process of the ECS container, from the socket down to the rooms below."""
