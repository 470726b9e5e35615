-- As 010 and 013 have them.
create or replace function audit_make_free_days(days_ahead integer) returns integer
language plpgsql as $$
declare
	free date[] := array(select audit_free_days(days_ahead));
	day date;
begin
	-- For these Postgres reads the default partition from end to end, while nobody else can. Where that takes long
	-- they are made with the days that rows wait for.
	if cardinality(free) = 0 or pg_relation_size('audit_events_default') > 128 * 1024 * 1024 then
		return 0;
	end if;
	perform audit_lock_partitions();
	lock table audit_events_default in access exclusive mode;
	-- A row may have come before that.
	free := array(select audit_free_days(days_ahead));
	if cardinality(free) = 0 then
		return 0;
	end if;
	-- It is read once for all of them: what this says of it needs not be looked for again.
	execute (
		select 'alter table audit_events_default add constraint audit_not_these check ('
			|| string_agg(format('(at < %L or at >= %L)', audit_day_begins(d), audit_day_begins(d + 1)), ' and ') || ')'
		from unnest(free) d);
	foreach day in array free loop
		execute format('create table %I (like audit_events including all)', audit_table_of(day));
		execute format('alter table audit_events attach partition %I for values from (%L) to (%L)',
			audit_table_of(day), audit_day_begins(day), audit_day_begins(day + 1));
	end loop;
	alter table audit_events_default drop constraint audit_not_these;
	return cardinality(free);
end
$$;

create or replace function audit_ensure_partitions(days_ahead integer, slice integer default 5000) returns integer
language plpgsql security definer set search_path = public, pg_temp set lock_timeout = '1500ms'
-- Along indexes, whatever Postgres believes of the default partition: when it has filled nobody has analysed it.
set enable_seqscan = off as $$
declare
	made integer;
begin
	if days_ahead is null or days_ahead not between 0 and 31 then
		raise exception 'days_ahead must be 0 to 31';
	end if;
	if slice is null or slice not between 1 and 100000 then
		raise exception 'slice must be 1 to 100000';
	end if;
	-- Under another one it would not see, and so not copy, what was added since it began.
	if current_setting('transaction_isolation') <> 'read committed' then
		raise exception 'the isolation level must be read committed';
	end if;
	-- Somebody else is at it.
	if not pg_try_advisory_xact_lock(7203114552) then
		return 0;
	end if;
	made := audit_make_free_days(days_ahead);
	-- They are committed before anything else is tried.
	if made > 0 then
		return made;
	end if;
	if not exists (select from audit_moves) then
		if not audit_begin_move(days_ahead) then
			return 0;
		end if;
		-- Many are copied while others read and add.
		if (select count(*) from (select from audit_events_default limit slice) few) = slice then
			return null;
		end if;
	end if;
	if audit_copy_slice(slice) = slice then
		return null;
	end if;
	return audit_end_move();
end
$$;

alter function audit_close_partition(date) set lock_timeout = '1s';

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
