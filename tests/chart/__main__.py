"""`python -m tests.chart`: rewrites the goldens, to be read in review.

Goes in: the chart. Comes out: tests/chart/golden/MODE.yaml.
"""

from tests.chart.rendering import template
from tests.chart.test_modes import GOLDEN, MODES

for mode, options in MODES.items():
    (GOLDEN / f"{mode}.yaml").write_text(template(*options))
