"""PooledDB with a function for each step, and three tasks.

The program of the article on DBUtils with PyMySQL; docs/migration/dbutils.md shows it before.
"""

import asyncio

import aiomysql
from settings import dbconfig

from async_mysqlpool.compat.dbutils import PooledDB, PooledDedicatedDBConnection


# --- Function to get a connection from the pool ---
async def get_connection_from_pool(connection_pool: PooledDB) -> PooledDedicatedDBConnection | None:
    try:
        connection_object = await connection_pool.connection()
        print("Successfully got a connection from the pool.")
    except Exception as err:  # noqa: BLE001  as in the article
        print(f"Error getting connection from pool: {err}")
        return None
    return connection_object


# --- Function to release a connection back to the pool ---
async def release_connection_to_pool(connection_object: PooledDedicatedDBConnection | None) -> None:
    if connection_object:
        await connection_object.close()
        print("Connection released back to the pool.")


# --- Example usage in a function ---
async def perform_database_task_pymysql(connection_pool: PooledDB) -> None:
    conn = None
    cursor = None
    try:
        conn = await get_connection_from_pool(connection_pool)
        if not conn:
            return
        cursor = conn.cursor(aiomysql.DictCursor)  # DictCursor for easy row access
        await cursor.execute("SELECT id, name, email FROM users LIMIT 10;")
        results = await cursor.fetchall()

        print("\n--- Query Results (PyMySQL) ---")
        for row in results:
            print(f"ID: {row['id']}, Name: {row['name']}, Email: {row['email']}")
    except Exception as err:  # noqa: BLE001  as in the article
        print(f"Error during database operation: {err}")
    finally:
        if cursor:
            await cursor.close()
        if conn:
            await release_connection_to_pool(conn)


async def main() -> None:
    # --- Create the connection pool ---
    try:
        connection_pool = await PooledDB(
            creator=aiomysql, mincached=2, maxcached=5, maxconnections=10, **dbconfig, charset="utf8mb4"
        )
        print("DBUtils connection pool created successfully!")
    except Exception as err:
        print(f"Error creating connection pool: {err}")
        raise SystemExit(1) from err

    # --- Simulate multiple tasks ---
    print("\n--- Simulating multiple tasks with PyMySQL ---")
    for i in range(3):
        print(f"\n--- Running Task {i + 1} ---")
        await perform_database_task_pymysql(connection_pool)
    print("\nAll tasks completed.")

    # --- Close the pool ---
    await connection_pool.close()
    print("\nDBUtils pool closed.")


asyncio.run(main())
