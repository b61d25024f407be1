-- What only PostgreSQL says this way: pages and the attempts to send them.

-- name: due_pages
-- Planned pages of a channel whose time has come: by rank, then age; of one instant the older incident first. Not locked: incidents are locked before their pages.
with recursive ranks(rank) as (
    select min(rank) from pages where status = 'planned' and channel = $1
    union all
    select (select min(p.rank) from pages p where p.status = 'planned' and p.channel = $1 and p.rank > ranks.rank)
    from ranks where ranks.rank is not null
)
select {p.page} from ranks
cross join lateral (
    select * from pages d
    where d.status = 'planned' and d.channel = $1 and d.rank = ranks.rank and d.due_at <= $2
    order by d.due_at, d.incident, d.id limit $3
) as p
order by p.rank, p.due_at, p.incident, p.id limit $3;
