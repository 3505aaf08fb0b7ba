"""Makes `loadtests` the package again."""

import sys

# In its importlib mode pytest names this file loadtests.tests.conftest, after the folders, and for
# that puts a namespace `loadtests` in the place of the package of the same name.
if getattr(sys.modules.get("loadtests"), "__file__", None) is None:
    sys.modules.pop("loadtests", None)
