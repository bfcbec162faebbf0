"""Builds the package; what it is called and needs stands in pyproject.toml.

The files that `async_mysqlpool/_compiled.py` lists are compiled as well, where that can be done. ASYNC_MYSQLPOOL_BUILD
says how far to go:

    auto      (or not set) compile them; without a compiler, headers or Cython go on as pure Python, silently.
              An editable install stays Python, so that edits count; so do PyPy and Python without the GIL.
    pure      leave the extension modules out
    compiled  fail unless they can be compiled
"""

import os
import platform
import re
import runpy
import sys
import sysconfig
import tempfile
import tomllib
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext  # Cython's own, where there is Cython

BUILD = os.environ.get("ASYNC_MYSQLPOOL_BUILD") or "auto"

if BUILD not in ("auto", "pure", "compiled"):
    raise SystemExit(f"ASYNC_MYSQLPOOL_BUILD must be auto, pure or compiled, not {BUILD!r}")


# The types stand in the .pxd file beside each file, so annotations mean no more than they do to Python.
DIRECTIVES = {"language_level": 3, "annotation_typing": False, "auto_pickle": False}


def extensions() -> list[Extension]:
    """One for each file of the list; none where they are not wanted, whatever could be compiled."""
    usual = platform.python_implementation() == "CPython" and not sysconfig.get_config_var("Py_GIL_DISABLED")
    if BUILD == "pure" or (BUILD == "auto" and ("editable_wheel" in sys.argv or not usual)):
        return []
    modules: dict[str, str] = runpy.run_path("async_mysqlpool/_compiled.py")["MODULES"]
    found = [Extension(name, [f"async_mysqlpool/{file}"]) for name, file in modules.items()]
    for extension in found:
        extension.cython_c_in_temp = True  # what Cython's build_ext looks for there
        extension.cython_directives = DIRECTIVES
        extension.extra_compile_args = [] if os.name == "nt" else ["-g0"]  # debug symbols are nine tenths of the size
    return found


def description() -> str:
    """The README, for PyPI, where links lead nowhere unless they are whole: so they are, if there is a `Source`."""
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = Path("README.md").read_text(encoding="utf-8")
    source = project.get("urls", {}).get("Source")
    return re.sub(r"\]\((?!https?://|#)", f"]({source}/blob/main/", text) if source else text


class AllOrNothing(build_ext):
    """Compiles every file, or none: half of a hot path is nothing that was tested."""

    def run(self) -> None:  # noqa: D102  as of every command
        try:
            super().run()
        except Exception as error:
            if BUILD == "compiled":
                raise
            print(f"async_mysqlpool stays pure Python, it could not be compiled: {error}")  # noqa: T201  pip hides it
            for output in self.get_outputs():
                Path(output).unlink(missing_ok=True)
            self.extensions = []
            self.distribution.ext_modules = []


class HonestWheel(bdist_wheel):
    """Is tagged by what was compiled, not by what was tried."""

    def run(self) -> None:  # noqa: D102
        self.run_command("build")
        self.root_is_pure = not self.distribution.has_ext_modules()
        super().run()


with tempfile.TemporaryDirectory() as fresh:  # what an earlier build left behind must not get into a wheel
    setup(
        long_description=description(),
        long_description_content_type="text/markdown",
        ext_modules=extensions(),
        cmdclass={"build_ext": AllOrNothing, "bdist_wheel": HonestWheel},
        options={"build": {"build_base": fresh}, "build_ext": {"parallel": True}},
    )
