"""The tables, one module each: what is run, what is judged, what a row holds."""
