"""`python -m tests.chart`: rewrites the goldens, to be read in review.

Goes in: the chart. Comes out: tests/chart/golden/MODE.yaml.
"""

from tests.chart.test_modes import GOLDEN, MODES, golden

for mode in MODES:
    (GOLDEN / f"{mode}.yaml").write_text(golden(mode))
