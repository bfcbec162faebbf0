"""SQLAlchemy's ORM and plain SQL over one pool: no more than `max_size` connections, whoever uses them.

python examples/sqlalchemy_orm.py mysql://app:secret@localhost/test
"""

import asyncio
import os
import sys

from sqlalchemy import String, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from async_mysqlpool import ConnectionPool
from async_mysqlpool.integrations.sqlalchemy import create_async_engine


class Base(DeclarativeBase):
    pass


class Fruit(Base):
    __tablename__ = "fruit"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50))
    stock: Mapped[int]


async def buy(sessions: async_sessionmaker[AsyncSession], name: str) -> None:
    async with sessions.begin() as session:
        fruit = (await session.scalars(select(Fruit).where(Fruit.name == name).with_for_update())).one()
        fruit.stock -= 1


async def main(dsn: str) -> None:
    async with ConnectionPool(dsn, max_size=3) as pool:
        engine = create_async_engine(pool)
        sessions = async_sessionmaker(engine)
        async with engine.begin() as conn:
            await conn.run_sync(Base.metadata.create_all)

        async with sessions.begin() as session:
            session.add_all([Fruit(name="apple", stock=30), Fruit(name="pear", stock=20)])
        await asyncio.gather(*(buy(sessions, name) for name in ["apple"] * 20 + ["pear"] * 5))

        # The same connections without the ORM, for the query that has to be fast.
        rows = await pool.fetch_all("SELECT name, stock FROM fruit ORDER BY name")
        print("stock:", *rows)

        async with sessions() as session:
            names = await session.stream_scalars(select(Fruit.name).order_by(Fruit.id))
            print("streamed:", *[name async for name in names])

        async with engine.begin() as conn:
            await conn.run_sync(Base.metadata.drop_all)
        stats = pool.stats()
        print(f"connections: {stats.size} for {stats.acquired} borrowers, {stats.in_use} in use")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else os.environ["ASYNC_MYSQLPOOL_DSN"]))
