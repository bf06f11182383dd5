"""Measurements against Quadlet and hand-written units: `./run bench`. Nothing here is a test of speed."""
