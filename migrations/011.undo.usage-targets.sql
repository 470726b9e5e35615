create or replace function audit_count_usage() returns trigger
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
