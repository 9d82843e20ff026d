"""Profiles that operators have made; those that are built in are nowhere but in the program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Select, delete, insert, select, update
from sqlalchemy.engine import Connection

from migrator.db.engine import Database
from migrator.db.rows import profile_from, to_columns
from migrator.db.tables import instances, profiles
from migrator.errors import Refused
from migrator.model import PRESETS, InstanceStatus, Profile

_NAMED = 5
"""Instances a refusal names."""


class SqlProfileStore:
    """:class:`migrator.conductor.ports.ProfileStore` in SQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> Mapping[str, Profile]:
        with self._database.reader() as connection:
            rows = connection.execute(select(profiles).order_by(profiles.c.name)).all()
        made = {row.name: profile_from(row) for row in rows}
        return {**made, **{each.name: each for each in PRESETS}}

    def create(self, profile: Profile) -> None:
        def work(connection: Connection) -> None:
            if connection.execute(_named(profile.name)).first() is not None:
                raise Refused(
                    "profile.exists",
                    f"there is a profile {profile.name} already; change it with "
                    f"`migrator profile set {profile.name}`",
                    profile=profile.name,
                )
            connection.execute(insert(profiles).values(**to_columns(profile)))

        self._database.write(work)

    def change(self, profile: Profile) -> None:
        def work(connection: Connection) -> None:
            columns = to_columns(profile, leave_out=("name",))
            change = update(profiles).where(profiles.c.name == profile.name).values(**columns)
            if connection.execute(change).rowcount == 0:
                raise _unknown(profile.name)

        self._database.write(work)

    def delete(self, name: str) -> None:
        users = (
            select(instances.c.name)
            .where(instances.c.profile == name, instances.c.status != InstanceStatus.GONE)
            .order_by(instances.c.name)
        )

        def work(connection: Connection) -> None:
            if connection.execute(_named(name).with_for_update()).first() is None:
                raise _unknown(name)
            using = list(connection.execute(users).scalars())
            if using:
                raise _in_use(name, using)
            connection.execute(delete(profiles).where(profiles.c.name == name))

        self._database.write(work)


def _named(name: str) -> Select[tuple[str]]:
    return select(profiles.c.name).where(profiles.c.name == name)


def _unknown(name: str) -> Refused:
    return Refused(
        "profile.unknown",
        f"there is no profile {name!r}; `migrator profile list` shows those there are",
        profile=name,
    )


def _in_use(name: str, using: Sequence[str]) -> Refused:
    named = ", ".join(using[:_NAMED]) + (", ..." if len(using) > _NAMED else "")
    return Refused(
        "profile.in_use",
        f"profile {name} is the one of {named}; give them another first: "
        "`migrator instance set INSTANCE --profile OTHER`",
        profile=name,
        instances=list(using),
    )
