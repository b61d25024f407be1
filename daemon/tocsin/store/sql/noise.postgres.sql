-- What only PostgreSQL says this way: what rules count, and storms.

-- name: tallied
-- What is counted under each name after an instant, oldest first.
select t.tally, t.at, t.alert, t.what from unnest($1::text[], $2::text[]) as k(tally, since)
join tallies t on t.tally = k.tally and t.at > k.since::bigint
order by t.tally, t.at, t.alert;

-- name: hold_storms
-- Whether these scopes are held now; scopes nothing is known of yet get a row to be held by. Nobody waits long for it.
select hold_storms($1::text[]);
