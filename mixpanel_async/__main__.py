"""`python -m mixpanel_async` is the same as `mixpanel-async`."""

import sys

from mixpanel_async.cli import main

sys.exit(main())
