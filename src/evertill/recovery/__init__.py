"""Recovery: which region writes, and how that becomes another one, planned or because one is lost.

    regions, deployment, databases   what is reached, under which names, and how
    observing -> snapshot            what both regions and the world around them say
    evaluate, plan                   what that means, and what would be done; pure
    steps/ -> execute -> report      what is done, in order, resumable, and told afterwards

It speaks boto3 and SQL only. A simulation is reached by its endpoints, as AWS is by its own.
"""
