"""Drill files are read strictly, chaos is repeatable, and what ships can be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from evertill.drill.chaos import Chaos, Choice, chaos_steps
from evertill.drill.errors import DrillUnreadable
from evertill.drill.files import find_drills, read_drill
from evertill.drill.steps import filled

SHIPPED = list(find_drills())


def written(folder: Path, text: str) -> Path:
    """Write a drill file."""
    path = folder / "drill.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.stem))
def test_a_shipped_drill_can_be_read_and_bounds_what_it_promises(path: Path) -> None:
    drill = read_drill(path)
    assert {"lost", "duplicates"} & drill.bounds.keys()
    assert drill.steps or drill.chaos


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("title = ", "is no TOML"),
        ("title = 'x'\nfast = true", "unknown field `fast`"),
        ("title = 'x'\n[[steps]]\nfault = 'a'\nundo = 'b'", "exactly one of"),
        ("title = 'x'\n[[steps]]\nundo = 'b'", "names no step 'b'"),
        ("title = 'x'\n[workload]\npayments_per_s = 'many'", "Expected `float`"),
    ],
)
def test_a_mistake_in_a_file_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(DrillUnreadable, match=sentence):
        read_drill(written(tmp_path, text))


def test_a_word_that_the_platform_lacks_is_named_with_those_it_has() -> None:
    assert "us-east-1" == filled("{active}", {"active": "us-east-1"})
    with pytest.raises(DrillUnreadable, match=r"\{active\}"):
        filled("{zone_z}", {"active": "us-east-1"})


def test_equal_seeds_make_equal_chaos() -> None:
    chaos = Chaos(
        faults=20,
        of=[
            Choice(fault="kill-task", parameters={"task": "any"}),
            Choice(fault="lose-zone", choices={"zone": ["a", "b", "c"]}, weight=3),
        ],
    )
    first, again, other = (list(chaos_steps(chaos, seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert 40 == len(first)
    assert {"a", "b", "c"} == {
        step.parameters["zone"] for step in first if "zone" in step.parameters
    }
