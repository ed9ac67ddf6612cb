-- Sessions of each user. The macro lives in the file that the library writes.
select * from mixpanel.mixpanel_sessions('mixpanel.main.typed_events', timeout := interval 30 minute)
