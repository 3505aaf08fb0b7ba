"""The contract of a store of streams, as tests that want a fixture `store`, new for each test.

Import all of them into a module of tests: `from eddyline.testing.store_contract import *`. The
assertions of a package are readable where conftest.py says so: see journal_contract.py.
"""

from eddyline.testing.store_contract.bounds import *  # noqa: F403
from eddyline.testing.store_contract.following import *  # noqa: F403
from eddyline.testing.store_contract.forks import *  # noqa: F403
from eddyline.testing.store_contract.listing import *  # noqa: F403
from eddyline.testing.store_contract.producers import *  # noqa: F403
from eddyline.testing.store_contract.records import *  # noqa: F403
