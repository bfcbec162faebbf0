"""The pools that people have today, on ours: change an import, add `await`.

aiomysql.py          aiomysql.create_pool     } both on _driver_pool.py
asyncmy.py           asyncmy.create_pool      }
mysqlx.py            mysqlx.get_client        } both with _oracle.py, the errors of Oracle's connectors
mysql_connector.py   MySQLConnectionPool      }
dbutils.py           dbutils.PooledDB
mysqlclient_pool.py  mysqlclient_pool.ConnectionPool
_shared.py           what they have in common: arguments, opening, borrowing

Names, arguments, defaults, errors and units are those of the original; options of ours (`queue_timeout`, `max_size`,
`observers`, ...) may be given beside them. `docs/migration/` says, pool by pool, what is better and what differs.
"""
