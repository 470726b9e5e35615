-- A day whose partition was dropped never gets one again. Where the clock had run ahead by more than the days that
-- are kept hot, and came back, it did: the day counted as archived, and what came to it was dropped with it.
create or replace function audit_missing_days(days_ahead integer) returns setof date
language sql stable as $$
	select day from generate_series(-1, days_ahead) n, lateral (select (now() at time zone 'utc')::date + n as day) d
	where to_regclass('public.' || audit_table_of(day)) is null
		and not exists (select from audit_archive_days a where a.day = d.day)
$$;

-- From when this has returned no record comes to the day unnoticed; false where it has no partition.
create or replace function audit_close_partition(closing date) returns boolean
language plpgsql security definer set search_path = public, pg_temp set lock_timeout = '1s' as $$
declare
	partition text := audit_partition_of(closing);
begin
	if closing is null or closing >= (now() at time zone 'utc')::date - 1 then
		raise exception 'only a day before yesterday can be closed';
	end if;
	if partition is null then
		return false;
	end if;
	perform pg_advisory_xact_lock(7203114553);
	-- Of such a partition R2 has nothing, and to write the day anew would delete what R2 has of it.
	if exists (select from audit_archive_days d where d.day = closing and d.dropped_at is not null) then
		raise exception 'the day was dropped before';
	end if;
	if exists (select from audit_archive_days d where d.day = closing) then
		return true;
	end if;
	-- Waits for those who are adding rows, so that whoever reads afterwards sees them.
	execute format(
		'create trigger audit_late after insert on %I for each row execute function audit_note_late()',
		partition);
	insert into audit_archive_days (day) values (closing);
	return true;
end
$$;

create or replace function audit_drop_partition(dropping date) returns boolean
language plpgsql security definer set search_path = public, pg_temp set lock_timeout = '1s' as $$
declare
	partition text := audit_partition_of(dropping);
	tenant text;
begin
	if partition is null then
		return false;
	end if;
	if not exists (select from audit_archive_days d where d.day = dropping) then
		raise exception 'the day is not closed';
	end if;
	if exists (select from audit_archive_days d where d.day = dropping and d.dropped_at is not null) then
		raise exception 'the day was dropped before';
	end if;
	-- In the order in which a record that is added takes them. Nobody adds one from here on.
	lock table only audit_events in access exclusive mode;
	execute format('lock table %I in access exclusive mode', partition);
	if exists (select from audit_late l where l.day = dropping) then
		raise exception 'a record came late';
	end if;
	execute format('select min(tenant_id) from %I', partition) into tenant;
	while tenant is not null loop
		if not exists (
			select from audit_archives a
			where a.tenant_id = tenant and a.day = dropping and a.state = 'archived'
		) then
			raise exception 'a tenant is not archived';
		end if;
		execute format('select min(tenant_id) from %I where tenant_id > $1', partition) into tenant using tenant;
	end loop;
	execute format('delete from audit_outbox o using %I e
		where e.tenant_id = o.tenant_id and e.at = o.at and e.id = o.id', partition);
	execute format('alter table audit_events detach partition %I', partition);
	execute format('drop table %I', partition);
	update audit_archive_days d set dropped_at = now() where d.day = dropping;
	return true;
end
$$;
