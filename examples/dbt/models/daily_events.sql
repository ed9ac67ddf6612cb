-- Events and users of each day, by event and browser. The view has the property as a typed column.
select
    event_time::date as day,
    event_name,
    "$browser" as browser,
    count(*) as events,
    count(distinct nullif(distinct_id, '')) as users
from {{ source('mixpanel', 'typed_events') }}
group by all
