"""`python -m mixpanel_async` is the same as `mixpanel-async`."""

from mixpanel_async.cli import main

main()
