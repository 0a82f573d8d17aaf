"""The CDK app that deploys Evertill to two regions.

It is a room that imports no run-time code: the templates it writes are its only product, and
whoever checks or rehearses them reads them from disk.
"""
