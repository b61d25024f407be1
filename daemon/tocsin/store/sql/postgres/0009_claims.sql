-- Pages are claimed by priority, then age: ranks tell priorities apart, and of one instant the older incident goes first.

update pages set rank = case rank
    when 0 then 0 when 1 then 2 when 2 then 10 when 3 then 12 when 4 then 13
    when 5 then 50 when 6 then 60 when 7 then 70 when 9 then 90 else rank end
where status in ('planned', 'calling', 'waiting');

drop index pages_claim;

create index pages_claim on pages (channel, rank, due_at, incident, id) where status = 'planned';
