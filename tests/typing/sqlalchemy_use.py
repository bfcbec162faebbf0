"""Never run, only checked: what an editor knows of an engine over a pool."""

from collections.abc import Sequence
from typing import assert_type

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from async_mysqlpool import ConnectionPool
from async_mysqlpool.integrations.sqlalchemy import create_async_engine


class Base(DeclarativeBase):
    pass


class Fruit(Base):
    __tablename__ = "fruit"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


async def use(pool: ConnectionPool) -> None:
    engine = create_async_engine(pool, echo=True, execution_options={"isolation_level": "READ COMMITTED"})
    assert_type(engine, AsyncEngine)
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    async with sessions.begin() as session:
        assert_type(session, AsyncSession)
        assert_type((await session.scalars(select(Fruit))).all(), Sequence[Fruit])
