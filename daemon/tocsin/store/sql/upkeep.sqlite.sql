-- What only SQLite says this way: remembered values, API tokens, gauges, retention and signs of life.

-- name: last_numbers
-- The highest number given out so far, of incidents, alerts and posts.
select coalesce((select max(number) from incidents), 0), coalesce((select max(id) from alerts), 0),
       coalesce((select max(id) from posts), 0);
