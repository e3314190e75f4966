"""What a bug report should say of this installation."""

import platform
from importlib.metadata import PackageNotFoundError, version

from luce.kernels._core import isa, supported_isas
from luce.kernels.threads import num_threads

PACKAGES = ("luce", "numpy", "scipy", "scikit-learn", "pyarrow", "msgspec")


def show_versions() -> None:
    """Print the versions, the instruction set in use, the BLAS libraries and the threads.

    Examples
    --------
    >>> import luce
    >>> luce.show_versions()  # doctest: +ELLIPSIS
    luce ...
    """
    from threadpoolctl import threadpool_info

    lines = {name: _installed(name) for name in PACKAGES}
    lines["Python"] = f"{platform.python_version()} on {platform.platform()}"
    lines["instruction set"] = f"{isa()} of {', '.join(supported_isas())}"
    lines["threads"] = str(num_threads())
    for library in threadpool_info():
        if library["user_api"] == "blas":
            kernel = library.get("architecture", "unknown kernel")
            lines[f"BLAS in {library['prefix']}"] = (
                f"{library['internal_api']} {library['version']}, {kernel}, "
                f"{library['num_threads']} threads"
            )
    width = max(map(len, lines))
    for name, value in lines.items():
        print(f"{name:{width}}  {value}")


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
