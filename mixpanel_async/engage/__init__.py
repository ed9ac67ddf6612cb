"""Profiles: from a call's arguments to a replaced table or yielded dicts.

Read in the order in which a profile travels:

request   a page's parameters
page      a response's JSON to profiles
paging    a session's pages: which follow, where they end, what does not add up
sessions  a download's sessions, and the requests for their pages
results   what the caller gets
fetch     `fetch_profiles`: one task per page; pages are kept, and replace the table when all have arrived
sync      `sync_profiles`: which profiles to fetch, all or those seen since the last sync
stream    `stream_profiles`: pages in order, with nothing stored
"""
