"""What settings may not say together, each refusal one sentence that names the remedy.

It is separate from `settings` because these are judgements about meaning, not about types. They
look at the file alone: nothing here asks AWS.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from evertill.infrastructure.settings import RegionSettings, Settings

SUFFIX: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
# A bucket's name holds 63 characters, and the longest, payment-logs-{suffix}-{account}-{region}
# with -replica after a region name of 14, leaves 14 for the suffix.
SUFFIX_LENGTH_MAX: Final = 12
VPC_PREFIX_MIN: Final = 16
VPC_PREFIX_MAX: Final = 20
HOST_NAME: Final = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))+")
# payments.us-east-1.{domain} is a certificate's first name, which holds 64 characters:
# https://docs.aws.amazon.com/acm/latest/APIReference/API_RequestCertificate.html
DOMAIN_LENGTH_MAX: Final = 40
E_MAIL: Final = re.compile(r"[^@\s]+@([^@\s]+\.[^@\s.]+)")
ZONE_ID: Final = re.compile(r"Z[A-Z0-9]{5,31}")
# RFC 2606 and RFC 6761 keep these from ever being anyone's; Route 53 refuses them as zones.
RESERVED_DOMAINS: Final = ("example.com", "example.net", "example.org")
RESERVED_ENDINGS: Final = ("example", "test", "invalid", "localhost", "local")
# Nobody can prove that such a name is theirs, so no certificate would ever be issued for it.
PRIVATE_ENDINGS: Final = ("internal", "lan", "home", "corp")
PLACEHOLDERS: Final = re.compile(
    r"change-?me|place-?holder|your-?(domain|company|name|mail)|my-?(domain|company)"
    # As whole words: barclays, foodmart and mastodon are names like any other.
    r"|(?<![a-z0-9])(todo|foo|bar)(?![a-z0-9])",
)
# A global table with strong consistency lives within one of these sets of regions:
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/V2globaltables_HowItWorks.html
REGION_SETS: Final = (
    frozenset({"us-east-1", "us-east-2", "us-west-2"}),
    frozenset({"eu-west-1", "eu-west-2", "eu-west-3", "eu-central-1"}),
    frozenset({"ap-northeast-1", "ap-northeast-2", "ap-northeast-3"}),
)
# What Fargate offers for each size, in MiB:
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html
MEMORY_MIB: Final = {
    256: range(512, 2049, 512),
    512: range(1024, 4097, 1024),
    1024: range(2048, 8193, 1024),
    2048: range(4096, 16_385, 1024),
    4096: range(8192, 30_721, 1024),
}

# An environment of another kind would take these for its own.
OTHER_SUFFIXES: Final = ("demo", "dev", "qa", "sandbox", "stage", "staging", "test")
# The least that production may have, and why: table, field, value, reason.
LEAST: Final = {
    "network": {
        "nat_gateways": (3, "each zone needs its own, or one zone's loss cuts the others off"),
        "interface_endpoint_zones": (2, "one zone's loss must not stop tasks from starting"),
        "flow_log_days": (365, "a year of logs is what an inquiry asks for"),
    },
    "database": {
        "standby_instances": (2, "whoever takes over needs a reader of its own"),
    },
    "service": {
        "tasks_min": (3, "each zone needs one"),
        "standby_tasks_min": (2, "one zone's loss must leave one"),
    },
    "log": {
        "lock_days": (400, "a key is remembered that long, and its payment must be provable"),
        "access_log_days": (365, "a year of logs is what an inquiry asks for"),
    },
}


def first(settings: Settings) -> str | None:
    """Return the first thing that is wrong with the settings, None when they may be used."""
    return next(_all(settings), None)


def _all(settings: Settings) -> Iterator[str]:
    yield from _of_names(settings)
    # Each region by itself comes first: what follows compares ranges that can be read.
    for region in settings.regions:
        yield from _of_one_region(region)
    yield from _of_regions(settings)
    yield from _of_sizes(settings)
    if settings.environment == "prod":
        yield from _of_strength(settings)
        if not settings.rehearsal:
            yield from _of_owner(settings)


def _of_names(settings: Settings) -> Iterator[str]:
    suffix = settings.suffix
    if not SUFFIX.fullmatch(suffix):
        yield (
            f"suffix: {suffix!r} must be lower-case letters, digits and single hyphens, "
            "beginning with a letter."
        )
    if len(suffix) > SUFFIX_LENGTH_MAX:
        yield (
            f"suffix: {suffix!r} has {len(suffix)} characters; "
            f"{SUFFIX_LENGTH_MAX} are the most that fit into every name."
        )
    if settings.hosted_zone != "create" and not ZONE_ID.fullmatch(settings.hosted_zone):
        yield f'hosted_zone: {settings.hosted_zone!r} is neither "create" nor a zone id (Z...).'
    yield from _of_domain(settings.domain)
    if settings.alert_email is not None:
        yield from _of_e_mail(settings.alert_email)


def _of_domain(domain: str) -> Iterator[str]:
    if not HOST_NAME.fullmatch(domain):
        yield f"domain: {domain!r} is not a domain name in lower case."
    elif len(domain) > DOMAIN_LENGTH_MAX:
        yield f"domain: {domain!r} is longer than the {DOMAIN_LENGTH_MAX} that a certificate holds."
    elif _is_reserved(domain):
        yield f"domain: {domain} is reserved by RFC 2606 and can be nobody's; name one of yours."


def _of_e_mail(address: str) -> Iterator[str]:
    found = E_MAIL.fullmatch(address)
    if found is None:
        yield f"alert_email: {address!r} is not an e-mail address."
    elif _is_reserved(found[1].lower()):
        yield f"alert_email: nobody reads mail at {found[1]}; name an address of yours."


def _is_reserved(domain: str) -> bool:
    ends = any(domain == name or domain.endswith(f".{name}") for name in RESERVED_DOMAINS)
    return ends or domain.rpartition(".")[2] in RESERVED_ENDINGS


def _of_regions(settings: Settings) -> Iterator[str]:
    names = {region.name for region in settings.regions}
    if settings.standby is None:
        if settings.witness_region is not None:
            yield "witness_region: without a standby there is nothing to witness; leave it out."
        return
    if len(names) == 1:
        yield f"standby.name: {settings.active.name} is the active region already; name another."
    if IPv4Network(settings.active.cidr).overlaps(IPv4Network(settings.standby.cidr)):
        yield (
            f"standby.cidr: {settings.standby.cidr} overlaps {settings.active.cidr}, "
            "so the two networks could never be joined; choose another range."
        )
    witness = settings.witness_region
    if witness is None:
        yield "witness_region: the write lease needs a third region; name one."
    elif witness in names:
        yield f"witness_region: {witness} is one of the two regions; the witness must be a third."
    elif not any(names | {witness} <= group for group in REGION_SETS):
        yield (
            f"witness_region: DynamoDB keeps no strongly consistent table over "
            f"{', '.join(sorted(names))} and {witness}."
        )


def _of_one_region(region: RegionSettings) -> Iterator[str]:
    try:
        network = IPv4Network(region.cidr)
    except ValueError:
        yield f"{region.name}: cidr {region.cidr!r} is not a network like 10.10.0.0/16."
    else:
        if not network.is_private:
            yield f"{region.name}: cidr {region.cidr} is not a private range."
        if not VPC_PREFIX_MIN <= network.prefixlen <= VPC_PREFIX_MAX:
            yield f"{region.name}: cidr {region.cidr} must be between /16 and /20."
    if len(set(region.zones)) != len(region.zones):
        yield f"{region.name}: zones must be three different ones, not {', '.join(region.zones)}."
    strange = [zone for zone in region.zones if not re.fullmatch(f"{region.name}[a-z]", zone)]
    if strange:
        yield f"{region.name}: {strange[0]!r} is not a zone of this region."


def _of_sizes(settings: Settings) -> Iterator[str]:
    service = settings.service
    if service.tasks_min > service.tasks_max:
        yield f"service.tasks_min: {service.tasks_min} is more than tasks_max."
    if service.standby_tasks_min > service.tasks_max:
        yield f"service.standby_tasks_min: {service.standby_tasks_min} is more than tasks_max."
    if service.memory_mib not in MEMORY_MIB[service.cpu]:
        yield (
            f"service.memory_mib: Fargate has no task with {service.cpu} CPU units and "
            f"{service.memory_mib} MiB."
        )
    if settings.log.noncurrent_days < settings.log.lock_days:
        yield (
            "log.noncurrent_days: versions cannot expire before their lock of "
            f"{settings.log.lock_days} days ends; give at least as many."
        )


def _of_strength(settings: Settings) -> Iterator[str]:
    """Give what is too weak for production, whoever owns it."""
    if settings.suffix in OTHER_SUFFIXES:
        yield f"suffix: production cannot be named {settings.suffix!r}; others have that name."
    if settings.log.lock_mode != "compliance":
        yield 'log.lock_mode: production locks its log in "compliance" mode.'
    if settings.database.instance_class.endswith(".large"):
        yield (
            f"database.instance_class: {settings.database.instance_class} is too small for "
            "production; xlarge is the least."
        )
    for table, least in LEAST.items():
        for field, (value, reason) in least.items():
            found = getattr(getattr(settings, table), field)
            # A floor of the standby is nobody's without one.
            if found < value and (settings.standby is not None or not field.startswith("standby")):
                yield f"{table}.{field}: {found} is too few for production; {reason}: {value}."


def _of_owner(settings: Settings) -> Iterator[str]:
    """Give what only production's owner knows, and has not said."""
    ending = settings.domain.rpartition(".")[2]
    if PLACEHOLDERS.search(settings.domain) or ending in PRIVATE_ENDINGS:
        yield f"domain: {settings.domain} is a placeholder; name the domain that you own."
    if settings.alert_email is None:
        yield "alert_email: production needs an address that somebody reads."
    elif PLACEHOLDERS.search(settings.alert_email.lower()):
        yield f"alert_email: {settings.alert_email} is a placeholder; name a real address."
    for field in ("image_digest", "base_image_digest"):
        digest = getattr(settings.service, field)
        if digest is None:
            yield f"service.{field}: production runs an image that is pinned; see the runbook."
        elif len(set(digest.removeprefix("sha256:"))) == 1:
            yield f"service.{field}: {digest[:14]}... is a stand-in and no image; see the runbook."
