-- Events and users of each day, by event.
select
    event_time::date as day,
    event_name,
    count(*) as events,
    count(distinct nullif(distinct_id, '')) as users
from {{ source('mixpanel', 'events') }}
group by all
