"""The charts of the report, as SVG text: the one home of matplotlib.

Only `Figure` objects are used, never pyplot: there is no global figure and no backend to choose.
"""

from surgeproof.report.figures.endpoints import draw_endpoints
from surgeproof.report.figures.heatmap import draw_heatmap
from surgeproof.report.figures.server import draw_server
from surgeproof.report.figures.timeline import draw_timeline

__all__ = ["draw_endpoints", "draw_heatmap", "draw_server", "draw_timeline"]
