"""Optional packages, imported when something needs them."""

import importlib
from typing import Any

from tiercel.errors import MissingDependencyError

__all__ = ["needed"]


def needed(module: str, package: str) -> Any:
    """Import a module of an optional package.

    Parameters
    ----------
    module
        Its dotted name.
    package
        Its name for `pip install`: "msgpack", or an extra such as "tiercel[redis]".

    Raises
    ------
    MissingDependencyError
        The package is not installed, or cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        install = f"pip install '{package}'" if "[" in package else f"pip install {package}"
        missing = error.name if isinstance(error, ModuleNotFoundError) and error.name else None
        if missing is not None and f"{module}.".startswith(f"{missing}."):
            message = f"{missing} is not installed: {install}"
        else:
            # The package is installed, but one of its own dependencies is not, or it is damaged.
            message = f"{module} cannot be imported: {error}; to install it with all that it needs: {install}"
        raise MissingDependencyError(message, name=missing or module) from error
