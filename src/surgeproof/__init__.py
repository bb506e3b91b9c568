"""surgeproof rehearses a launch and says go or no-go, and why."""

__all__ = ["__version__"]

__version__ = "0.1.0"
