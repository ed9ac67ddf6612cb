"""The command line ``python -m mixpanel_async.testing``: its options, and faults written as text."""
