"""The command line of ``python -m mixpanel_async.testing``: its options, and faults that are given as text."""
