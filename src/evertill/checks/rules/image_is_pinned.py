"""A container runs our image, pinned by what is in it, and never somebody's sample."""

from __future__ import annotations

import re
from collections.abc import Iterator

from evertill.assembly import Model, Text, Value
from evertill.assembly.model import child
from evertill.checks.findings import Report
from evertill.checks.views.containers import TASK, containers_of

DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
# The CDK tags its images with the hash of their source.
SOURCE_HASH = re.compile(r":[0-9a-f]{64}$")
SAMPLES = re.compile(
    r"amazon/amazon-ecs-sample|ecs-sample-image|ecs-demo-|aws-containers/|hello-world|hello-app"
)


def check(model: Model) -> Iterator[Report]:
    """Look at the image of each container."""
    for task in model.resources_of(TASK):
        for container in containers_of(task):
            image = child(container, "Image")
            if isinstance(image, str | Text) and SAMPLES.search(str(image)):
                yield Report(
                    task,
                    f"It runs {image}, which is a public sample and takes no payments.",
                    "Run the image of this service.",
                )
            elif _is_movable(image):
                yield Report(
                    task,
                    f"{image} is not pinned: the next task may run other code than its "
                    "neighbours, and a rollback may not bring the old code back.",
                    "Name the image by its digest: repository@sha256:...",
                )


def _is_movable(image: Value) -> bool:
    if not isinstance(image, str | Text):
        return False
    tail = image if isinstance(image, str) else image.parts[-1]
    # What ends in something unknown may be pinned.
    return isinstance(tail, str) and not DIGEST.search(tail) and not SOURCE_HASH.search(tail)
