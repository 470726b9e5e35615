-- What is read often, or by what few rows have.

-- What was done, counted: a row for each tenant, day (UTC) and target, and one for all targets together, of the
-- records that came to audit_events.
create table usage_daily (
	tenant_id text not null,
	day date not null,
	-- Of the key or token; zeros where the record has no id; ff for all of them, so that nobody adds them up.
	target_id uuid not null,
	signatures bigint not null,
	-- Signatures that did not verify. Those that did have no record.
	invalid bigint not null,
	refused bigint not null,
	changes bigint not null,
	-- In hundredths of a token of the rate limits.
	cost bigint not null,
	primary key (tenant_id, day, target_id)
-- Rows of today are changed again and again: with room in their page no index has to hear of it.
) with (fillfactor = 70);
-- When a key was last used.
create index usage_daily_by_target on usage_daily (tenant_id, target_id, day);

-- In the same statement as the records: those that it met again are not among the added, so each is
-- counted once. In the order of the key, so that two moves at once wait for each other and not in a ring.
-- Of the owner's: the worker adds records, and has no way to another count of them.
create function audit_count_usage() returns trigger
language plpgsql security definer set search_path = public, pg_temp as $$
begin
	insert into usage_daily as u (tenant_id, day, target_id, signatures, invalid, refused, changes, cost)
	select tenant_id, day,
		case grouping(target) when 1 then 'ffffffff-ffff-ffff-ffff-ffffffffffff' else target end,
		count(*) filter (where outcome = 'ok' and action in ('sign', 'signBatch', 'signJwt')),
		count(*) filter (where outcome = 'invalid'),
		count(*) filter (where outcome not in ('ok', 'invalid')),
		count(*) filter (where outcome = 'ok' and action not in ('sign', 'signBatch', 'signJwt')),
		sum(cost)
	from (select *, (at at time zone 'utc')::date as day,
			coalesce(target_id, '00000000-0000-0000-0000-000000000000') as target from added) records
	group by grouping sets ((tenant_id, day, target), (tenant_id, day))
	order by 1, 2, 3
	on conflict (tenant_id, day, target_id) do update set
		signatures = u.signatures + excluded.signatures,
		invalid = u.invalid + excluded.invalid,
		refused = u.refused + excluded.refused,
		changes = u.changes + excluded.changes,
		cost = u.cost + excluded.cost;
	return null;
end
$$;
revoke execute on function audit_count_usage() from public;

-- Waits for those who are adding records, and nobody adds one until the records that are there are counted.
create trigger audit_usage after insert on audit_events
	referencing new table as added for each statement execute function audit_count_usage();
insert into usage_daily as u (tenant_id, day, target_id, signatures, invalid, refused, changes, cost)
	select tenant_id, day,
		case grouping(target) when 1 then 'ffffffff-ffff-ffff-ffff-ffffffffffff' else target end,
		count(*) filter (where outcome = 'ok' and action in ('sign', 'signBatch', 'signJwt')),
		count(*) filter (where outcome = 'invalid'),
		count(*) filter (where outcome not in ('ok', 'invalid')),
		count(*) filter (where outcome = 'ok' and action not in ('sign', 'signBatch', 'signJwt')),
		sum(cost)
	from (select *, (at at time zone 'utc')::date as day,
			coalesce(target_id, '00000000-0000-0000-0000-000000000000') as target from audit_events) records
	group by grouping sets ((tenant_id, day, target), (tenant_id, day));

grant select, delete on usage_daily to edgesign_app;

-- Keys by their tags: one that few of many keys have was looked for in all of them. It lets the tenant lead.
create extension if not exists btree_gin;
create index keys_by_tags on keys using gin (tenant_id, tags jsonb_path_ops);
