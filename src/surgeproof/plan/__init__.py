"""Plan files: read whole, with every mistake at its line and column, into `surgeproof.model`."""

from surgeproof.plan.loader import load_plan
from surgeproof.plan.objective_files import load_objectives
from surgeproof.plan.references import resolve_headers, resolve_text

__all__ = ["load_objectives", "load_plan", "resolve_headers", "resolve_text"]
