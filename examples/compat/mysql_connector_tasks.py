"""MySQLConnectionPool with a function for each step, and three tasks.

The program of the article on mysql-connector-python's pool; docs/migration/mysql_connector.md shows it before.
"""

import asyncio

from settings import dbconfig

from async_mysqlpool.compat import mysql_connector
from async_mysqlpool.compat.mysql_connector import MySQLConnectionPool, PooledMySQLConnection


# --- Function to get a connection from the pool ---
async def get_connection_from_pool(connection_pool: MySQLConnectionPool) -> PooledMySQLConnection | None:
    try:
        connection_object = await connection_pool.get_connection()
        print("Successfully got a connection from the pool.")
    except mysql_connector.Error as err:
        print(f"Error getting connection from pool: {err}")
        return None
    return connection_object


# --- Function to release a connection back to the pool ---
async def release_connection_to_pool(connection_object: PooledMySQLConnection | None) -> None:
    if connection_object and await connection_object.is_connected():
        await connection_object.close()
        print("Connection released back to the pool.")


# --- Example usage in a function ---
async def perform_database_task(connection_pool: MySQLConnectionPool) -> None:
    conn = None
    cursor = None
    try:
        conn = await get_connection_from_pool(connection_pool)
        if not conn:
            return
        cursor = conn.cursor(dictionary=True)  # dictionary=True for easy row access
        await cursor.execute("SELECT id, name, email FROM users LIMIT 10;")
        results = await cursor.fetchall()

        print("\n--- Query Results ---")
        for row in results:
            print(f"ID: {row['id']}, Name: {row['name']}, Email: {row['email']}")
    except mysql_connector.Error as err:
        print(f"Error during database operation: {err}")
    finally:
        if cursor:
            await cursor.close()
        await release_connection_to_pool(conn)


async def main() -> None:
    # --- Create the connection pool ---
    try:
        connection_pool = await MySQLConnectionPool(pool_name="mypool", pool_size=5, **dbconfig)
        print("Connection pool created successfully!")
    except mysql_connector.Error as err:
        print(f"Error creating connection pool: {err}")
        raise SystemExit(1) from err

    # --- Simulate multiple tasks ---
    print("\n--- Simulating multiple tasks ---")
    for i in range(3):
        print(f"\n--- Running Task {i + 1} ---")
        await perform_database_task(connection_pool)
    print("\nAll tasks completed.")

    # --- Close the pool ---
    print("\nClosing the connection pool...")
    await connection_pool.close()
    print("Connection pool closed.")


asyncio.run(main())
