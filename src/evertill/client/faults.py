"""What can go wrong on the client's side, each with the sentence that tells what to do next.

It is separate from `domain.errors` because no other room meets these: they are about files,
addresses and answers that did not come.
"""

from __future__ import annotations

from evertill.domain.errors import EvertillError, InvalidRequest


class ServiceUnknown(EvertillError):
    """It is not known which service to talk to."""

    code = "service_unknown"


class ServiceUnreachable(EvertillError):
    """No service answers at this address."""

    code = "service_unreachable"


class Refused(EvertillError):
    """The service refused the request for good; `fields` hold its `status` and `problem_code`."""

    code = "refused"


class Stopped(EvertillError):
    """The work was stopped before its end."""

    code = "stopped"


class FileUnusable(EvertillError):
    """The file cannot be imported."""

    code = "file_unusable"


class FileChanged(FileUnusable):
    """The file is not the one whose import was begun."""

    code = "file_changed"


class RecordUnwritable(EvertillError):
    """The record of what was done cannot be written."""

    code = "record_unwritable"


class LineMalformed(InvalidRequest):
    """The line cannot be read as a payment."""

    code = "malformed_line"


class LineTooLong(InvalidRequest):
    """The line is longer than 64 KiB."""

    code = "line_too_long"


class LineNotUtf8(InvalidRequest):
    """The line is not encoded in UTF-8."""

    code = "not_utf8"
