"""The way of a profile, from a call's arguments to a replaced table or yielded dicts.

Read in the order in which it travels:

request   a page's parameters
page      a response's JSON to profiles
sessions  a download's sessions, and which page follows which
results   what the caller gets
fetch     `fetch_profiles`: a task a page; pages are kept, and replace the table when all are there
stream    `stream_profiles`: pages in order, nothing stored
"""
