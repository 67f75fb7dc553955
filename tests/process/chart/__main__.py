"""`python -m tests.process.chart`: rewrites the goldens, to be read in review.

The goldens are tests/process/chart/golden/MODE.yaml.
"""

from tests.process.chart.test_modes import GOLDEN, MODES, golden

for mode in MODES:
    (GOLDEN / f"{mode}.yaml").write_text(golden(mode))
