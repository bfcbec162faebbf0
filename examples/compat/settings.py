"""Where the server of these examples is: ASYNC_MYSQLPOOL_DSN, as the dict that the originals' programs start with."""

import os
from typing import Any
from urllib.parse import unquote, urlsplit

_url = urlsplit(os.environ.get("ASYNC_MYSQLPOOL_DSN", "mysql://root@localhost/test"))

dbconfig: dict[str, Any] = {
    "host": _url.hostname or "localhost",
    "port": _url.port or 3306,
    "user": unquote(_url.username or "root"),
    "password": unquote(_url.password or ""),
    "database": unquote(_url.path.lstrip("/")),
}
