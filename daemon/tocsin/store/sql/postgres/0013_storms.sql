-- Who holds a storm's row and is stopped holds up nobody: the others go on without it.

create function hold_storms(scopes text[]) returns boolean language plpgsql set lock_timeout = '300ms' as $$
begin
    insert into storms (scope, recent, collected, names, touched_at)
    select k.value, '[]', 0, '{}', 0 from unnest(scopes) as k(value) order by k.value
    on conflict (scope) do nothing;
    perform 1 from storms where scope = any(scopes) order by scope for update;
    return true;
exception when lock_not_available then
    return false;
end
$$;
