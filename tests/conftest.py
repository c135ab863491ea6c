"""What every test run has in common: repeatable examples, and no settings of the person who runs it."""

import os

from hypothesis import HealthCheck, settings

# An operator who has Fillbook configured in the shell must not have the tests connect to the real gateway or write
# into the real books. What says how to test stays: the second environment chooses its client library that way.
for name in [name for name in os.environ if name.startswith("FILLBOOK_")]:
    if name not in {"FILLBOOK_IB_CLIENT", "FILLBOOK_CHROMIUM", "FILLBOOK_HYPOTHESIS_EXAMPLES"}:
        del os.environ[name]

# Derandomised: a red run is red again on the next machine. More examples on request, for the long runs:
# FILLBOOK_HYPOTHESIS_EXAMPLES=5000 pytest tests/property
examples = os.environ.get("FILLBOOK_HYPOTHESIS_EXAMPLES")
settings.register_profile(
    "fillbook",
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=int(examples) if examples else 100,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("fillbook")
