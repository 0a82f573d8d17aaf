"""Where the validation function's code is, and what must be in it before it may be deployed.

It is separate from `validation` so that a missing asset is one sentence at once, before the CDK
starts. Nothing is fetched here: `make validation-asset` does that, and says so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from evertill.infrastructure.errors import SettingsError
from evertill.infrastructure.settings import Settings

CHECKOUT: Final = Path(__file__).parents[3]
ASSET: Final = CHECKOUT / "build" / "validation" / "lambda"
# What stands in for it in a rehearsal, which can be deployed nowhere: templates hold a digest only.
STAND_IN: Final = Path(__file__).parents[1] / "validation"
# Amazon's authorities for RDS, against which the function checks its database.
AUTHORITIES: Final = "rds-ca.pem"


def find_asset(settings: Settings, folder: Path = ASSET) -> Path:
    """Return the folder of the function's code; raise SettingsError where it cannot be deployed."""
    if settings.rehearsal:
        return folder if folder.is_dir() else STAND_IN
    if not folder.is_dir():
        message = (
            "The validation function's code has not been built; run `make validation-asset`, "
            "or `make synth`, which does."
        )
        raise SettingsError(message)
    if settings.environment == "prod" and not (folder / AUTHORITIES).is_file():
        message = (
            "The validation function's code holds no authorities of RDS, so it could not trust "
            "its database; docs/runbooks/deploy.md says where to get them (build/rds-ca.pem)."
        )
        raise SettingsError(message)
    return folder
