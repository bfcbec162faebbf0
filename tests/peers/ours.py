"""A pytest plugin that puts the pools of `compat` where the drivers' own were: ``-p ours`` is the whole difference."""

import importlib
import importlib.util

from async_mysqlpool import compat

for _name in ("aiomysql", "asyncmy"):
    if importlib.util.find_spec(_name) is not None:
        _driver = importlib.import_module(_name)
        _compat = importlib.import_module(f"{compat.__name__}.{_name}")
        _module = importlib.import_module(f"{_name}.pool")
        for _part in ("create_pool", "Pool"):
            for _place in (_driver, _module):
                if hasattr(_place, _part):
                    setattr(_place, _part, getattr(_compat, _part))
