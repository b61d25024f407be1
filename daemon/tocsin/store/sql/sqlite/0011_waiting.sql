-- A firing right behind its end waits instead of being dropped.

alter table alerts add column waits_until integer;
create index alerts_waiting on alerts (waits_until) where waits_until is not null;

-- Tombstones held for five minutes; from now on they tell how long a firing that comes early waits.
alter table tombstones add column fires_at integer not null default 0;
alter table tombstones add column incident integer;
update tombstones set fires_at = until - 285000, until = until - 290000;
